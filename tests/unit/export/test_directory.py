"""The flattened root as a directory: what docker's local exporter leaves, and nothing outside of it."""

from __future__ import annotations

import io
import os
import stat
import threading
from pathlib import Path

import pytest

from pyoci.errors import Cancelled, ContentError, LayerError
from pyoci.export.directory import write_root_directory
from pyoci.layer.entry import Entry
from pyoci.layer.tree import Tree
from pyoci.progress import Reporter
from tests.builders import Item, changes_of, device, directory, fifo, file, hardlink, removed, symlink


class Warnings(Reporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, text: str, **_: object) -> None:
        self.texts.append(text)


def write(items: dict[str, Item], target: Path, *, delete: bool = False) -> list[str]:
    warnings = Warnings()
    scratch = target.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    write_root_directory(Tree([changes_of(items)]), target, scratch=scratch, delete=delete, reporter=warnings)
    assert list(scratch.iterdir()) == []
    return warnings.texts


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out"


def listing(target: Path) -> dict[str, str]:
    """Every path with its type and content, as `find` would show them."""
    found = {}
    for path in sorted(target.rglob("*")):
        name = path.relative_to(target).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir():
            found[name] = "dir"
        elif path.is_fifo():
            found[name] = "fifo"
        else:
            found[name] = path.read_text()
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_everything_arrives_with_mode_and_time(target: Path) -> None:
    items: dict[str, Item] = {
        "bin/busybox": file(b"#!", mode=0o4755, mtime=5, uid=1000),
        "bin/sh": symlink("busybox", mtime=6),
        "bin/ash": hardlink("bin/busybox"),
        "etc/shadow": file(b"secret", mode=0o640, gid=42),
        "locked": directory(mode=0o555, mtime=8),
        "locked/in": file(b"x", mode=0o400, mtime=9),
        "run/pipe": fifo(mode=0o644),
        "tmp": directory(mode=0o1777, mtime=10),
        "dangling": symlink("/nowhere"),
    }
    assert write(items, target) == []
    assert listing(target) == {
        "bin": "dir",
        "bin/ash": "#!",
        "bin/busybox": "#!",
        "bin/sh": "-> busybox",
        "dangling": "-> /nowhere",
        "etc": "dir",
        "etc/shadow": "secret",
        "locked": "dir",
        "locked/in": "x",
        "run": "dir",
        "run/pipe": "fifo",
        "tmp": "dir",
    }
    assert mode(target / "bin/busybox") == 0o4755
    assert (target / "bin/busybox").stat().st_ino == (target / "bin/ash").stat().st_ino
    assert (mode(target / "etc/shadow"), mode(target / "locked"), mode(target / "locked/in")) == (0o640, 0o555, 0o400)
    assert (mode(target / "tmp"), mode(target / "run/pipe")) == (0o1777, 0o644)
    times = {name: (target / name).lstat().st_mtime for name in ("bin/busybox", "bin/sh", "locked", "locked/in", "tmp")}
    assert times == {"bin/busybox": 5, "bin/sh": 6, "locked": 8, "locked/in": 9, "tmp": 10}


def test_owners_are_those_of_who_runs_it(target: Path) -> None:
    write({"a": file(b"x", uid=12345, gid=54321)}, target)
    assert (target / "a").stat().st_uid == os.getuid()


def test_devices_are_left_out_and_told(target: Path) -> None:
    devices: dict[str, Item] = {f"dev/{name}": device("char", 1, number) for number, name in enumerate("abcde")}
    (warning,) = write(devices | {"dev/link": hardlink("dev/a"), "file": b"x"}, target)
    assert warning == (f"left out of {target}, where device nodes are not made: dev/a, dev/b, dev/c and 3 more")
    assert listing(target) == {"dev": "dir", "file": "x"}


def test_attributes_that_are_not_allowed_are_told(target: Path) -> None:
    (warning,) = write({"a": file(b"x", mode=0o755, xattrs={"made.up": b"x"}), "b": b""}, target)
    assert warning == f"written to {target} without extended attributes that are not allowed there: a"
    assert mode(target / "a") == 0o755


