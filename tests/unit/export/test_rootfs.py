"""The flattened root as a tar: read back by Python's tarfile."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pyoci.errors import LayerError
from pyoci.export.rootfs import write_platform_tar, write_root_tar
from pyoci.layer.entry import Entry
from pyoci.layer.tree import Tree
from tests.builders import (
    Item,
    changes_of,
    device,
    directory,
    fifo,
    file,
    hardlink,
    make_image,
    make_layer,
    open_layers,
    removed,
    symlink,
)

LOWER: dict[str, Item] = {
    "bin/busybox": file(b"#!", mode=0o4755, mtime=5),
    "bin/sh": symlink("busybox"),
    "bin/ash": hardlink("bin/busybox"),
    "etc/old": b"old",
    "etc/passwd": b"root",
    "home/user": directory(mode=0o700, uid=1000, gid=1000, mtime=7),
    "dev/null": device("char", 1, 3, mode=0o666),
    "run/pipe": fifo(),
    "usr/bin/ping": file(b"ping", xattrs={"security.capability": b"\1\0\0\2"}),
}
UPPER: dict[str, Item] = {"etc/old": removed(), "etc/passwd": file(b"root\nuser", mode=0o600, uid=1), "z": b""}


def tree_of(*layers: dict[str, Item]) -> Tree:
    return Tree([changes_of(layer) for layer in layers])


def tar_of(tree: Tree, scratch: Path, *, mtime_limit: int = 1 << 40) -> tarfile.TarFile:
    out = io.BytesIO()
    write_root_tar(tree, out, scratch=scratch, mtime_limit=mtime_limit)
    return tarfile.open(fileobj=io.BytesIO(out.getvalue()))


def test_the_tar_is_the_merged_tree(tmp_path: Path) -> None:
    with tar_of(tree_of(LOWER, UPPER), tmp_path) as tar:
        assert tar.getnames() == [
            *("bin", "bin/ash", "bin/busybox", "bin/sh", "dev", "dev/null", "etc", "etc/passwd", "home", "home/user"),
            *("run", "run/pipe", "usr", "usr/bin", "usr/bin/ping", "z"),
        ]
        assert tar.extractfile("etc/passwd").read() == b"root\nuser"  # type: ignore[union-attr]
        passwd, user, null, ping = map(tar.getmember, ("etc/passwd", "home/user", "dev/null", "usr/bin/ping"))
        assert (passwd.mode, passwd.uid) == (0o600, 1)
        assert (user.mode, user.uid, user.gid, user.mtime) == (0o700, 1000, 1000, 7)
        assert (null.type, null.devmajor, null.devminor) == (tarfile.CHRTYPE, 1, 3)
        assert tar.getmember("run/pipe").isfifo()
        assert tar.getmember("bin/sh").linkname == "busybox"
        assert ping.pax_headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == b"\1\0\0\2"


def test_hard_links_stay_links_to_the_first_name(tmp_path: Path) -> None:
    with tar_of(tree_of(LOWER), tmp_path) as tar:
        first, second = tar.getmember("bin/ash"), tar.getmember("bin/busybox")
        assert (first.isreg(), first.mode, second.islnk(), second.linkname) == (True, 0o4755, True, "bin/ash")
        assert tar.extractfile("bin/busybox").read() == b"#!"  # type: ignore[union-attr]


def test_no_time_is_later_than_the_limit(tmp_path: Path) -> None:
    with tar_of(tree_of(LOWER), tmp_path, mtime_limit=6) as tar:
        assert (tar.getmember("bin/ash").mtime, tar.getmember("home/user").mtime) == (5, 6)


def test_compressed_layers_are_read_in_one_pass_whatever_the_order(tmp_path: Path) -> None:
    layers = [
        make_layer({f"{number}/{name}": f"{number}{name}".encode() * 1000 for name in "cab"}) for number in range(3)
    ]
    layers.append(make_layer({"1": removed(), "0/a": b"new"}))
    content, image = make_image(layers)
    tree = Tree(open_layers(image, content))
    with tar_of(tree, tmp_path) as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar if one.isreg()}  # type: ignore[union-attr]
    expected = {f"{number}/{name}": f"{number}{name}".encode() * 1000 for number in (0, 2) for name in "abc"}
    assert files == expected | {"0/a": b"new"}
    assert list(tmp_path.iterdir()) == []


def test_several_platforms_have_a_directory_each(tmp_path: Path) -> None:
    out = io.BytesIO()
    trees = {
        "linux_amd64": tree_of(LOWER),
        "linux_arm64": tree_of({"a": b"arm", "b": hardlink("a"), "c": symlink("/a")}),
    }
    write_platform_tar(trees, out, scratch=tmp_path, mtime_limit=0)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert tar.getmember("linux_amd64").mode == 0o755
        assert tar.extractfile("linux_amd64/etc/passwd").read() == b"root"  # type: ignore[union-attr]
        assert tar.extractfile("linux_arm64/b").read() == b"arm"  # type: ignore[union-attr]
        assert tar.getmember("linux_arm64/b").linkname == "linux_arm64/a"
        assert tar.getmember("linux_arm64/c").linkname == "/a"


def test_equal_trees_give_equal_bytes(tmp_path: Path) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    write_root_tar(tree_of(LOWER, UPPER), first, scratch=tmp_path, mtime_limit=0)
    write_root_tar(tree_of(dict(reversed(LOWER.items())), UPPER), second, scratch=tmp_path, mtime_limit=0)
    assert first.getvalue() == second.getvalue()


def test_a_file_that_is_not_as_long_as_it_was_is_an_error(tmp_path: Path) -> None:
    class Shorter:
        changes = changes_of({"a": b"abc"}).changes

        def open(self, entry: Entry) -> io.BytesIO:
            return io.BytesIO(b"ab")

    with pytest.raises(LayerError, match='"a" is shorter than the 3 bytes'):
        write_root_tar(Tree([Shorter()]), io.BytesIO(), scratch=tmp_path, mtime_limit=0)


def test_an_empty_tree_is_an_empty_tar(tmp_path: Path) -> None:
    with tar_of(Tree(), tmp_path) as tar:
        assert tar.getnames() == []
