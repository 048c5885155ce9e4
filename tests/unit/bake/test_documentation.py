"""docs/bake.md names everything that there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from pyoci.bake.attributes import ATTRIBUTES
from pyoci.bake.functions import ELSEWHERE, standard_functions
from pyoci.bake.overrides import KEYS
from pyoci.cli import bake_environment
from pyoci.cli.arguments import add_connection, make_parser
from pyoci.cli.commands import bake

TEXT = (Path(__file__).parents[3] / "docs" / "bake.md").read_text()
OWN = {"--isolation", "--preflight", "--ca-bundle", "--quiet"}
"""Flags of bake that buildx has not, besides those of every verb."""


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def words(text: str) -> set[str]:
    return {word for quoted in re.findall(r"`([^`]+)`", text) for word in quoted.split()}


def test_attributes() -> None:
    named = words(
        "".join(line.split(" | ")[1] for line in section("Attributes of a target").splitlines() if "| `" in line)
    )
    assert named == {*ATTRIBUTES, "name", "matrix"}


def test_functions() -> None:
    there, _, refused = section("Functions").partition("✗")
    assert words(there.partition("✓")[2]) == {*standard_functions(now=0, home=""), "can", "convert", "try"}
    assert words(refused.partition(":")[0]) == set(ELSEWHERE)


def test_keys_of_set() -> None:
    text = section("Flags").partition("`--set` takes every key")[2]
    assert {word.partition(".")[0] for word in words(text)} == set(KEYS)


def test_flags() -> None:
    parser = make_parser("bake", "x")
    bake.add_arguments(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    flags = {flag for flag in flags if "=" not in flag and not flag.startswith("--list-")}
    everywhere = make_parser("login", "x")
    add_connection(everywhere)
    shared = {flag for action in everywhere._actions for flag in action.option_strings}
    assert {word for word in words(section("Flags")) if word.startswith("--")} == flags - OWN - shared


def test_variables_of_the_environment() -> None:
    known = set(re.findall(r"\b(?:BUILDX_BAKE|BAKE)_[A-Z_]+", Path(bake_environment.__file__).read_text()))
    assert known == set(re.findall(r"\b(?:BUILDX_BAKE|BAKE)_[A-Z_]+", section("Environment")))
