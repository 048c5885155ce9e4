"""What a step may use: descriptors, memory, processes, layers, the network."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pyoci.errors import SandboxError
from pyoci.sandbox.protocols import BindMount, Limits, OverlayRoot, Ulimit
from pyoci.sandbox.worker import encode_path
from tests.integration.sandbox.conftest import Worlds
from tests.integration.sandbox.world import World

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]


def test_ulimits(any_small: World) -> None:
    limits = Limits(ulimits=(Ulimit("nofile", 100, 200), Ulimit("core", 0, 0), Ulimit("cpu", 50, 60)))
    result = any_small.run("ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -St; ulimit -Ht", limits=limits)
    assert result.output.split() == ["100", "200", "0", "50", "60"]


def test_a_ulimit_that_is_passed_ends_the_step(small: World) -> None:
    limits = Limits(ulimits=(Ulimit("cpu", 1, 1),))
    assert small.run("while :; do :; done", limits=limits, timeout_seconds=60).status == 137


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (Ulimit("files", 1, 1), 'unknown ulimit "files"'),
        (Ulimit("nofile", 20, 10), "the soft limit 20 is above the hard one 10"),
        (Ulimit("nofile", -1, 10), "the soft limit -1 is above the hard one 10"),
    ],
)
def test_ulimits_that_make_no_sense(small: World, limit: Ulimit, reason: str) -> None:
    with pytest.raises(SandboxError, match=reason):
        small.run("true", limits=Limits(ulimits=(limit,)))


def test_more_than_the_builder_may_give(busybox_worlds: Worlds) -> None:
    world = busybox_worlds("single")
    with pytest.raises(SandboxError, match="cannot set the limits of the process"):
        world.run("true", limits=Limits(ulimits=(Ulimit("nofile", -1, -1),)))


def cgroups_of_steps() -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob("**/pyoci-[0-9]*"))


def test_memory(busybox_worlds: Worlds) -> None:
    world = busybox_worlds("root")
    script = "echo begin; x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo end"
    result = world.run(script, limits=Limits(memory_bytes=64 << 20), timeout_seconds=60)
    assert "end" not in result.output
    assert result.output.endswith(f"pyoci: killed at the memory limit of {64 << 20} bytes\n")
    assert result.status != 0
    assert world.run("echo fine", limits=Limits(memory_bytes=64 << 20)).output == "fine\n"
    assert cgroups_of_steps() == []


def test_processes(busybox_worlds: Worlds) -> None:
    world = busybox_worlds("root")
    result = world.run("i=0; while [ $i -lt 50 ]; do sleep 20 & i=$((i+1)); done; echo all", limits=Limits(pids=20))
    assert "can't fork" in result.output
    assert "all" not in result.output
    assert cgroups_of_steps() == []


def test_a_cgroup_for_steps(busybox_worlds: Worlds) -> None:
    world = busybox_worlds("root")
    result = world.run("cat /proc/self/cgroup", limits=Limits(pids=20, cgroup_parent="/pyoci-test/steps"))
    # It is the root of the namespace of the step, as in a container.
    assert "pyoci" not in result.output
    left = sorted(Path("/sys/fs/cgroup").glob("*/pyoci-test/steps"))
    assert left
    for directory in left:
        assert [path for path in directory.iterdir() if path.is_dir()] == []
        directory.rmdir()
        directory.parent.rmdir()


@pytest.mark.parametrize("mode", ["subuid", "single"])
@pytest.mark.parametrize("limits", [Limits(memory_bytes=1 << 20), Limits(pids=5)])
def test_a_limit_that_cannot_be_kept_is_refused(busybox_worlds: Worlds, mode: str, limits: Limits) -> None:
    world = busybox_worlds(mode)
    with pytest.raises(SandboxError, match=r"permission denied|no cgroup|read-only") as raised:
        world.run("true", limits=limits)
    assert raised.value.hint is not None and "Delegate=yes" in raised.value.hint


@pytest.mark.parametrize("count", [2, 30, 127, 499, 500, 501, 700])
def test_layers(small: World, count: int) -> None:
    """One directory for each layer, and the base. The uppermost hides what the lowest but one has."""
    home = small.directory("layers")
    names = [f"{number:03}" for number in range(count - 1)]
    for name in names:
        small.ask("write", path=str(home / name / "layer" / name), content=b"xyz")
    small.ask("write", path=str(home / names[-1] / "layer" / "hidden"), content=b"x")
    small.ask("write", path=str(home / "top" / "layer" / "hidden"), content=False)
    root = small.fresh(home / "top", *(home / name for name in names[1:]))
    result = small.run("cat /layer/* 2>/dev/null | wc -c; rm -f /layer/001; echo x >/new", root=root)
    assert result.output.split()[-1] == str(3 * (len(names) - 1))
    assert small.changes()["new"].kind == "file"


NAMES = {
    "long": "x" * 250 + "/" + "y" * 250,
    "signs": "a:b,c=d\\e f\ng",
    "options": "lowerdir=/:upperdir=/,ro",
    "bytes": "\udcff\u00e9",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_directories_of_every_name(small: World, name: str) -> None:
    """The kernel cuts strings at 255 bytes, and mount options at colons, commas and backslashes."""
    home = small.directory("named") / name
    for part in ("lower", "upper", "work"):
        small.ask("write", path=encode_path(home / part), content=None)
    small.ask("write", path=encode_path(home / "lower" / "file"), content=b"read\n")
    root = OverlayRoot((home / "lower", small.base), home / "upper", home / "work", owners=home / "owners")
    mounts = [BindMount("/bound", home / "lower")]
    result = small.run("cat /file /bound/file; rm /file; echo x >/new; chown 5 /new", mounts, root=root)
    assert (result.status, result.output) == (0, "read\nread\n")
    found = small.listing(encode_path(home / "upper"))
    assert found.keys() == {".", "file", "new"}


def test_too_many_layers(small: World) -> None:
    home = small.directory("layers")
    small.ask("write", path=str(home / "one"), content=None)
    root = small.fresh(*([home / "one"] * 1001))
    with pytest.raises(SandboxError, match="a root file system of more than 999 layers") as raised:
        small.run("true", root=root)
    assert raised.value.hint == "flatten the base image, or join RUN instructions"


def test_a_layer_that_is_missing(small: World) -> None:
    root = small.fresh(small.account.home / "missing")
    with pytest.raises(SandboxError, match=r'cannot open ".*/missing": no such file or directory'):
        small.run("true", root=root)


def test_no_network(small: World) -> None:
    script = (
        "ls /sys/class/net; ip addr show lo | grep -c LOOPBACK,UP; nslookup example.org; wget -q -T 5 http://192.0.2.1/"
    )
    started = time.monotonic()
    result = small.run(script, network="none")
    assert time.monotonic() - started < 10
    assert result.output.splitlines()[:2] == ["lo", "1"]
    assert result.status != 0


def test_loopback_works_without_a_network(small: World) -> None:
    script = "(echo hello | nc -l -p 4711 &); sleep 0.3; nc 127.0.0.1 4711 </dev/null"
    assert small.run(script, network="none").output == "hello\n"


def test_the_hosts_network(small: World) -> None:
    mine = sorted(path.name for path in Path("/sys/class/net").iterdir())
    assert small.run("ls /sys/class/net", network="host").output.split() == mine


def test_names(small: World) -> None:
    limits = Limits(add_hosts=(("db.internal", "10.1.2.3"), ("six", "::2")))
    result = small.run("cat /etc/hosts; hostname; cat /proc/sys/kernel/hostname", limits=limits)
    assert result.output == (
        "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        "10.1.2.3\tdb.internal\n::2\tsix\nbuildkitsandbox\nbuildkitsandbox\n"
    )
    assert small.run("cat /etc/resolv.conf", network="host").output == Path("/etc/resolv.conf").read_text()
    assert "nameserver" not in small.run("cat /etc/resolv.conf", network="none").output


def test_stacked_directories_without_a_place_for_writes(small: World) -> None:
    with pytest.raises(SandboxError):
        small.run("true", root=OverlayRoot((small.base,)))
