"""Directories by descriptor: links that are not followed, rights that are missing, trees that must go."""

from __future__ import annotations

import os
import resource
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyoci.layer.directories import Directories, open_directory, remove_tree
from pyoci.layer.entry import LayerPath

P = LayerPath


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root").mkdir()
    descriptor = os.open(tmp_path / "root", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_what_is_missing_is_made_and_told(root: int, tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []
    (tmp_path / "root/file").write_text("")
    (tmp_path / "root/link").symlink_to(tmp_path)
    with Directories(root) as directories:
        directories.on_made = lambda path, replaced: told.append((path, replaced))
        for path in ("a/b/c", "file/x", "link/y", "a/b"):
            directories.open(P(path), make=True)
    assert told == [("a", False), ("a/b", False), ("a/b/c", False)] + [
        (path, replaced) for name in ("file/x", "link/y") for path, replaced in ((name[:4], True), (name, False))
    ]
    assert (tmp_path / "root/link/y").is_dir()
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("path", ["none", "file", "link", "link/inside", "file/x"])
def test_without_making_it_is_an_error(path: str, root: int, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "root/file").write_text("")
    (tmp_path / "root/link").symlink_to(tmp_path)
    with Directories(root) as directories, pytest.raises(OSError, match=r"No such file|Not a directory"):
        directories.open(P(path))


def test_descriptors_are_bounded_and_given_back(root: int) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Directories(root) as directories:
        for number in range(300):
            directories.open(P(f"d{number % 70}/e/f{number}"), make=True)
        assert len(list(Path("/proc/self/fd").iterdir())) < before + 70
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_forgotten_directory_is_looked_up_anew(root: int) -> None:
    with Directories(root) as directories:
        directories.open(P("a/b"), make=True)
        os.rename("a", "c", src_dir_fd=root, dst_dir_fd=root)
        assert directories.open(P("a/b"))
        directories.forget(P("a"))
        with pytest.raises(FileNotFoundError):
            directories.open(P("a/b"))


def test_a_directory_that_its_owner_may_not_read(root: int, tmp_path: Path) -> None:
    os.mkdir("d", 0, dir_fd=root)
    os.close(open_directory("d", root))
    expected = 0 if os.geteuid() == 0 else 0o700
    assert stat.S_IMODE((tmp_path / "root/d").stat().st_mode) == expected


def make_tree(path: Path, depth: int, target: Path) -> None:
    path.mkdir()
    (path / "file").write_text("x")
    (path / "link").symlink_to(target)
    for number in range(8):
        (path / f"removed-{number}").mkdir()  # names that are taken
        (path / f"removed-{number}/x").write_text("")
    if depth:
        for name in ("a", "b"):
            make_tree(path / name, depth - 1, target)
        os.mkfifo(path / "pipe")
    path.chmod((0o700, 0o500, 0o300, 0)[depth % 4])


def test_a_tree_with_any_modes_goes_and_nothing_else(root: int, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep")
    for number in range(4):
        make_tree(tmp_path / "root/tree", 2 + number % 2, outside)
        remove_tree("tree", root)
        assert os.listdir(root) == []
    (tmp_path / "root/link").symlink_to(outside)
    remove_tree("link", root)
    assert (outside / "precious").read_text() == "keep"
    remove_tree("nothing", root)


def test_a_tree_deeper_than_any_path_goes(root: int) -> None:
    name = "d" * 30
    here = os.dup(root)
    for _ in range(250):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with scarce():
        remove_tree(name, root)
    assert os.listdir(root) == []


@contextmanager
def scarce() -> Iterator[None]:
    """Few descriptors and little recursion: depth must need neither."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    recursion = sys.getrecursionlimit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 80, hard))
    sys.setrecursionlimit(220)
    try:
        yield
    finally:
        sys.setrecursionlimit(recursion)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
