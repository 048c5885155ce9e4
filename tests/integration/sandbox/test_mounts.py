"""Everything that RUN --mount shows a step."""

from __future__ import annotations

import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from pyoci.errors import SandboxError
from pyoci.sandbox.protocols import BindMount, FileMount, Limits, Mount, OverlayRoot, SocketMount, TmpfsMount
from tests.integration.sandbox.conftest import Worlds
from tests.integration.sandbox.world import World
from tests.integration.sandbox.world import world as make_world

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]


def test_a_secret_can_be_read_and_not_written(any_small: World) -> None:
    secret = FileMount("/run/secrets/t", b"text\0\xff")
    root = any_small.fresh()
    result = any_small.run(
        "cat /run/secrets/t; stat -c ' %a %u %g' /run/secrets/t; echo x >>/run/secrets/t", [secret], root=root
    )
    if any_small.mode == "chroot":
        assert result.output.startswith("text\0\ufffd 400 0 0\n")
        assert not (Path(str(root.path)) / "run").exists()  # type: ignore[union-attr]
        return
    assert result.output.startswith("text\0\ufffd 400 0 0\n")
    assert "Read-only file system" in result.output
    assert any_small.changes() == {}


def test_the_owner_and_mode_of_a_secret(small: World) -> None:
    secret = FileMount("/run/secrets/t", b"text", mode=0o640, uid=1000, gid=1001)
    result = small.run("stat -c '%a %u %g' /run/secrets/t; cat /run/secrets/t", [secret], uid=1000, gid=1001)
    assert result.output == "640 1000 1001\ntext"


def test_a_secret_of_another_user_is_out_of_reach(small: World) -> None:
    if small.mode == "single":
        pytest.skip("single mode has one user, to whom every file belongs")
    assert small.run("cat /run/secrets/t", [FileMount("/run/secrets/t", b"text")], uid=1000, gid=1000).status == 1


def test_a_file_may_be_writable_and_may_be_run(any_small: World) -> None:
    mounts: list[Mount] = [
        FileMount("/etc/hosts", b"127.0.0.1 own\n", mode=0o644, writable=True),
        FileMount("/dev/pipes/EOF", b"#!/bin/sh\necho ran $1\n", mode=0o755),
    ]
    result = any_small.run("echo more >>/etc/hosts; cat /etc/hosts; /dev/pipes/EOF x", mounts)
    assert result.output == "127.0.0.1 own\nmore\nran x\n"


def test_a_directory_of_the_host_read_only(any_small: World) -> None:
    source = any_small.directory()
    any_small.ask("write", path=str(source / "sub" / "file"), content=b"hello\n")
    result = any_small.run(
        "cat /src/sub/file /sub/file; echo x >/src/sub/file; echo x >/src/new",
        [
            BindMount("/src", source),
            BindMount("/sub", source, source_path="sub"),
        ],
    )
    assert result.output.startswith("hello\nhello\n")
    if any_small.mode != "chroot":
        assert result.output.count("Read-only file system") == 2
    assert [path.name for path in source.iterdir()] == ["sub"]
    assert (source / "sub" / "file").read_bytes() == b"hello\n"


def test_a_single_file_of_the_host(any_small: World) -> None:
    source = any_small.directory()
    any_small.ask("write", path=str(source / "file"), content=b"hello\n")
    mounts: list[Mount] = [
        BindMount("/a/b/name", source / "file"),
        BindMount("/other", source, source_path="file", access="discard"),
    ]
    result = any_small.run("cat /a/b/name; echo more >>/other; cat /other", mounts)
    assert result.output == "hello\nhello\nmore\n"
    assert (source / "file").read_bytes() == b"hello\n"


def test_what_is_written_to_a_bind_is_thrown_away(any_small: World) -> None:
    source = any_small.directory()
    any_small.ask("write", path=str(source / "sub" / "file"), content=b"hello\n")
    root = any_small.fresh()
    mount = BindMount("/src", source, access="discard")
    script = "echo x >>/src/sub/file && echo y >/src/new && rm -r /src/sub && ls /src"
    assert any_small.run(script, [mount], root=root).output == "new\n"
    assert [path.name for path in source.iterdir()] == ["sub"]
    assert any_small.run("ls /src", [mount], root=root).output == "sub\n"
    if isinstance(root, OverlayRoot):
        assert [path.name for path in root.work.iterdir()] == ["work"]  # type: ignore[union-attr]


