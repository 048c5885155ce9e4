"""`fixtures/patterns` and `fixtures/modes`: what Docker's own matchers say, recorded once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pyoci.dockerfile.chmod import parse_mode
from pyoci.dockerfile.patterns import PatternSet, go_match

FIXTURES = Path(__file__).parents[2] / "fixtures"


def ignore_cases() -> list[tuple[list[str], list[tuple[str, bool]]]]:
    text = (FIXTURES / "patterns" / "ignore.txt").read_text()
    cases = []
    for block in text.split("\n\n")[1:]:
        lines = [(line[0], json.loads(line[2:])) for line in block.splitlines()]
        cases.append(([value for sign, value in lines if sign == "|"], [(v, s == "-") for s, v in lines if s in "+-"]))
    return cases


@pytest.mark.parametrize(("patterns", "paths"), ignore_cases(), ids=lambda value: " ".join(map(str, value))[:60])
def test_what_is_left_out(patterns: list[str], paths: list[tuple[str, bool]]) -> None:
    found = PatternSet(patterns)
    assert [(path, found.excluded(path)) for path, _ in paths] == paths


@pytest.mark.parametrize(("patterns", "paths"), ignore_cases(), ids=lambda value: " ".join(map(str, value))[:60])
def test_no_directory_is_passed_over_that_holds_something(patterns: list[str], paths: list[tuple[str, bool]]) -> None:
    found = PatternSet(patterns)
    for path, is_excluded in paths:
        if not is_excluded:
            parents = [path[: match.start()] for match in re.finditer("/", path)]
            assert all(found.may_reinclude_below(parent) for parent in parents if found.excluded(parent))


def test_globs() -> None:
    decoder = json.JSONDecoder()
    for line in (FIXTURES / "patterns" / "globs.txt").read_text().splitlines()[2:]:
        pattern, end = decoder.raw_decode(line)
        path, end = decoder.raw_decode(line, end + 1)
        assert go_match(pattern, path) == (line[end + 1 :] == "yes"), line


def test_symbolic_modes() -> None:
    for line in (FIXTURES / "modes" / "symbolic.txt").read_text().splitlines()[2:]:
        mode, old, kind, _, new = line.split()
        assert parse_mode(mode)(int(old, 8), kind == "dir") == int(new, 8), line
