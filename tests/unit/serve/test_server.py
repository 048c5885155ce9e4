"""Where a server listens, and what is said when it cannot."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pyoci.api.serving import serve
from pyoci.errors import UsageError
from pyoci.serve.server import Address, own_addresses, parse_address
from pyoci.serve.uploads import Limits
from tests.unit.api.world import options_in
from tests.unit.serve.world import serving


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5000", Address("127.0.0.1", 5000)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),
        ("[::1]:80", Address("::1", 80)),
        ("[::1]", Address("::1", 5000)),
        ("localhost", Address("localhost", 5000)),
        (":8080", Address("127.0.0.1", 8080)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["1.2.3.4:x", "1.2.3.4:65536", "::1:80", "a/b:80", "x:-1", "x:"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="cannot listen on"):
        parse_address(text)


def test_names_of_this_server() -> None:
    assert own_addresses(Address("127.0.0.1", 80)) == ("127.0.0.1:80", "localhost:80", "[::1]:80")
    assert "localhost:80" in own_addresses(Address("0.0.0.0", 80))
    assert own_addresses(Address("registry.example", 80)) == ("registry.example:80",)
    assert own_addresses(Address("192.0.2.1", 80)) == ("192.0.2.1:80",)


def refusal(directory: Path, **settings: str | bool) -> str:
    settings = {"listen": "127.0.0.1:0", **settings}
    with pytest.raises(UsageError) as caught, serve(options=options_in(directory), **settings):  # type: ignore[arg-type]
        pass
    return str(caught.value)


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "Address already in use" in refusal(tmp_path, listen=f"127.0.0.1:{port}")
    assert "cannot listen on" in refusal(tmp_path, listen="192.0.2.1:0")


def test_what_contradicts_itself(tmp_path: Path) -> None:
    assert refusal(tmp_path, delete=True) == "deleting needs writing"
    assert refusal(tmp_path, certificate="x") == "TLS needs a certificate and its key"
    assert refusal(tmp_path, key="x") == "TLS needs a certificate and its key"
    assert refusal(tmp_path, user="joe") == "a user needs a password"
    assert refusal(tmp_path, password="x") == "a password needs a user"
    assert "cannot be served" in refusal(tmp_path, source="docker-archive:x.tar")
    assert "cannot be served" in refusal(tmp_path, source="oci-layout:x:1")
    assert "No such file" in refusal(tmp_path, certificate="missing", key="missing")
    for name in ("certificate", "key"):
        (tmp_path / name).write_text("no PEM")
    assert "cannot use" in refusal(tmp_path, certificate="certificate", key="key")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else object())
    assert refusal(tmp_path) == "pyoci serve needs uvicorn, which is not installed"


def test_who_listens_for_others_is_told_what_they_may(tmp_path: Path) -> None:
    with serving(tmp_path, listen="0.0.0.0:0") as world:
        assert "may pull from and push to it" in world.heard.lines[0]
    with serving(tmp_path, listen="0.0.0.0:0", user="joe", password="x") as world:
        assert "passwords travel" in world.heard.lines[0]
    with serving(tmp_path) as world:
        assert world.heard.lines == []


def test_a_request_that_never_ends_its_head_is_hung_up_on(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(stall_seconds=0.4)) as world:
        host, _, port = world.address.partition(":")
        for beginning in (b"", b"GET /v2/ HTTP/1.1\r\nHost: x\r\n"):
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                connection.sendall(beginning)
                assert connection.recv(100) == b""
        assert world("GET", "/v2/").status == 200


def test_one_server_after_another_has_the_same_port(tmp_path: Path) -> None:
    with serving(tmp_path) as world:
        assert world("GET", "/v2/").status == 200
        address = world.address
    with serving(tmp_path, listen=address) as world:
        assert world("GET", "/v2/").status == 200
