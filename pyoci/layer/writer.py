"""Changes to a tar: a layer with its descriptor and diff ID in one pass, or the plain tar of a root file system."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import BinaryIO, assert_never

from pyoci.digest import DiffID
from pyoci.errors import LayerError
from pyoci.image.descriptor import Descriptor
from pyoci.image.image import Layer
from pyoci.image.media_types import Compression, layer_media_type
from pyoci.layer.changes import as_hardlink, normalized
from pyoci.layer.compressor import LayerOutput
from pyoci.layer.encode import END_OF_ARCHIVE, encode_header, padding
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.index import IndexPayload, LayerIndex, in_columns
from pyoci.layer.protocols import OpenContent
from pyoci.layer.whiteout import marker_path, refuse_marker_name
from pyoci.values import dataclass, field, replace

__all__ = ["WrittenLayer", "write_layer"]

_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """A layer that was written, by its digests."""

    diff_id: DiffID
    descriptor: Descriptor
    uncompressed_size: int
    entry_count: int
    """Headers in the tar, whiteouts included."""
    index: LayerIndex | None = field(default=None, compare=False, repr=False)
    """As `index_layer` would read it, if it was asked for."""

    @property
    def layer(self) -> Layer:
        return Layer(self.descriptor, self.diff_id)


def write_layer(
    changes: Iterable[Change],
    open_content: OpenContent,
    out: BinaryIO,
    *,
    compression: Compression,
    level: int | None = None,
    mtime_limit: int,
    indexed: bool = False,
) -> WrittenLayer:
    """Writes the layer of `changes`, in whatever order they come, to `out`.

    Equal changes and contents give equal bytes on every machine. No mtime is later than `mtime_limit` (epoch seconds);
    whiteouts have 0. Every file is opened once (by an entry as it was given), in the order of the layer, and closed.
    `indexed` makes the index on the way, for one more hash of the files.

    Raises:
        LayerError: a name or attribute cannot be stored, or a file has not the size of its entry (any more).
        OSError: from reading contents or writing `out`.
    """
    ordered, origins = normalized(changes)
    places: list[tuple[Change, IndexPayload | None]] = []
    with LayerOutput(out, compression, level) as output:
        for change in ordered:
            match change:
                case Upsert(given):
                    entry = given if given.mtime <= mtime_limit else replace(given, mtime=mtime_limit)
                    refuse_marker_name(entry.path)
                    output.write(encode_header(entry))
                    offset = output.position
                    digest = hashlib.sha256() if indexed and entry.type == "file" else None
                    if entry.type == "file" and entry.size:
                        _write_content(entry, open_content(origins.get(given.path, given)), output, digest)
                    if indexed:
                        places.append((Upsert(entry), (offset, digest.digest(), None) if digest else None))
                case Remove() | Opaque():
                    header = Entry(marker_path(change), "file", 0)  # mode 0, as overlayfs and docker have it
                    output.write(encode_header(header))
                    if indexed:
                        places.append((change, None))
                case _:
                    assert_never(change)
        output.write(END_OF_ARCHIVE)
        totals = output.finish()
    descriptor = Descriptor(layer_media_type(compression), totals.digest, totals.size)
    index = in_columns(totals.diff_id, totals.uncompressed_size, _links_as_read(places)) if indexed else None
    return WrittenLayer(totals.diff_id, descriptor, totals.uncompressed_size, len(ordered), index)


def _links_as_read(places: list[tuple[Change, IndexPayload | None]]) -> list[tuple[Change, IndexPayload | None]]:
    """The changes with hard links that say of themselves what their targets do, as `ChangeBuilder` gives them."""
    links = [
        i for i, (change, _) in enumerate(places) if isinstance(change, Upsert) and change.entry.type == "hardlink"
    ]
    if links:
        entries = {change.entry.path: change.entry for change, _ in places if isinstance(change, Upsert)}
        for i in links:
            change, _ = places[i]
            if isinstance(change, Upsert):
                target = LayerPath(change.entry.link)
                places[i] = (Upsert(as_hardlink(entries[target], change.entry.path, target)), None)
    return places


def _write_content(entry: Entry, source: BinaryIO | int, output: LayerOutput, digest: hashlib._Hash | None) -> None:
    """Copies exactly `entry.size` bytes and closes the source; one more is asked for, so that a grown file is
    noticed.
    """
    left = entry.size

    def write(data: bytes) -> None:
        output.write(data)
        if digest:
            digest.update(data)

    if isinstance(source, int):
        try:
            if left < _READ:
                data = os.read(source, left + 1)
                write(data)
                left -= len(data)
            while left > 0 and (data := os.read(source, min(left, output.room))):
                write(data)
                left -= len(data)
            if left == 0 and entry.size >= _READ and os.read(source, 1):
                left = -1
        finally:
            os.close(source)
    else:
        with source:
            while left > 0 and (data := source.read(min(left, output.room))):
                write(data)
                left -= len(data)
            # Reading to the end is also what makes a verifying stream verify.
            if left == 0 and source.read(1):
                left = -1
    if left:
        what = "shorter" if left > 0 else "longer"
        raise LayerError(
            f'"{entry.path}" is {what} than the {entry.size} bytes that it had a moment ago',
            hint="it was changed while it was read; build again",
        )
    output.write(padding(entry.size))
