"""A tree of metadata and a directory on disk agree on what a stack of layers is, whatever the layers say."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hypothesis import example, given, settings

from pyoci.errors import LayerError
from pyoci.layer.apply import ApplyPolicy, apply_layer
from pyoci.layer.directories import remove_tree
from pyoci.layer.paths import parent_of
from pyoci.layer.tree import Tree, flatten
from pyoci.layer.writer import write_layer
from tests.stacks import FILE_THEN_BELOW_IT, STACKS, TarEntry, seen_in_tree, seen_on_disk, tars_of, tree_of_tars

MERGE = ApplyPolicy("merge", "record", "record")


@contextmanager
def directory() -> Iterator[Path]:
    """An empty directory that goes whatever modes it got."""
    path = Path(tempfile.mkdtemp(prefix="pyoci-test-"))
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        yield path
    finally:
        remove_tree(path.name, parent)
        os.close(parent)


def merged_on_disk(tars: list[bytes]) -> Mapping[str, str]:
    with directory() as root:
        descriptor = os.open(root, os.O_RDONLY)
        try:
            for data in tars:
                apply_layer(io.BytesIO(data), descriptor, policy=MERGE)
        finally:
            os.close(descriptor)
        return seen_on_disk(root)


def in_tree(tars: list[bytes]) -> Mapping[str, str]:
    return seen_in_tree(tree_of_tars(tars))


def outcome(look: object, tars: list[bytes]) -> Mapping[str, str] | None:
    """What is seen; None where the layers are refused."""
    try:
        return look(tars)  # type: ignore[operator,no-any-return]
    except LayerError:
        return None


@given(STACKS)
@example(FILE_THEN_BELOW_IT)
@settings(max_examples=300, deadline=None)
def test_merging_on_disk_and_in_the_tree_is_the_same(stack: list[list[TarEntry]]) -> None:
    tars = tars_of(stack)
    assert outcome(in_tree, tars) == outcome(merged_on_disk, tars)


@given(STACKS)
@settings(max_examples=150, deadline=None)
def test_a_flattened_tree_shows_the_same(stack: list[list[TarEntry]]) -> None:
    tars = tars_of(stack)
    expected = outcome(in_tree, tars)
    if expected is None:
        return
    tree = tree_of_tars(tars)
    out = io.BytesIO()
    write_layer(flatten(tree), tree.open_content, out, compression="none", mtime_limit=0)
    assert in_tree([out.getvalue()]) == expected
    assert merged_on_disk([out.getvalue()]) == expected


@given(STACKS)
@settings(max_examples=150, deadline=None)
def test_a_layer_written_from_its_index_means_the_same(stack: list[list[TarEntry]]) -> None:
    """The normal form changes no meaning: neither alone nor in its stack."""
    tars = tars_of(stack)
    expected = outcome(in_tree, tars)
    if expected is None:
        return
    again = []
    for layer in tree_of_tars(tars).layers:
        out = io.BytesIO()
        write_layer(layer.changes, layer.open, out, compression="none", mtime_limit=0)
        again.append(out.getvalue())
    assert in_tree(again) == expected
    assert outcome(merged_on_disk, again) == expected


@given(STACKS)
@settings(max_examples=100, deadline=None)
def test_every_way_of_looking_agrees(stack: list[list[TarEntry]]) -> None:
    tars = tars_of(stack)
    if outcome(in_tree, tars) is None:
        return
    tree = tree_of_tars(tars)
    fresh = Tree(tree.layers)
    for entry in tree.walk():
        assert fresh.lookup_nofollow(entry.path) == entry
        assert entry in fresh.children(parent_of(entry.path))
