"""The seam between metadata and bytes of changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol, TypeAlias

from pyoci.layer.entry import Change, Entry

__all__ = ["ChangeSet", "OpenContent"]

OpenContent: TypeAlias = Callable[[Entry], "BinaryIO | int"]
"""Opens the bytes of a `file` entry: a stream, or a file descriptor. Whoever calls it closes what it gets."""


class ChangeSet(Protocol):
    """One layer's worth of changes with their bytes, wherever those are: a blob, an upper directory, a build context."""

    @property
    def changes(self) -> Sequence[Change]:
        """In an order in which they can be applied: sorted by path, whiteouts of a directory before its other entries."""

    def open(self, entry: Entry) -> BinaryIO | int:
        """As `OpenContent`, for an entry of `changes`."""
