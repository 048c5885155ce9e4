"""Files to definitions: which language each is in, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pyoci.bake.compose import is_compose, parse_compose
from pyoci.bake.compose_files import ReadFile
from pyoci.bake.definitions import define, with_more
from pyoci.bake.functions import standard_functions
from pyoci.bake.hcl import parse_hcl
from pyoci.bake.json_text import parse_json
from pyoci.bake.problems import nested
from pyoci.bake.relative import directory_of, rebased
from pyoci.bake.resolve import Definitions
from pyoci.bake.syntax import Body
from pyoci.bake.variables import Variable, Variables
from pyoci.errors import BakeError, UsageError
from pyoci.location import SourceFile
from pyoci.values import dataclass, replace

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


def _no_file(path: str) -> SourceFile:
    raise UsageError(f"cannot read {path}: no other file is read here")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What bake files may ask of the outside."""

    variables: Mapping[str, str]
    """The environment, as far as variables may be taken from it, with `--var` over it."""
    compose_variables: Mapping[str, str]
    """The same with what `.env` adds, which counts in Compose files alone."""
    platform: str
    """Of this machine."""
    now: int
    """Seconds since 1970."""
    home: str
    command_context: str = "cwd://"
    """The directory that the command works in: this one, or a URL."""
    relative: bool = False
    """Whether contexts are relative to their files."""
    read_file: ReadFile = _no_file
    """For files that Compose files name."""


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
    builtins = {"BAKE_CMD_CONTEXT": surroundings.command_context, "BAKE_LOCAL_PLATFORM": surroundings.platform}
    functions = standard_functions(now=surroundings.now, home=surroundings.home)
    variables = Variables(outside=surroundings.variables.get, builtins=builtins, functions=functions)
    with nested(sources[0].name if sources else "the bake file"):
        found = parse_compose(compose, surroundings.compose_variables, warn, surroundings.read_file)
        if surroundings.relative and compose:
            base = directory_of(compose[0].name)
            found = replace(found, targets={name: rebased(one, base) for name, one in found.targets.items()})
        if bodies:
            found = with_more(found, define(bodies, variables, relative=surroundings.relative))
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
