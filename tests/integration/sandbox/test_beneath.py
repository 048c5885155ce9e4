"""Files that lie below the writes of a step: it may make them its own, and else nothing is left of them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pyoci.sandbox.protocols import BindMount, DirectoryRoot, FileMount, Mount, OverlayRoot, Root
from tests.integration.sandbox.conftest import Worlds
from tests.integration.sandbox.world import World

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

LAID = FileMount("/etc/deep/er/file", b"laid\n", mode=0o644, beneath=True)


def written(world: World, root: Root) -> dict[str, bytes]:
    """What of /etc/deep is in the root afterwards."""
    directory = root.path if isinstance(root, DirectoryRoot) else root.upper
    assert directory is not None
    return {
        str(path.relative_to(directory)): world.ask("read", path=str(path))["content"] if path.is_file() else b""
        for path in sorted(directory.glob("etc/deep/**/*"))
    }


def test_what_is_left_alone_is_not_there(any_small: World) -> None:
    root = any_small.fresh()
    result = any_small.run(
        "cat /etc/deep/er/file; stat -c '%a %u:%g' /etc/deep/er/file; ls /etc/deep", [LAID], root=root
    )
    assert result.output == "laid\n644 0:0\ner\n"
    assert written(any_small, root) == {}
    if isinstance(root, OverlayRoot):
        assert any_small.changes(root) == {}
    else:
        assert not (root.path / "etc/deep").exists()


def test_a_file_of_its_own_takes_the_place(any_small: World) -> None:
    """As package managers put files there: a new one, renamed over the old."""
    root = any_small.fresh()
    script = "echo own >/etc/deep/er/new && mv -f /etc/deep/er/new /etc/deep/er/file && cat /etc/deep/er/file"
    assert any_small.run(script, [LAID], root=root).output == "own\n"
    assert written(any_small, root) == {"etc/deep/er": b"", "etc/deep/er/file": b"own\n"}
    assert any_small.run("cat /etc/deep/er/file", root=root).output == "own\n"


def test_what_is_added_to_it_stays_with_it(any_small: World) -> None:
    root = any_small.fresh()
    assert any_small.run("echo more >>/etc/deep/er/file", [LAID], root=root).status == 0
    assert written(any_small, root)["etc/deep/er/file"] == b"laid\nmore\n"


def test_over_a_file_of_the_image(any_small: World) -> None:
    over = FileMount("/etc/passwd", b"laid\n", mode=0o600, beneath=True)
    root = any_small.fresh()
    before = any_small.run("cat /etc/passwd; stat -c %a /etc/passwd", root=root).output
    assert any_small.run("cat /etc/passwd", [over], root=root).output == "laid\n"
    assert any_small.run("cat /etc/passwd; stat -c %a /etc/passwd", root=root).output == before
    if isinstance(root, OverlayRoot):
        assert any_small.changes(root) == {}
    assert any_small.run("rm /etc/passwd", [over], root=root).status == 0
    assert any_small.run("test -e /etc/passwd", root=root).status == 1


def test_links_lead_to_one_place(any_small: World) -> None:
    root = any_small.fresh()
    setup = "mkdir -p /etc/a && ln -s a /etc/b && ln -s b/file /etc/c && mkdir /etc/d"
    assert any_small.run(setup, root=root).status == 0
    mounts = [FileMount(path, b"laid\n", beneath=True) for path in ("/etc/c", "/etc/a/file", "/etc/b/file", "/etc/d")]
    assert any_small.run("cat /etc/a/file /etc/c; ls -d /etc/d; readlink /etc/c", mounts, root=root).output == (
        "laid\nlaid\n/etc/d\nb/file\n"
    )
    assert any_small.run("ls /etc/a /etc/d", root=root).output == "/etc/a:\n\n/etc/d:\n"


def test_in_another_mount_it_is_mounted_as_others_are(small: World) -> None:
    source = small.directory()
    small.ask("write", path=str(source / "file"), content=b"below\n")
    mounts: list[Mount] = [
        BindMount("/mnt", source),
        FileMount("/mnt/file", b"laid\n", mode=0o644, beneath=True),
        FileMount("/mnt/missing", b"laid\n", mode=0o644, beneath=True),
    ]
    assert (
        small.run("cat /mnt/file; ls /mnt; echo x 2>/dev/null >/mnt/file || echo no", mounts).output
        == "laid\nfile\nno\n"
    )
    assert any("/mnt/missing is not shown to a step" in warning for warning in small.warnings)
    assert (source / "file").read_bytes() == b"below\n"


def test_runs_side_by_side(small: World) -> None:
    outputs = []

    def run() -> None:
        outputs.append(small.run("cat /etc/deep/er/file; rm /etc/deep/er/file", [LAID]).output)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outputs == ["laid\n"] * 4


def test_nothing_is_left_beside_a_root_that_was_copied(busybox_worlds: Worlds) -> None:
    world = busybox_worlds("chroot")
    root = world.fresh()
    assert isinstance(root, DirectoryRoot)
    for script in ("true", "rm /etc/passwd", "echo x >/etc/passwd"):
        world.run(script, [FileMount("/etc/passwd", b"laid\n", beneath=True)], root=root)
        assert not Path(f"{root.path}.aside").exists()
