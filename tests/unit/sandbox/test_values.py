"""Values on their way to the worker, and what is read from the host."""

from __future__ import annotations

import marshal
from pathlib import Path

import pytest

from pyoci.errors import SandboxError
from pyoci.sandbox.network_files import hosts_file, resolver_file
from pyoci.sandbox.protocols import (
    BindMount,
    DirectoryRoot,
    FileMount,
    Limits,
    Mount,
    OverlayRoot,
    SocketMount,
    TmpfsMount,
    Ulimit,
)
from pyoci.sandbox.requests import ULIMITS, limits_message, mount_message, root_message
from pyoci.sandbox.subordinate import own_ranges, subordinate_ranges


def test_hosts() -> None:
    assert hosts_file("box", [("db", "10.0.0.1")]) == (
        b"127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n"
    )


def test_resolver() -> None:
    host = b"# made\nnameserver 127.0.0.53\nsearch example.org\n nameserver\t10.0.0.1\noptions edns0 nameserver\n"
    assert resolver_file(host, "host") == host
    assert resolver_file(host, "none") == b"# made\nsearch example.org\noptions edns0 nameserver\n"


MOUNTS: list[Mount] = [
    BindMount("/a", Path("/src"), "x", "discard", (1, 2, 0o700)),
    BindMount("/a", OverlayRoot((Path("/l"),))),
    BindMount("/a", DirectoryRoot(Path("/d"))),
    TmpfsMount("/t", 5),
    FileMount("/f", b"x"),
    SocketMount("/s", Path("/agent")),
]


@pytest.mark.parametrize("mount", MOUNTS)
def test_mounts_can_be_sent(mount: Mount) -> None:
    message = mount_message(mount, fuse="")
    assert marshal.loads(marshal.dumps(message)) == message  # type: ignore[arg-type]
    assert message["target"] == mount.target


def test_file_names_are_sent_as_their_bytes() -> None:
    name = b"caf\xe9\xff".decode("utf-8", "surrogateescape")
    message = root_message(DirectoryRoot(Path("/") / name), fuse="")
    assert message["path"].encode("utf-8", "surrogateescape") == b"/caf\xe9\xff"


def test_fuse_that_is_missing() -> None:
    with pytest.raises(SandboxError, match="fuse-overlayfs is not installed"):
        root_message(OverlayRoot((Path("/l"),), driver="fuse"), fuse="")


def test_limits() -> None:
    message = limits_message(Limits(ulimits=(Ulimit("nofile", 10, -1), Ulimit("core", -1, -1)), memory_bytes=5))
    assert message["ulimits"] == [(7, 10, -1), (4, -1, -1)]
    assert message["memory_bytes"] == 5


def test_ulimits_are_those_of_the_machine() -> None:
    import resource

    known = {
        name.removeprefix("RLIMIT_").lower(): value
        for name, value in vars(resource).items()
        if name.startswith("RLIMIT_")
    }
    for name, number in ULIMITS.items():
        assert known.get(name, number) == number, name


def test_subordinate_ids(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    assert subordinate_ranges(path, "me", 1000) == []
    path.write_text(
        "you:100000:65536\nme:165536:65536\n# me:1:1\n1000:300000:10\nme:x:1\nme:5\n\nme:400000:0\n1001:1:1\n"
    )
    assert subordinate_ranges(path, "me", 1000) == [(165536, 65536), (300000, 10)]
    assert subordinate_ranges(path, "", 1000) == [(300000, 10)]
    with pytest.raises(SandboxError, match="cannot read"):
        subordinate_ranges(tmp_path, "me", 1000)


def test_own_ids() -> None:
    assert own_ranges("         0          0 4294967295\n") == [(0, 4294967295)]
    assert own_ranges(" 0 1000 1\n 1 100000 65536\n") == [(0, 1), (1, 65536)]
    assert own_ranges("") == []