def test_a_cache_keeps_what_is_written(any_small: World) -> None:
    cache = any_small.directory()
    mount = BindMount("/root/.cache", cache, access="read-write", owner=(0, 0, 0o700))
    assert any_small.run("stat -c %a /root/.cache; echo 1 >/root/.cache/a", [mount]).output == "700\n"
    assert any_small.run("stat -c %a /root/.cache; cat /root/.cache/a", [mount]).output == "700\n1\n"
    assert [path.name for path in cache.iterdir()] == ["a"]


def test_a_cache_of_another_user(any_small: World) -> None:
    mount = BindMount("/cache", any_small.directory(), access="read-write", owner=(1000, 1001, 0o750))
    result = any_small.run("stat -c '%a %u %g' /cache; echo 1 >/cache/a && cat /cache/a", [mount], uid=1000, gid=1001)
    assert result.output == "750 1000 1001\n1\n"


def test_a_cache_that_holds_something_is_given_to_nobody(small: World) -> None:
    cache = small.directory()
    small.ask("write", path=str(cache / "a"), content=b"")
    mount = BindMount("/cache", cache, access="read-write", owner=(0, 0, 0o711))
    assert small.run("stat -c %a /cache", [mount]).output == "755\n"


def test_two_steps_share_a_cache(small: World) -> None:
    mount = BindMount("/cache", small.directory(), access="read-write")
    done: list[str] = []
    waiting = threading.Thread(
        target=lambda: done.append(
            small.run("while [ ! -e /cache/b ]; do sleep 0.02; done; cat /cache/b", [mount]).output
        )
    )
    waiting.start()
    assert small.run("echo hi >/cache/tmp; mv /cache/tmp /cache/b", [mount]).status == 0
    waiting.join(20)
    assert done == ["hi\n"]


@pytest.mark.parametrize("access", ["read-only", "discard"])
def test_the_files_of_another_root(small: World, access: str) -> None:
    """As `RUN --mount=from=STAGE`: its layers, what it wrote, whiteouts and all; a directory or a file of it."""
    other = small.fresh(small.layer({"out/gone": b"x", "out/lower": b"lower\n"}))
    assert isinstance(other, OverlayRoot)
    assert small.run("rm /out/gone; echo app >/out/app; ln -s /out /link", root=other).status == 0
    before = small.changes(other)
    source = OverlayRoot((other.upper, *other.lowers) if other.upper else ())
    mounts: list[Mount] = [
        BindMount("/from", source, "out", access),  # type: ignore[arg-type]
        BindMount("/bin/app", source, "link/app", access),  # type: ignore[arg-type]
    ]
    result = small.run("ls /from; cat /from/lower /bin/app; echo x >/from/app && cat /from/app", mounts)
    expected = "app\nlower\nlower\napp\n"
    assert result.output.startswith(expected)
    assert result.output[len(expected) :] == "x\n" if access == "discard" else "Read-only" in result.output
    assert small.changes(other) == before


def test_a_source_that_is_missing(any_small: World) -> None:
    source = any_small.directory()
    with pytest.raises(SandboxError, match='the mount source "no/such" does not exist'):
        any_small.run("true", [BindMount("/src", source, source_path="no/such")])
    with pytest.raises(SandboxError, match=r"no such file or directory \(ENOENT\)"):
        any_small.run("true", [BindMount("/src", source / "missing")])


def test_a_source_path_leads_to_nothing_outside(small: World) -> None:
    source = small.directory()
    small.ask("write", path=str(source / "link"), content="/etc/hostname")
    small.ask("write", path=str(source / "up"), content="../../../../../../../etc")
    for path in ("link", "up/shadow", "../../../../etc/shadow"):
        with pytest.raises(SandboxError, match="does not exist"):
            small.run("cat /x", [BindMount("/x", source, source_path=path)])


