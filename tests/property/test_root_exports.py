"""Unpacking what was exported of a tree gives the tree, whatever is in it."""

from __future__ import annotations

import io
import stat
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pyoci.export.directory import write_root_directory
from pyoci.export.rootfs import write_root_tar
from pyoci.layer.entry import Entry, Upsert
from pyoci.layer.index import index_layer
from pyoci.layer.tree import Tree
from tests.builders import Item, changes_of, directory, fifo, file, opaque, removed, symlink

paths = st.lists(st.sampled_from(["a", "b", "c.txt", "\u2603", "x" * 101]), min_size=1, max_size=3).map("/".join)
modes = st.sampled_from([0o755, 0o600, 0o4711, 0o1777, 0o500])
items: st.SearchStrategy[Item] = st.one_of(
    st.builds(file, st.binary(max_size=20), mode=modes, uid=st.integers(0, 70_000), mtime=st.integers(0, 2**31)),
    st.builds(directory, mode=modes, gid=st.integers(0, 70_000), mtime=st.integers(0, 2**31)),
    st.builds(symlink, st.sampled_from(["a", "/b", "../../..", "gone"]), mtime=st.integers(0, 2**31)),
    st.builds(fifo, mode=modes),
)
layers = st.lists(
    st.dictionaries(paths, items | st.builds(removed) | st.builds(opaque), max_size=6), min_size=1, max_size=3
)


def without_clashes(layer: dict[str, Item]) -> dict[str, Item]:
    """A layer in which nothing is below what is no directory."""
    above = {"/".join(path.split("/")[:depth]) for path in layer for depth in range(1, path.count("/") + 1)}
    return {path: item for path, item in layer.items() if path not in above}


def tree_of(stack: list[dict[str, Item]]) -> Tree:
    return Tree([changes_of(without_clashes(layer)) for layer in stack])


def content(tree: Tree, entry: Entry) -> bytes:
    with tree.open(entry) as stream:
        return stream.read()


@given(layers)
def test_the_tar_is_the_tree(stack: list[dict[str, Item]]) -> None:
    tree = tree_of(stack)
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as scratch:
        write_root_tar(tree, out, scratch=Path(scratch))
    out.seek(0)
    index = index_layer(out, "none", diff_id=None)
    assert list(index.changes) == [Upsert(entry) for entry in tree.walk()]


@given(layers)
def test_the_directory_is_the_tree_but_for_owners(stack: list[dict[str, Item]]) -> None:
    tree = tree_of(stack)
    with tempfile.TemporaryDirectory() as name:
        target = Path(name, "out")
        write_root_directory(tree, target, scratch=Path(name))
        walked = list(tree.walk())
        assert {path.relative_to(target).as_posix() for path in target.rglob("*")} == {entry.path for entry in walked}
        for entry in walked:
            path = target / entry.path
            status = path.lstat()
            if entry.type == "symlink":
                assert str(path.readlink()) == entry.link
            else:
                assert stat.S_IMODE(status.st_mode) == entry.mode
            assert int(status.st_mtime) == entry.mtime
            if entry.type == "file":
                assert path.read_bytes() == content(tree, entry)
