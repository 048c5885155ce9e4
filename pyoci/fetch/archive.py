"""A tar as a tree of files: contexts that come as an archive are read where they lie and never unpacked.

Its uncompressed bytes are written once into an unnamed file, from which every file is read by position. Names that mean
whiteouts in a layer mean nothing here.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from pyoci.digest import Digest
from pyoci.errors import LayerError
from pyoci.layer.compression import compression_of, detect, open_decompressed
from pyoci.layer.entry import Change, Entry
from pyoci.layer.header import checksum_is_right
from pyoci.layer.index import LayerIndex, Place, index_layer
from pyoci.layer.sparse import filled
from pyoci.layer.tree import Tree

__all__ = ["HEAD_BYTES", "ArchiveFiles", "looks_like_archive", "open_archive"]

_CHUNK = 1 << 20
HEAD_BYTES = 512
"""What `looks_like_archive` wants to see."""


def looks_like_archive(head: bytes) -> bool:
    """Whether the first bytes of something are those of a tar or of a compressed file.

    What is compressed is not looked into: in the place of a context it can only be an archive (as docker has it).
    """
    if compression_of(head) != "none":
        return True
    try:
        return len(head) >= HEAD_BYTES and checksum_is_right(head[:HEAD_BYTES], head[148:156])
    except ValueError:
        return False


class ArchiveFiles:
    """A ChangeSet over an uncompressed tar in an open file, which ends with it. May be used from several threads."""

    def __init__(self, index: LayerIndex, descriptor: int) -> None:
        self._index = index
        self._descriptor = descriptor

    @property
    def changes(self) -> Sequence[Change]:
        return self._index.changes

    @property
    def digest(self) -> Digest:
        """Of the uncompressed tar."""
        return self._index.diff_id

    def digest_of(self, entry: Entry) -> Digest | None:
        place = self._index.place(entry.path)
        return place.digest if place else None

    def open(self, entry: Entry) -> BinaryIO:
        place = self._index.place(entry.path)
        if place is None:
            raise LayerError(f'"{entry.path}" is not a file of the archive')
        return cast("BinaryIO", io.BufferedReader(_Content(place, self._descriptor), _CHUNK))

    def tree(self) -> Tree:
        """The archive's files."""
        return Tree((self,))

    def __del__(self) -> None:
        os.close(self._descriptor)


class _Content(io.RawIOBase):
    """The bytes of one file, holes filled."""

    def __init__(self, place: Place, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._position = place.offset
        regions = ((0, place.size),) if place.regions is None else place.regions
        self._pieces = filled(regions, place.size, self._take)
        self._rest: bytes | memoryview = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if not self._rest:
            try:
                self._rest = next(self._pieces, b"")
            except ValueError as error:
                raise LayerError("the archive was changed while it was read") from error
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def _take(self, limit: int) -> bytes:
        data = os.pread(self._descriptor, min(limit, _CHUNK), self._position)
        self._position += len(data)
        return data


class _Copied:
    """A stream whose bytes are written down as they are read."""

    def __init__(self, stream: BinaryIO, descriptor: int) -> None:
        self._stream = stream
        self._descriptor = descriptor

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return data


def open_archive(stream: BinaryIO, directory: Path) -> ArchiveFiles:
    """The files of a tar (plain or compressed), whose bytes are written down in an unnamed file in `directory`.

    The stream is read to its end and closed.

    Raises:
        LayerError: it is no tar, damaged or unsafe.
        OSError: `directory` is full.
    """
    descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        with stream:
            compression, rejoined = detect(stream)
            plain = open_decompressed(rejoined, compression)
            index = index_layer(cast("BinaryIO", _Copied(plain, descriptor)), "none", diff_id=None, whiteouts=False)
    except BaseException:
        os.close(descriptor)
        raise
    return ArchiveFiles(index, descriptor)
