"""Bake files as tests write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyoci.bake.read import BakeFile, Surroundings, read_definitions
from pyoci.bake.render import definition, render_json
from pyoci.bake.resolve import resolve
from pyoci.location import SourceFile

NOW = 1_700_000_000
"""2023-11-14T22:13:20Z."""


def read(files: Mapping[str, str], variables: Mapping[str, str], warnings: list[str] | None = None) -> BakeFile:
    sources = [SourceFile(name, text) for name, text in files.items()]
    surroundings = Surroundings(variables, variables, "linux/amd64", NOW, "/home/me")
    return read_definitions(sources, surroundings, (warnings if warnings is not None else []).append)


def printed(
    text: str | Mapping[str, str],
    *targets: str,
    name: str = "docker-bake.hcl",
    overrides: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Any:
    """What `--print` shows, as values."""
    variables = variables or {}
    found = read({name: text} if isinstance(text, str) else text, variables)
    resolved = resolve(found.definitions, targets or ("default",), overrides, variables=variables)
    return json.loads(render_json(definition(resolved.groups, resolved.targets)))


def argument(expression: str, *, variables: Mapping[str, str] | None = None, before: str = "") -> Any:
    """What an expression gives as a build argument."""
    text = f'{before}\ntarget "default" {{\n args = {{ X = {expression} }}\n}}\n'
    return printed(text, variables=variables)["target"]["default"]["args"]["X"]
