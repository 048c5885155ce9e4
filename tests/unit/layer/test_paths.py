"""Paths of layers and the order in which they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.errors import LayerError
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.paths import PATH_LIMIT, change_key, join, layer_path, parent_of, parents_of, tree_key

P = LayerPath
NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=4).filter(lambda n: n not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=5).map(lambda parts: P("/".join(parts)))


def test_parents() -> None:
    assert parents_of(P("usr/local/bin")) == ["usr", "usr/local"]
    assert parents_of(P("usr")) == parents_of(P("")) == []
    assert parent_of(P("usr/bin")) == "usr"
    assert parent_of(P("usr")) == parent_of(P("")) == ""
    assert join(P(""), "a") == "a"
    assert join(P("a"), "b") == "a/b"


@given(st.lists(PATHS, max_size=20))
def test_the_order_is_that_of_a_walk(paths: list[LayerPath]) -> None:
    """By the definition: paths compare as lists of their components."""
    assert sorted(paths, key=tree_key) == sorted(paths, key=lambda path: path.split("/"))


@given(PATHS)
def test_clean_paths_stay(path: LayerPath) -> None:
    assert layer_path(path) == path
    assert layer_path(f"./{path}/") == layer_path(f"/{path}") == layer_path(f"x/../{path}//") == path


def test_what_hides_comes_before_what_is_there() -> None:
    changes: list[Change] = [
        Upsert(Entry(P("d"), "dir")),
        Opaque(P("d")),
        Remove(P("d/z")),
        Upsert(Entry(P("d/\1"), "file")),
        Upsert(Entry(P("d/a"), "dir")),
        Remove(P("d/a/x")),
        Upsert(Entry(P("d/a/b"), "file")),
        Upsert(Entry(P("d-"), "file")),
    ]
    shuffled = changes[4:] + changes[:4]
    assert sorted(shuffled, key=change_key) == changes


def test_the_longest_path() -> None:
    longest = "a/" * (PATH_LIMIT // 2 - 1) + "bb"
    assert layer_path(longest) == longest
    with pytest.raises(LayerError, match="longer than 4096 bytes"):
        layer_path("é" * (PATH_LIMIT // 2 + 1))
