"""Tars as iterators: layers with their whiteouts understood, other archives as they are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, cast

from pyoci.errors import LayerError
from pyoci.layer.entry import Change, Entry, Upsert
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.layer.tar_reader import TarReader
from pyoci.layer.whiteout import interpret

__all__ = ["is_archive", "read_archive", "read_changes"]

_READ = 1 << 20


class _Body(io.RawIOBase):
    """The content of one entry as a stream, for as long as the reader has not moved on."""

    def __init__(self, reader: TarReader, offset: int) -> None:
        super().__init__()
        self._reader = reader
        self._offset = offset
        self._rest: bytes | memoryview = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        if not self._rest:
            if self._reader.header_offset != self._offset:
                raise ValueError("the reader is at another entry")
            self._rest = self._reader.piece()
        data, self._rest = self._rest[:size], self._rest[size:]
        return bytes(data)

    def readall(self) -> bytes:
        parts = []
        while data := self.read(_READ):
            parts.append(data)
        return b"".join(parts)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def read_archive(stream: BinaryIO, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[tuple[Entry, BinaryIO | None]]:
    """The entries of an uncompressed tar in stored order, files with their content, which is gone when the next entry
    comes.

    Names that mean whiteouts in a layer mean nothing here: what ADD unpacks are files (as in BuildKit).

    Raises:
        LayerError: as `TarReader.next`; also by reading a content.
    """
    reader = TarReader(stream, limits=limits)
    while (entry := reader.next()) is not None:
        body = cast("BinaryIO", _Body(reader, reader.header_offset)) if entry.type == "file" else None
        yield entry, body


def read_changes(stream: BinaryIO, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[tuple[Change, BinaryIO | None]]:
    """As `read_archive`, for a layer: with whiteouts as what they mean.

    Paths may occur several times, and hard links may point to AUFS's link store; `ChangeBuilder` settles both.

    Raises:
        LayerError: as `read_archive`, or a whiteout is invalid.
    """
    for entry, body in read_archive(stream, limits=limits):
        change = interpret(entry)
        if change is not None:
            yield change, body if isinstance(change, Upsert) else None


def is_archive(stream: BinaryIO) -> bool:
    """Whether an uncompressed stream begins with a tar header: how docker's ADD knows what to unpack."""
    try:
        return TarReader(stream).next() is not None
    except LayerError:
        return False
