"""The content of one file of a tar onto the disk, hashed on its way where somebody wants to know."""

from __future__ import annotations

import hashlib
import os

from pyoci.layer.sparse import Region, filled
from pyoci.layer.tar_reader import TarReader

__all__ = ["write_content"]


def write_content(reader: TarReader, descriptor: int, size: int, *, hashed: bool) -> bytes | None:
    """Writes what the reader has of its entry, a file of `size` bytes; returns the sha256 of the content if it is to be
    `hashed`.

    Holes stay holes, so that a file costs no more than its layer does.

    Raises:
        LayerError: the archive ends before the content.
        OSError: the disk refuses it.
    """
    digest = hashlib.sha256() if hashed else None
    if reader.regions is not None:
        os.ftruncate(descriptor, size)
        if digest is None:
            _write_regions(reader, descriptor, reader.regions)
        else:
            _write_hashed_regions(reader, descriptor, reader.regions, size, digest)
        return digest.digest() if digest is not None else None
    while piece := reader.piece():
        if digest is not None:
            digest.update(piece)
        written = os.write(descriptor, piece)
        while written < len(piece):
            written += os.write(descriptor, piece[written:])
    return digest.digest() if digest is not None else None


def _write_regions(reader: TarReader, descriptor: int, regions: tuple[Region, ...]) -> None:
    for offset, length in regions:
        end = offset + length
        while offset < end:
            piece = reader.stored_piece(end - offset)
            _write_at(descriptor, piece, offset)
            offset += len(piece)


def _write_hashed_regions(
    reader: TarReader, descriptor: int, regions: tuple[Region, ...], size: int, digest: hashlib._Hash
) -> None:
    position = 0

    def stored(limit: int) -> bytes | memoryview:
        piece = reader.stored_piece(limit)
        _write_at(descriptor, piece, position)
        return piece

    for piece in filled(regions, size, stored):  # which asks for the next piece when this one has been counted
        digest.update(piece)
        position += len(piece)


def _write_at(descriptor: int, piece: bytes | memoryview, offset: int) -> None:
    while piece:
        written = os.pwrite(descriptor, piece, offset)
        offset += written
        piece = piece[written:]