def test_memory_has_its_size_and_mode(small: World) -> None:
    script = "stat -c %a /m /n; dd if=/dev/zero of=/m/f bs=1000 count=2000; mount | grep ' /m '"
    result = small.run(script, [TmpfsMount("/m", size_bytes=1 << 20), TmpfsMount("/n", mode=0o700)])
    assert result.output.startswith("1777\n700\n")
    assert "No space left on device" in result.output
    assert "nosuid,nodev" in result.output
    assert small.changes() == {}


def test_memory_in_a_directory_without_mounts(busybox_worlds: Worlds) -> None:
    world = busybox_worlds("chroot")
    root = world.fresh()
    assert (
        world.run("ls /tmp | wc -l; touch /tmp/a; stat -c %a /tmp", [TmpfsMount("/tmp", mode=0o700)], root=root).output
        == "0\n700\n"
    )
    assert world.run("ls /tmp", root=root).output == ""


def test_shared_memory_has_its_size(small: World) -> None:
    result = small.run("df -k /dev/shm | tail -1", limits=Limits(shm_bytes=1 << 20))
    assert result.output.split()[1] == "1024"
    assert small.run("df -k /dev/shm | tail -1").output.split()[1] == str(64 << 10)


class Agent:
    """A socket on the host that answers in capitals, and knows how many came."""

    def __init__(self, path: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        path.chmod(0o777)
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data.upper())


SPEAK = """
use Socket;
my ($path, $count, $size) = @ARGV;
my $sum = 0;
for (1..$count) {
    socket(my $s, AF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un($path)) or die "connect: $!";
    if (fork() == 0) { syswrite($s, 'x' x 1000) for 1..$size; shutdown($s, 1); exit }
    my $all = ''; while (sysread($s, my $part, 65536)) { $all .= $part }
    $sum += ($all =~ tr/X//); wait;
}
print "$sum\\n";
"""


@pytest.mark.needs_apt
@pytest.mark.parametrize("mode", ["root", "subuid", "single"])
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_socket_leads_to_the_hosts(debian_worlds: Worlds, mode: str, uid: int) -> None:
    """Whoever connects, however much is said, however often; half-closed connections too."""
    world = debian_worlds(mode)
    directory = world.directory()
    agent = Agent(directory / "agent.sock")
    mount = SocketMount("/run/buildkit/ssh_agent.0", directory / "agent.sock", uid=uid, gid=uid)
    script = FileMount("/speak.pl", SPEAK.encode(), mode=0o755)
    words = ["/usr/bin/perl", "/speak.pl", "/run/buildkit/ssh_agent.0", "5", "300"]
    assert world.run(words, [mount, script], uid=uid, gid=uid).output == "1500000\n"
    assert agent.connections == 5
    assert world.changes() == {}
    result = world.run("stat -c '%F %a %u' /run/buildkit/ssh_agent.0", [mount], uid=uid, gid=uid)
    assert result.output == f"socket 600 {uid}\n"
    agent.listener.close()


@pytest.mark.needs_apt
def test_a_socket_that_is_gone_hangs_up(debian_worlds: Worlds) -> None:
    world = debian_worlds("single")
    mount = SocketMount("/agent", world.directory() / "none")
    started = time.monotonic()
    result = world.run(["/usr/bin/perl", "-e", SPEAK, "/agent", "1", "1"], [mount])
    assert (result.status, result.output) == (0, "0\n")
    assert time.monotonic() - started < 10


@pytest.mark.needs_apt
def test_a_socket_in_chroot_mode(debian_worlds: Worlds) -> None:
    world = debian_worlds("chroot")
    directory = world.directory()
    agent = Agent(directory / "agent.sock")
    root = world.fresh()
    words = ["/usr/bin/perl", "-e", SPEAK, "/agent", "2", "3"]
    assert world.run(words, [SocketMount("/agent", directory / "agent.sock")], root=root).output == "6000\n"
    assert not (root.path / "agent").exists()  # type: ignore[union-attr]
    agent.listener.close()


