"""Where an image can be copied from and to, as users type it.

    registry.example.com/app:1      a registry: any name without one of the prefixes below
    store:app:1                     the store of this machine
    oci-layout:DIR[:NAME]           a directory with an OCI layout; DIR@sha256:… is one image of it
    oci-archive:FILE[:NAME]         the same as a tar
    docker-archive:FILE[:NAME]      what docker save writes and docker load reads

A bare name is always a registry, whatever the store has: what a command does must not depend on what was pulled before.
NAME is a tag or a whole name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, cast

from pyoci.environment import Environment
from pyoci.errors import UsageError
from pyoci.reference import Reference, parse_reference
from pyoci.values import dataclass

__all__ = ["ArchivePlace", "LayoutPlace", "Place", "RegistryPlace", "StorePlace", "parse_place"]


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    """One image of a registry."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class StorePlace:
    """One image of the store, by name (or, to copy from, by ID)."""

    name: str


@dataclass(frozen=True, slots=True)
class LayoutPlace:
    """One image of a layout in a directory."""

    path: Path
    name: str
    """Empty, a tag, a whole name, or `@sha256:…`."""


@dataclass(frozen=True, slots=True)
class ArchivePlace:
    """One image of an archive."""

    path: Path
    name: str
    """As in a layout."""
    format: Literal["oci", "docker"]


Place: TypeAlias = RegistryPlace | StorePlace | LayoutPlace | ArchivePlace

_OTHERS_PREFIXES = {
    "docker://": "write the name alone",
    "oci:": "write oci-layout:DIR[:NAME]",
    "dir:": "write oci-layout:DIR[:NAME]",
    "containers-storage:": "write store:NAME for the store of pyoci",
    "docker-daemon:": "write docker-archive:FILE, and give the file to docker load",
}
"""What other programs call the same, or what is not there."""


def parse_place(text: str, environment: Environment) -> Place:
    """The place that `text` names; relative paths are relative to the working directory.

    Raises:
        UsageError: it names none; the hint says how it would be written.
    """
    for prefix, hint in _OTHERS_PREFIXES.items():
        if text.startswith(prefix) and not text.removeprefix(prefix)[:1].isdigit():
            raise UsageError(f'unknown kind of place: "{text}"', hint=hint)
    kind, colon, rest = text.partition(":")
    if not colon or kind not in ("store", "oci-layout", "oci-archive", "docker-archive"):
        return RegistryPlace(parse_reference(text))
    if not rest:
        raise UsageError(f'"{text}" names nothing', hint=f"write {kind}:{'NAME' if kind == 'store' else 'PATH'}")
    if kind == "store":
        return StorePlace(rest)
    path, name = _split(rest.removeprefix("//"), environment)
    if not path:
        raise UsageError(f'"{text}" has no path', hint=f"write {kind}:PATH[:NAME]")
    if kind == "oci-layout":
        return LayoutPlace(environment.path(path), name)
    return ArchivePlace(environment.path(path), name, cast('Literal["oci", "docker"]', kind.removesuffix("-archive")))


def _split(text: str, environment: Environment) -> tuple[str, str]:
    """Path and name. The first colon ends the path, unless the whole is there."""
    if environment.path(text).exists():
        return text, ""
    path, at, digest = text.partition("@sha256:")
    if at:
        return path, f"@sha256:{digest}"
    path, _, name = text.partition(":")
    return path, name
