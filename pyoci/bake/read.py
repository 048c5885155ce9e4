"""Files to definitions: which language each is in, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pyoci.bake.compose import is_compose, parse_compose
from pyoci.bake.definitions import define, with_more
from pyoci.bake.functions import standard_functions
from pyoci.bake.hcl import parse_hcl
from pyoci.bake.json_text import parse_json
from pyoci.bake.problems import nested
from pyoci.bake.resolve import Definitions
from pyoci.bake.syntax import Body
from pyoci.bake.variables import Variable, Variables
from pyoci.errors import BakeError
from pyoci.location import SourceFile

__all__ = ["DEFAULT_FILES", "BakeFile", "Surroundings", "read_definitions"]

DEFAULT_FILES = (
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
)
"""Files that are read where none is named: all that exist, later ones over earlier ones."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What bake files may ask of the outside."""

    variables: Mapping[str, str]
    """The environment, with `--var` over it."""
    compose_variables: Mapping[str, str]
    """The same with what `.env` adds, which counts in Compose files alone."""
    platform: str
    """Of this machine."""
    now: int
    """Seconds since 1970."""
    home: str


@dataclass(frozen=True, slots=True)
class BakeFile:
    """What all files say together."""

    definitions: Definitions
    variables: tuple[Variable, ...]


def read_definitions(
    sources: Sequence[SourceFile], surroundings: Surroundings, warn: Callable[[str], None]
) -> BakeFile:
    """The definitions of all files: Compose files first, the others over them, each in the order given.

    Raises:
        BakeError: one is malformed, or something in it does not exist.
    """
    bodies: list[Body] = []
    compose: list[SourceFile] = []
    for source in sources:
        if is_compose(source.name):
            compose.append(source)
        elif (body := _body(source)) is not None:
            bodies.append(body)
        else:
            compose.append(source)
    builtins = {"BAKE_CMD_CONTEXT": "cwd://", "BAKE_LOCAL_PLATFORM": surroundings.platform}
    functions = standard_functions(now=surroundings.now, home=surroundings.home)
    variables = Variables(outside=surroundings.variables.get, builtins=builtins, functions=functions)
    with nested(sources[0].name if sources else "the bake file"):
        found = parse_compose(compose, surroundings.compose_variables, warn)
        if bodies:
            found = with_more(found, define(bodies, variables))
        return BakeFile(found, tuple(variables.listed()))


def _body(source: SourceFile) -> Body | None:
    """What an HCL or JSON file says; None if the name does not tell and it is a Compose file."""
    name = source.name.lower()
    if name.endswith(".json"):
        return parse_json(source)
    if name.endswith(".hcl"):
        return parse_hcl(source)
    if source.text.lstrip()[:1] == "{":
        return parse_json(source)
    try:
        return parse_hcl(source)
    except BakeError:
        if any(line.startswith("services:") for line in source.text.splitlines()):
            return None
        raise