def test_what_chroot_mode_placed_is_taken_away_again(busybox_worlds: Worlds) -> None:
    world = busybox_worlds("chroot")
    root = world.fresh()
    top = Path(str(root.path))  # type: ignore[union-attr]
    (top / "etc/hosts").write_bytes(b"image")
    (top / "data").mkdir()
    (top / "data/kept").write_bytes(b"kept")

    def state() -> dict[str, tuple[int, int, int, int]]:
        return {
            str(path.relative_to(top)): (status.st_mode, status.st_mtime_ns, status.st_ino, status.st_size)
            for path in (top, *top.rglob("*"))
            for status in [path.lstat()]
        }

    before = state()
    cache = world.directory()
    world.ask("write", path=str(cache / "c"), content=b"")
    mounts: list[Mount] = [
        FileMount("/run/secrets/x", b"S3CRET"),
        TmpfsMount("/data"),
        BindMount("/cache/deep", cache, access="read-write"),
        BindMount("/src", cache),
    ]
    script = "cat /etc/hosts | grep -c localhost; ls /data /cache/deep /src; touch /cache/deep/new; test -c /dev/null"
    assert world.run(script, mounts, root=root).output == "2\n/cache/deep:\nc\n\n/data:\n\n/src:\nc\n"
    assert state() == before
    assert sorted(path.name for path in cache.iterdir()) == ["c", "new"]
    assert stat.S_ISDIR((top / "data").lstat().st_mode)
    assert [path.name for path in top.parent.iterdir()] == ["root"]


def test_taking_away_leads_to_no_other_place(busybox_worlds: Worlds) -> None:
    """A step that puts links where directories were does not have things moved, or removed, outside of its root."""
    world = busybox_worlds("chroot")
    root = world.fresh()
    top = Path(str(root.path))  # type: ignore[union-attr]
    (top / "etc/hosts").write_bytes(b"image")
    outside = world.directory()
    for name in ("hosts", "resolv.conf", "x"):
        (outside / name).write_bytes(b"precious")
    mounts: list[Mount] = [FileMount("/a/b/x", b""), TmpfsMount("/tmp")]
    links = f"ln -s {outside} /etc; ln -s {outside} /a/b; ln -s {outside} /tmp"
    script = f"mv /etc /moved; rm -r /a/b /tmp; {links}; cat /moved/hosts"
    assert "localhost" in world.run(script, mounts, root=root).output
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == dict.fromkeys(
        ("hosts", "resolv.conf", "x"), b"precious"
    )
    assert (top / "moved/hosts").read_bytes() == b"image"


def test_public_files_are_nobodys_to_whoever_runs(small: World) -> None:
    source = small.directory()
    for name, mode in (("all", 0o644), ("own", 0o600)):
        (source / name).write_text(f"{name}\n")
        (source / name).chmod(mode)  # root's, also where somebody else runs the step
    mount = BindMount("/src", source, public=True)
    result = small.run("cat /src/all; cat /src/own; stat -c %u:%g /src/own; echo x >/src/all", [mount])
    assert result.output.startswith("all\n")
    assert "own\n65534:65534\n" not in result.output
    assert "can't open '/src/own': Permission denied" in result.output
    assert "65534:65534\n" in result.output
    assert (source / "all").read_text() == "all\n"


def test_where_the_kernel_cannot_make_files_public_the_user_is_told(
    tmp_path: Path, busybox_tar: Path, package: Path
) -> None:
    """An overlay, as the root of a container is one, cannot be mounted with other owners."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/own").write_text("own\n")
    (tmp_path / "lower/own").chmod(0o600)
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, tmp_path / "merged"], check=True, timeout=20)
    try:  # the worker sees what was mounted before it started
        with make_world("root", busybox_tar, package) as world:
            result = world.run("cat /src/own", [BindMount("/src", tmp_path / "merged", public=True)])
        assert result.output == "own\n"
        assert any("lets steps read what only root may read" in warning for warning in world.warnings)
    finally:
        subprocess.run(["umount", tmp_path / "merged"], check=True, timeout=20)
