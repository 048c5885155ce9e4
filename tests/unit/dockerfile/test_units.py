"""Durations, sizes, booleans, signals, ports, near names: values are those of Go's and docker's own packages."""

from __future__ import annotations

import pytest

from pyoci.dockerfile.ports import PortRange, parse_port, port_names
from pyoci.dockerfile.signals import is_signal
from pyoci.dockerfile.suggest import nearest
from pyoci.dockerfile.units import format_duration, parse_boolean, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "nanoseconds", "printed"),
    [
        ("0", 0, "0s"),
        ("1ns", 1, "1ns"),
        ("1.5us", 1500, "1.5µs"),
        ("1µs", 1000, "1µs"),
        ("1\u03bcs", 1000, "1µs"),
        ("2ms", 2_000_000, "2ms"),
        ("30s", 30 * 10**9, "30s"),
        ("1m30s", 90 * 10**9, "1m30s"),
        ("1h", 3600 * 10**9, "1h0m0s"),
        ("1.5h30m", 7200 * 10**9, "2h0m0s"),
        (".5s", 500_000_000, "500ms"),
        ("5.s", 5 * 10**9, "5s"),
        ("-1s", -(10**9), "-1s"),
        ("+1s", 10**9, "1s"),
        ("1.000000001s", 10**9 + 1, "1.000000001s"),
        ("9223372036854775807ns", 2**63 - 1, "2562047h47m16.854775807s"),
    ],
)
def test_durations(text: str, nanoseconds: int, printed: str) -> None:
    assert parse_duration(text) == nanoseconds
    assert format_duration(nanoseconds) == printed


@pytest.mark.parametrize(
    "text", ["", "5", "s", ".s", "1x", "1 s", "1s ", "--1s", "9223372036854775808ns", "1e3s", "٣s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("1k", 1024),
        ("1Kb", 1024),
        ("1KiB", 1024),
        ("1.5g", 3 << 29),
        ("1 m", 1 << 20),
        ("2b", 2),
        ("1e3", 1000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1x", "1kx", "1ib", "1  k", "1kbb", "99999999999999p"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_size(text)


def test_booleans() -> None:
    assert all(parse_boolean(text) for text in ("1", "t", "T", "true", "True", "TRUE"))
    assert not any(parse_boolean(text) for text in ("0", "f", "F", "false", "False", "FALSE"))
    with pytest.raises(ValueError, match="yes"):
        parse_boolean("yes")


@pytest.mark.parametrize("text", ["SIGTERM", "term", "SigKill", "9", "65", "-1", "RTMIN+15", "sigrtmax-14", "08"])
def test_signals(text: str) -> None:
    assert is_signal(text)


@pytest.mark.parametrize("text", ["", "0", "SIGFOO", "RTMIN+16", "RTMIN+0", "SIGSIGTERM", "1e3", "SIG", "9" * 30])
def test_what_is_no_signal(text: str) -> None:
    assert not is_signal(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", PortRange(80, 80, "tcp")),
        ("0", PortRange(0, 0, "tcp")),
        ("+80", PortRange(80, 80, "tcp")),
        ("53/udp", PortRange(53, 53, "udp")),
        ("53/", PortRange(53, 53, "tcp")),
        ("53/UDP", PortRange(53, 53, "udp", odd_casing=True)),
        ("7000-7010/sctp", PortRange(7000, 7010, "sctp")),
        ("80-80", PortRange(80, 80, "tcp")),
        ("8080:80", PortRange(80, 80, "tcp", has_host_part=True)),
        ("127.0.0.1:8080:80", PortRange(80, 80, "tcp", has_host_part=True)),
        ("127.0.0.1::80", PortRange(80, 80, "tcp", has_host_part=True)),
        ("[::1]:8080:80", PortRange(80, 80, "tcp", has_host_part=True)),
        ("::1:8080:80", PortRange(80, 80, "tcp", has_host_part=True)),
        ("8000-8010:80", PortRange(80, 80, "tcp", has_host_part=True)),
        ("8000-8002:80-82", PortRange(80, 82, "tcp", has_host_part=True)),
        ("65535", PortRange(65535, 65535, "tcp")),
        (":80", PortRange(80, 80, "tcp")),
    ],
)
def test_ports(text: str, expected: PortRange) -> None:
    assert parse_port(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "/tcp", "a", "-1", "65536", "80-", "-80", "90-80", "80/http", "80/tcp/udp", "x:80", "1.2.3:1:80", "[::1:1:80",
     "fe80::1%eth0:1:80", "1-3:1-2", "1_0", "٣"],
)  # fmt: skip
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_port(text)


def test_names_of_ports() -> None:
    ranges = [PortRange(80, 80, "tcp"), PortRange(7000, 7001, "udp")]
    assert list(port_names(ranges)) == ["80/tcp", "7000/udp", "7001/udp"]


def test_near_names() -> None:
    names = ("COPY", "CMD", "ENV", "RUN", "FROM")
    assert nearest("CPY", names) == "COPY"
    assert nearest("RNU", names) == "RUN"
    assert nearest("FROM", names) is None
    assert nearest("WORKDIR", names) is None
    assert nearest("RNU", names, swaps=False) == "ENV"
