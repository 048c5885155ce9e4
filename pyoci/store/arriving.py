"""Blobs on their way in: what an interrupted command has left of one is where the next command goes on.

A blob that is being written is locked by its writer, and has its digest in its name. One that nobody locks was left by
a writer that is gone: whoever takes it over owns its bytes, which prove nothing until the whole blob is verified.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pyoci.digest import Digest, digest_hex
from pyoci.errors import ContentError
from pyoci.image.descriptor import Descriptor

__all__ = ["WORTH_KEEPING_BYTES", "LeftBehind", "arriving_path", "begin", "give_up", "take"]

WORTH_KEEPING_BYTES = 1 << 20
"""Less is fetched again sooner than it is found."""


def arriving_path(temporary: Path, digest: Digest, unique: str) -> Path:
    """The name of a blob while it is written."""
    return temporary / f"arriving.{digest_hex(digest)}.{unique}"


def begin(stream: BinaryIO, path: Path, name: Path) -> None:
    """Locks a file that was just made at `path`, and gives it the name under which it can be found. OSError: it cannot
    be renamed.
    """
    fcntl.flock(stream.fileno(), fcntl.LOCK_EX)
    path.replace(name)


def give_up(path: Path, error: BaseException) -> None:
    """Removes a blob that was not finished, unless what is there is right as far as it goes, and enough to go on from.

    What a source said to be wrong is not, and a full disk wants its space back.
    """
    with suppress(OSError):
        if isinstance(error, ContentError | OSError) or path.stat().st_size < WORTH_KEEPING_BYTES:
            path.unlink()


class LeftBehind:
    """The beginning of a blob, locked until it is closed. It stays for the next command unless it is discarded."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self.size = os.fstat(stream.fileno()).st_size

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size)

    def discard(self) -> None:
        """Removes the file: its bytes are elsewhere by now, or of no use."""
        with suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        self._stream.close()


def take(temporary: Path, descriptor: Descriptor) -> LeftBehind | None:
    """The beginning of a blob as far as an interrupted command had it; None where there is none.

    Of several the longest; the others are removed, but for what somebody is writing now.
    """
    if descriptor.size < WORTH_KEEPING_BYTES:
        return None
    found = sorted(_left_behind(temporary, descriptor.digest), key=lambda one: one.size)
    best = found.pop() if found and found[-1].size <= descriptor.size else None
    for other in found:
        other.discard()
        other.close()
    return best


def _left_behind(temporary: Path, digest: Digest) -> Iterator[LeftBehind]:
    for path in temporary.glob(f"arriving.{digest_hex(digest)}.*"):
        try:
            stream = path.open("rb")
        except OSError:
            continue
        try:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.close()
            continue
        yield LeftBehind(stream, path)
