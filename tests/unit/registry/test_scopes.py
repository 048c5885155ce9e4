"""Scopes of tokens are merged by resource."""

from __future__ import annotations

import pytest

from pyoci.registry.scopes import merge_scopes, repository_scope, split_scopes


@pytest.mark.parametrize(
    ("scopes", "merged"),
    [
        ((), ()),
        (("repository:a:pull",), ("repository:a:pull",)),
        (("repository:a:pull", "repository:a:pull"), ("repository:a:pull",)),
        (("repository:a:push", "repository:a:pull"), ("repository:a:pull,push",)),
        (("repository:b:pull", "repository:a:push,pull"), ("repository:a:pull,push", "repository:b:pull")),
        (("registry:catalog:*", "repository:a:delete,pull"), ("registry:catalog:*", "repository:a:pull,delete")),
        (("repository:host:5000/a:pull",), ("repository:host:5000/a:pull",)),
        (("plain",), ("plain",)),
    ],
)
def test_merging(scopes: tuple[str, ...], merged: tuple[str, ...]) -> None:
    assert merge_scopes(scopes) == merged
    assert merge_scopes(merged) == merged


def test_spelling() -> None:
    assert repository_scope("library/alpine", "pull", "push") == "repository:library/alpine:pull,push"
    assert split_scopes(" repository:a:pull  repository:b:pull ") == ("repository:a:pull", "repository:b:pull")
