"""What earlier commands left behind that were stopped in the middle: beginnings of downloads, and uploads under way."""

from __future__ import annotations

from typing import Protocol

from pyoci.image.descriptor import Descriptor

__all__ = ["NOTHING_LEFT", "KeptUpload", "Leftovers", "Partial"]


class Partial(Protocol):
    """What an earlier command has left of a blob's beginning."""

    @property
    def size(self) -> int: ...

    def read(self, size: int, /) -> bytes: ...

    def discard(self) -> None:
        """Removes it for good: it has been read to its end, or is of no use."""

    def close(self) -> None:
        """Gives it back, for the next command unless it was discarded."""


class KeptUpload(Protocol):
    """Where one upload of a blob goes on."""

    @property
    def location(self) -> str:
        """What an earlier command kept, or this one; empty where there is nothing."""

    def keep(self, location: str) -> None:
        """Remembers where the registry takes the rest from now on; empty for nowhere."""

    def discard(self) -> None:
        """Forgets it for good: the blob is there."""

    def close(self) -> None:
        """Gives it back, for the next command if there is anything to go on from."""


class Leftovers(Protocol):
    """Where they are kept. Nobody else gets what was taken until it is closed. May be used from several threads."""

    def take_partial(self, descriptor: Descriptor) -> Partial | None:
        """The beginning of a blob."""

    def take_upload(self, repository: str, descriptor: Descriptor) -> KeptUpload | None:
        """Where the upload of a blob to a repository (`registry/name`) goes on, or is to be remembered; None where that
        is not worth it.
        """


class _NothingLeft:
    def take_partial(self, descriptor: Descriptor) -> None:
        return None

    def take_upload(self, repository: str, descriptor: Descriptor) -> None:
        return None


NOTHING_LEFT: Leftovers = _NothingLeft()
"""For clients without a place to keep anything in."""
