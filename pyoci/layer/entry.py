"""One entry of a file system as a value: what a tar header says, without the bytes.

Paths in layers are relative, `/`-separated strings without `.`, `..` or a leading slash; the root is the empty string;
bytes that are not UTF-8 are surrogate escapes (PEP 383).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NewType, TypeAlias

from pyoci.values import dataclass, field

__all__ = ["Change", "Entry", "EntryType", "LayerPath", "Opaque", "Remove", "Upsert"]

LayerPath = NewType("LayerPath", str)
EntryType = Literal["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Metadata of one path. `mode` is permission bits with setuid, setgid and sticky (0..0o7777)."""

    path: LayerPath
    type: EntryType
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    """Bytes of content; 0 for everything but files."""
    mtime: int = 0
    """Seconds since the epoch."""
    link: str = ""
    """A symlink's target as written; a hardlink's target as a LayerPath."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device node."""
    xattrs: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    """Extended attributes by full name (`security.capability`)."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """The path is as the entry says; a directory over a directory keeps its contents, anything else is replaced."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Remove:
    """The path of the layers below is gone, with everything under it."""

    path: LayerPath


@dataclass(frozen=True, slots=True)
class Opaque:
    """The contents that the layers below have in this directory are gone; the directory stays."""

    path: LayerPath


Change: TypeAlias = Upsert | Remove | Opaque
