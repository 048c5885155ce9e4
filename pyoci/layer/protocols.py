"""The seam between metadata and bytes of changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol, TypeAlias, runtime_checkable

from pyoci.digest import Digest
from pyoci.layer.entry import Change, Entry

__all__ = ["ChangeSet", "KnowsDigests", "OpenContent"]

OpenContent: TypeAlias = Callable[[Entry], "BinaryIO | int"]
"""Opens the bytes of a `file` entry: a stream, or a file descriptor. Whoever calls it closes what it gets."""


class ChangeSet(Protocol):
    """One layer's worth of changes with their bytes, wherever those are: a blob, an upper directory, a context."""

    @property
    def changes(self) -> Sequence[Change]:
        """In normal form (`sorted_changes`): each path once, parents first, whiteouts of a directory before its
        entries.
        """

    def open(self, entry: Entry) -> BinaryIO | int:
        """As `OpenContent`, for an entry of `changes`."""


@runtime_checkable
class KnowsDigests(Protocol):
    """A ChangeSet that can tell what is in its files without reading them."""

    def digest_of(self, entry: Entry) -> Digest | None:
        """The sha256 digest of a file's content; None where it is not known."""
