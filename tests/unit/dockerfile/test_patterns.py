"""Patterns beyond the tables of fixtures/patterns: the file itself, walkers' questions, malformed ones, time."""

from __future__ import annotations

import time

import pytest

from pyoci.dockerfile.paths import base_name, clean
from pyoci.dockerfile.patterns import (
    PatternSet,
    go_match,
    has_wildcards,
    match_components,
    parse_dockerignore,
    read_ignore_patterns,
)
from pyoci.errors import DockerfileError


def test_an_ignore_file() -> None:
    raw = b"\xef\xbb\xbf# comment\n\n  a/  \r\n! /b//c\n/\n #no comment\n!\n//d/../e\n\xff\n/.git\n"
    assert read_ignore_patterns(raw) == ["a", "!b/c", "/", "#no comment", "!", "e", "\udcff", ".git"]


def test_a_lone_exclamation_mark_is_refused() -> None:
    with pytest.raises(DockerfileError, match="takes back nothing"):
        parse_dockerignore(b"a\n!\n")


@pytest.mark.parametrize("pattern", ["[", "a[", "[a", "[a-", "a\\", "[z-a]", "x/[", "[^"])
def test_malformed_patterns(pattern: str) -> None:
    with pytest.raises(DockerfileError, match="malformed"):
        PatternSet([pattern])
    with pytest.raises(DockerfileError, match="malformed"):
        go_match(pattern, "a")


def test_no_patterns_leave_nothing_out() -> None:
    assert not PatternSet([]).excluded("a/b")
    assert not PatternSet(["", "  "]).excluded("a")


def test_what_can_be_taken_back_below_a_directory() -> None:
    found = PatternSet(["*", "!src/app/*.go", "!docs", "!**/keep"])
    assert found.has_negations
    assert found.may_reinclude_below("src")
    assert found.may_reinclude_below("src/app")
    only = PatternSet(["*", "!src/app/*.go", "!docs/a"])
    assert only.may_reinclude_below("src")
    assert only.may_reinclude_below("src/app/deep")
    assert only.may_reinclude_below("docs")
    assert not only.may_reinclude_below("docs/a")
    assert not only.may_reinclude_below("other")
    assert not only.may_reinclude_below("src/other")
    assert not PatternSet(["*"]).may_reinclude_below("a")


def test_questions_may_be_asked_in_any_order() -> None:
    found = PatternSet(["a", "!a/b", "a/b/c"])
    assert [found.excluded(path) for path in ("a/b/c/d", "a/b", "a", "a/x/y")] == [True, False, True, True]


def test_everything() -> None:
    assert PatternSet(["**"]).excludes_everything
    assert not PatternSet(["**/a"]).excludes_everything


def test_wildcards() -> None:
    assert [has_wildcards(text) for text in ("a*", "a?", "[a]", "a\\*", "a\\\\*", "a]", "")] == [
        *(True, True, True, False, True, False, False)
    ]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("a/*.go", "a", (False, True)),
        ("a/*.go", "a/x.go", (True, False)),
        ("a/*.go", "b", (False, False)),
        ("a/**/x", "a/b/c", (False, True)),
        ("a/**/x", "a/x", (True, True)),
        ("a/**", "a/b", (True, True)),
        ("a", "a/b", (False, False)),
        ("**/*.go", "a/b.go", (True, True)),
    ],
)
def test_components(pattern: str, path: str, expected: tuple[bool, bool]) -> None:
    assert match_components(pattern.split("/"), path.split("/")) == expected


def test_paths_are_cleaned_as_go_cleans_them() -> None:
    texts = ("", ".", "/", "//", "a//b", "a/./b/", "a/../..", "/..", "//a", "../a")
    assert [clean(text) for text in texts] == [".", ".", "/", "/", "a/b", "a/b", "..", "/", "/a", "../a"]
    assert [base_name(text) for text in ("", "/", "//", "a", "/a/b/", "a/")] == [".", "/", "/", "a", "b", "a"]


def test_many_paths_take_little_time() -> None:
    patterns = ["*.log", "**/node_modules", "!keep/**", "dist/**/*.map", ".git", "**/*.test.*", "tmp/*", "!tmp/x"] * 3
    paths = [f"dir{i % 100}/sub{i % 7}/file{i}.txt" for i in range(20_000)]
    begin = time.perf_counter()
    found = PatternSet(patterns)
    assert sum(map(found.excluded, paths)) == 0
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize("pattern", ["*a" * 30 + "b", "**/a*/" * 12 + "b", "**/a/" * 12 + "b", "a?*" * 20 + "b"])
def test_no_pattern_is_slow(pattern: str) -> None:
    begin = time.perf_counter()
    PatternSet([pattern]).excluded("a" * 250)
    PatternSet([pattern]).excluded("a/" * 120 + "a")
    assert time.perf_counter() - begin < 2
