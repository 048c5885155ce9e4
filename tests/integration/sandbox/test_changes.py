"""What a step leaves in the directory that takes its writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pyoci.errors import SandboxError
from pyoci.sandbox.protocols import BindMount, FileMount, Mount, OverlayRoot, TmpfsMount
from tests.integration.sandbox.world import World

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns, pytest.mark.needs_apt]


def test_nothing_written_is_nothing_changed(debian: World) -> None:
    assert (
        debian.run("cat /etc/hosts /etc/resolv.conf >/dev/null; ls -R /dev /etc >/dev/null; ls /proc /sys").status == 0
    )
    assert debian.changes() == {}


def test_removed_replaced_and_renamed(debian: World) -> None:
    root = debian.fresh(debian.layer({"opt/a/one": b"1", "opt/a/two/three": b"3"}))
    script = "rm /etc/motd; rm -rf /usr/share/doc/apt; mkdir /usr/share/doc/apt; mv /opt/a /opt/b"
    assert debian.run(script, root=root).status == 0
    changes = debian.changes()
    assert changes["etc/motd"].kind == "whiteout"
    assert changes["opt/a"].kind == "whiteout"
    assert (changes["usr/share/doc/apt"].kind, changes["usr/share/doc/apt"].opaque) == ("dir", True)
    assert {path: changes[path].kind for path in changes if path.startswith("opt/b")} == {
        "opt/b": "dir",
        "opt/b/one": "file",
        "opt/b/two": "dir",
        "opt/b/two/three": "file",
    }
    assert all(not change.xattrs for change in changes.values())


RESOLVERS: dict[str, dict[str, bytes | str | bool | None]] = {
    "missing": {"etc/resolv.conf": False, "etc/hosts": False},
    "file": {"etc/resolv.conf": b"image", "etc/hosts": b"image"},
    "symlink": {"opt/r": b"image", "etc/resolv.conf": "../opt/r", "etc/hosts": "/opt/h", "opt/h": b"image"},
    "dangling": {"etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf", "etc/hosts": "/nowhere/hosts"},
    "out of the root": {"etc/resolv.conf": "../../../../../../run/r", "etc/hosts": "/run/../../h"},
}


@pytest.mark.parametrize("files", RESOLVERS.values(), ids=RESOLVERS)
def test_mount_points_leave_no_trace(debian: World, files: Mapping[str, bytes | str | bool | None]) -> None:
    """Whatever the image has at the place."""
    image = debian.layer(files)
    before = debian.listing(image)
    secret = FileMount("/run/secrets/token", b"S3CRET")
    script = "touch /etc/foo; cat /run/secrets/token; grep -c localhost /etc/hosts; ls /run/secrets"
    result = debian.run(script, [secret], root=debian.fresh(image))
    assert result.output == "S3CRET2\ntoken\n"
    changes = debian.changes()
    assert sorted(changes) == ["etc", "etc/foo"]
    assert changes["etc"].mode == before["etc"]["mode"]
    assert debian.listing(image) == before


def test_a_parent_that_has_a_mount_point_keeps_its_attributes(debian: World) -> None:
    """A stub repeats them; writing beside the mount point then copies them up."""
    root = debian.fresh()
    prepare = "cd /home; mkdir -p app/src && chown -R 1000:1001 app && chmod 2750 app && touch -d 2001-02-03 app"
    assert debian.run(prepare, root=root).status == 0
    assert isinstance(root, OverlayRoot) and root.upper is not None
    image = root.upper
    second = debian.fresh(image)
    cache = BindMount("/home/app/.cache/go", debian.directory(), access="read-write")
    result = debian.run(
        "stat -c '%a %Y' /home/app; touch /home/app/.cache/go/x; chmod g+w /home/app", [cache], root=second
    )
    assert result.output == "2750 981158400\n"
    changes = debian.changes(second, lowers=[image])
    assert {path: (change.mode, change.owner) for path, change in changes.items()} == {
        "home": (0o755, (0, 0)),
        "home/app": (0o2770, (1000, 1001)),
    }
    listing = debian.listing(second.upper) if isinstance(second, OverlayRoot) and second.upper else {}
    assert listing["home/app"]["mtime"] == 981158400 * 10**9


def test_what_is_written_beside_a_mount_point_is_kept(debian: World) -> None:
    cache = BindMount("/root/.cache/go-build", debian.directory(), access="read-write")
    assert debian.run("echo x >/root/.cache/go-build/a; echo y >/root/.cache/b", [cache]).status == 0
    assert sorted(debian.changes()) == ["root", "root/.cache", "root/.cache/b"]


def test_a_mount_point_inside_another_mount(debian: World) -> None:
    cache = debian.directory()
    mounts: list[Mount] = [
        FileMount("/work/memory/secret", b"one"),
        TmpfsMount("/work/memory"),
        BindMount("/work/cache", cache, access="read-write"),
        FileMount("/work/cache/deep/secret", b"two"),
    ]
    result = debian.run("cat /work/memory/secret /work/cache/deep/secret; mount | grep -c ' /work'", mounts)
    assert result.output == "onetwo4\n"
    assert debian.changes() == {}


def test_a_mount_point_inside_a_read_only_mount_is_refused(debian: World) -> None:
    mounts: list[Mount] = [BindMount("/work", debian.directory()), FileMount("/work/secret", b"x")]
    with pytest.raises(SandboxError, match=r'cannot use the mount point "/work/secret": read-only file system'):
        debian.run("true", mounts)


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        (FileMount("/etc", b""), 'the mount point "/etc" is not a file'),
        (TmpfsMount("/etc/passwd"), 'the mount point "/etc/passwd" is not a directory'),
        (FileMount("/etc/passwd/x", b""), r"cannot make the mount point .*not a directory \(ENOTDIR\)"),
        (FileMount("/loop/x", b""), r"cannot make the mount point .*too many levels of symbolic links \(ELOOP\)"),
    ],
)
def test_mount_points_of_the_wrong_type(debian: World, mount: FileMount | TmpfsMount, reason: str) -> None:
    root = debian.fresh(debian.layer({"loop": "loop"}))
    with pytest.raises(SandboxError, match=reason):
        debian.run("true", [mount], root=root)


def test_a_directory_of_the_image_that_is_no_directory(debian: World) -> None:
    root = debian.fresh(debian.layer({"proc": "/etc"}))
    with pytest.raises(SandboxError, match='"/proc" of the image is a symlink'):
        debian.run("true", root=root)


def test_an_empty_image_has_everything_that_a_program_expects(small: World) -> None:
    """No /dev, /proc, /sys or /etc in it: a static program from a mount runs all the same, and nothing is left."""
    home = small.directory("scratch")
    for name in ("lower", "upper", "work"):
        small.ask("write", path=str(home / name), content=None)
    root = OverlayRoot((home / "lower",), home / "upper", home / "work")
    busybox = BindMount("/busybox", small.base, source_path="bin/busybox")
    result = small.run(
        ["/busybox", "sh", "-c", "/busybox ls -d /dev/null /proc/self /sys/class /etc/hosts; /busybox ls /"],
        [busybox],
        root=root,
    )
    assert result.output.split() == [
        *("/dev/null", "/etc/hosts", "/proc/self", "/sys/class"),
        *("busybox", "dev", "etc", "proc", "sys"),
    ]
    assert small.changes(root) == {}


def test_steps_on_one_upper_directory_follow_each_other(debian: World) -> None:
    root = debian.fresh()
    assert debian.run("mkdir /etc/x && echo 1 >/etc/x/a && rm -rf /usr/share/doc", root=root).status == 0
    assert debian.run("test ! -e /usr/share/doc && mkdir /usr/share/doc && cat /etc/x/a", root=root).output == "1\n"
    # A stub lies below what was written: what that hides is made in it, and taken away.
    assert debian.run("rm -rf /srv && mkdir /srv", root=root).status == 0
    assert (
        debian.run("cat /srv/a/token; rm -rf /x", [FileMount("/srv/a/token", b"S3CRET")], root=root).output == "S3CRET"
    )
    assert sorted(path for path in debian.changes() if path.startswith("srv")) == ["srv"]


def test_one_upper_directory_for_two_at_once_is_refused(debian: World) -> None:
    import threading
    import time

    root = debian.fresh()
    cancelled = threading.Event()
    started = threading.Event()

    def first() -> None:
        from contextlib import suppress

        from pyoci.errors import Cancelled

        with suppress(Cancelled):
            debian.run("echo up; sleep 60", root=root, cancelled=cancelled, output=lambda data: started.set())

    thread = threading.Thread(target=first)
    thread.start()
    assert started.wait(20)
    with pytest.raises(SandboxError, match="is in use by another process of a sandbox"):
        debian.run("true", root=root)
    cancelled.set()
    thread.join(10)
    time.sleep(0.05)
    assert debian.run("true", root=root).status == 0


def test_names_of_every_kind(debian: World, tmp_path: Path) -> None:
    """Long paths, and bytes that option strings cannot hold."""
    deep = debian.directory("odd") / "a:b,c\\d" / ("x" * 100) / ("ü" * 60) / ("y" * 120)
    for name in ("lower", "upper", "work"):
        debian.ask("write", path=str(deep / name), content=None)
    debian.ask("write", path=str(deep / "lower" / "file"), content=b"hello")
    root = OverlayRoot((deep / "lower", debian.base), deep / "upper", deep / "work")
    assert debian.run("cat /file; echo new >/other", root=root).output == "hello"
    assert sorted(debian.changes(root)) == ["other"]