def test_what_is_there_is_replaced_and_the_rest_stays(target: Path) -> None:
    write({"a": b"old", "d/x": b"old", "becomes-file/x": b"1", "becomes-dir": b"1", "l": symlink("a")}, target)
    (target / "mine").write_text("kept")
    write({"a": b"new", "d/y": b"new", "becomes-file": b"2", "becomes-dir/x": b"2", "l": b"file"}, target)
    assert listing(target) == {
        "a": "new",
        "becomes-dir": "dir",
        "becomes-dir/x": "2",
        "becomes-file": "2",
        "d": "dir",
        "d/x": "old",
        "d/y": "new",
        "l": "file",
        "mine": "kept",
    }


def test_delete_mirrors_the_tree(target: Path) -> None:
    write({"a": b"old", "d/x/y": b"old", "e": directory(mode=0o500)}, target)
    (target / "outside").symlink_to(target.parent)
    write({"a": b"new", "d/z": b"new"}, target, delete=True)
    assert listing(target) == {"a": "new", "d": "dir", "d/z": "new"}
    assert target.parent.is_dir()


def test_a_second_run_writes_into_directories_that_the_first_has_locked(target: Path) -> None:
    items: dict[str, Item] = {"d": directory(mode=0o555), "d/e": directory(mode=0o500), "d/e/f": b"x"}
    write(items, target)
    write(items, target)
    assert (mode(target / "d"), mode(target / "d/e")) == (0o555, 0o500)


def test_links_in_the_destination_are_replaced_and_not_followed(target: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("untouched")
    target.mkdir()
    (target / "etc").symlink_to(outside)
    (target / "file").symlink_to(outside / "passwd")
    (target / "dangling").symlink_to(outside / "new")
    write({"etc/passwd": b"mine", "file": b"mine", "dangling": b"mine", "dir": directory()}, target)
    assert listing(outside) == {"passwd": "untouched"}
    assert listing(target) == {"dangling": "mine", "dir": "dir", "etc": "dir", "etc/passwd": "mine", "file": "mine"}


def test_links_of_the_image_are_not_followed_either(target: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    lower = changes_of({"etc": symlink(str(outside))})
    upper = changes_of({"etc/passwd": b"mine"})
    scratch = tmp_path
    write_root_directory(Tree([lower, upper]), target, scratch=scratch)
    assert listing(outside) == {}
    assert listing(target) == {"etc": "dir", "etc/passwd": "mine"}


def test_the_destination_itself_may_be_a_link(target: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target.symlink_to(tmp_path / "real")
    write({"a": b"x"}, target)
    assert listing(tmp_path / "real") == {"a": "x"}


def test_names_that_are_not_utf8_are_written_as_they_are(target: Path) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    write({name: b"x"}, target)
    assert os.listdir(os.fsencode(target)) == [b"caf\xe9"]  # noqa: PTH208 - bytes are what is asked about


def test_whiteouts_are_gone(target: Path) -> None:
    tree = Tree([changes_of({"a": b"1", "b/c": b"1"}), changes_of({"a": removed(), "b": removed()})])
    write_root_directory(tree, target, scratch=target.parent)
    assert listing(target) == {}


class Changed:
    changes = changes_of({"a": b"abc"}).changes

    def __init__(self, content: bytes) -> None:
        self._content = content

    def open(self, entry: Entry) -> io.BytesIO:
        return io.BytesIO(self._content)


@pytest.mark.parametrize("content", [b"ab", b"abcd"])
def test_a_file_that_is_not_as_long_as_its_layer_says_does_not_appear(target: Path, content: bytes) -> None:
    with pytest.raises(LayerError, match=rf'"a" has {len(content)} bytes, its layer says 3'):
        write_root_directory(Tree([Changed(content)]), target, scratch=target.parent)
    assert listing(target) == {}


def test_it_stops_when_it_is_told_to(target: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        write_root_directory(Tree([changes_of({"a": b"x"})]), target, scratch=target.parent, cancelled=cancelled)


def test_what_cannot_be_written_is_told(target: Path) -> None:
    target.write_text("a file")
    with pytest.raises(ContentError) as caught:
        write({"a": b"x"}, target)
    assert caught.value.message == f"cannot write {target}: File exists"


def test_nothing_stays_open(target: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    write({"a/b/c/d": b"x", "a/e": hardlink("a/b/c/d"), "f/g": b"y"}, target)
    with pytest.raises(LayerError):
        write_root_directory(Tree([Changed(b"")]), target, scratch=target.parent)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
