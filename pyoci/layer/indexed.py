"""A layer whose tree comes from its index and whose bytes are read from its blob when somebody asks for them."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from pyoci.digest import Digest
from pyoci.errors import DigestMismatch, LayerError
from pyoci.image.descriptor import Descriptor
from pyoci.image.image import Layer
from pyoci.image.media_types import layer_compression
from pyoci.layer.compression import open_decompressed
from pyoci.layer.entry import Change, Entry, LayerPath
from pyoci.layer.index import LayerIndex, Place
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.layer.sparse import filled
from pyoci.values import replace

__all__ = ["Cursor", "IndexedLayer", "OnePass", "OpenBlob", "OpenUnpacked"]

OpenBlob: TypeAlias = Callable[[Descriptor], BinaryIO]
"""Opens a blob as stored: `ContentSource.open`."""
OpenUnpacked: TypeAlias = Callable[[Layer, Entry], "int | None"]
"""Opens a file of a layer that lies on disk; None where it does not, or may not be read."""
_CHUNK = 1 << 20


class IndexedLayer:
    """A ChangeSet over a layer's index and blob. May be used from several threads; every `open` reads on its own.

    The index was made of a layer whose diff ID was right, and holds each file's digest: that is what the bytes of a
    file are held against, since the blob is left where the file ends.
    """

    def __init__(
        self,
        index: LayerIndex,
        layer: Layer,
        open_blob: OpenBlob,
        *,
        limits: Callable[[], Limits] = lambda: DEFAULT_LIMITS,
        open_unpacked: OpenUnpacked = lambda layer, entry: None,
    ) -> None:
        if index.diff_id != layer.diff_id:
            raise ValueError(f"the index is of {index.diff_id}, the layer is {layer.diff_id}")
        self.index = index
        self.layer = layer
        self._open_blob = open_blob
        self._limits = limits
        self._open_unpacked = open_unpacked

    @property
    def changes(self) -> Sequence[Change]:
        return self.index.changes

    def digest_of(self, entry: Entry) -> Digest | None:
        """The sha256 digest of a file's content."""
        place = self.index.place(entry.path)
        return place.digest if place else None

    def open(self, entry: Entry) -> BinaryIO:
        """A stream of one file. Cost: the layer is decompressed up to it, unless it is unpacked; for many files use
        `read_files` or `OnePass`.

        Reading raises DigestMismatch at the end if the bytes are not those of the index.
        """
        place = self.place(entry)
        unpacked = self._open_unpacked(self.layer, entry)
        if unpacked is not None:
            file = os.fdopen(unpacked, "rb", buffering=0)
            return cast("BinaryIO", _FileStream(replace(place, regions=None), file.read, file.close))
        cursor = self.cursor()
        try:
            return cursor.open(place, owned=True)
        except BaseException:
            cursor.close()
            raise

    def read_files(self, paths: Iterable[str]) -> Iterator[tuple[Entry, BinaryIO]]:
        """The files at these paths in the order in which they are stored, in one pass; each stream lasts until the
        next.

        A hard link gives the file that it points to, under its own path. Reading raises as that of `open`'s streams.
        """
        entries = [self._file_entry(path) for path in paths]
        wanted = sorted(((self.place(entry), entry) for entry in entries), key=lambda pair: pair[0].offset)
        cursor = self.cursor()
        try:
            for place, entry in wanted:
                # What several links share is behind the cursor for all but the first of them.
                yield entry, cursor.open(place) if place.offset >= cursor.position else self.open(entry)
        finally:
            cursor.close()

    def cursor(self) -> Cursor:
        """A new reading of the blob from its beginning."""
        stream = self._open_blob(self.layer.descriptor)
        return Cursor(
            open_decompressed(stream, layer_compression(self.layer.descriptor.media_type), limits=self._limits())
        )

    def place(self, entry: Entry) -> Place:
        """Where the bytes of a file are.

        Raises:
            LayerError: the path is no file of this layer.
        """
        place = self.index.place(entry.path)
        if place is None:
            raise LayerError(f'"{entry.path}" is not a file of layer {self.layer.diff_id}')
        return place

    def _file_entry(self, path: str) -> Entry:
        position = self.index.positions.get(path)
        if position is not None and self.index.codes[position] == "h":
            position = self.index.positions.get(self.index.links[position])
        if position is None or self.index.codes[position] != "f":
            raise LayerError(f'"{path}" is not a file of layer {self.layer.diff_id}')
        entry = self.index.entry(position)
        return entry if entry.path == path else replace(entry, path=LayerPath(path))


class Cursor:
    """One reading of an uncompressed layer, forwards only."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0
        """Uncompressed bytes that are behind."""

    def open(self, place: Place, *, owned: bool = False) -> BinaryIO:
        """The file at a place that is not behind; the cursor moves as it is read. `owned` closes the cursor with it."""
        self.go_to(place.offset)
        return cast("BinaryIO", _FileStream(place, self.take, self.close if owned else None))

    def go_to(self, offset: int) -> None:
        """Passes over everything before `offset`."""
        if offset < self.position:
            raise ValueError(f"byte {offset} is behind {self.position}")
        while self.position < offset:
            if not self.take(offset - self.position):
                raise DigestMismatch("the layer is shorter than its index says")

    def take(self, limit: int) -> bytes:
        """Some of the next bytes, at most `limit`; none at the end."""
        data = self._stream.read(min(limit, _CHUNK))
        self.position += len(data)
        return data

    def close(self) -> None:
        """Closes the blob."""
        self._stream.close()


class _FileStream(io.RawIOBase):
    """One file's content, holes filled, held against its digest when it has been read."""

    def __init__(self, place: Place, take: Callable[[int], bytes], on_close: Callable[[], None] | None) -> None:
        super().__init__()
        self._place = place
        self._pieces = filled(((0, place.size),) if place.regions is None else place.regions, place.size, take)
        self._rest: bytes | memoryview = b""
        self._hash = hashlib.sha256()
        self._on_close = on_close

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        if not self._rest and size:
            try:
                self._rest = next(self._pieces, b"")
            except ValueError as error:
                raise DigestMismatch("the layer is shorter than its index says") from error
            if self._rest:
                self._hash.update(self._rest)
            elif "sha256:" + self._hash.hexdigest() != self._place.digest:
                raise DigestMismatch(f"a file of the layer should have the digest {self._place.digest} and has another")
        data, self._rest = self._rest[:size], self._rest[size:]
        return bytes(data)

    def readall(self) -> bytes:
        parts = []
        while data := self.read(_CHUNK):
            parts.append(data)
        return b"".join(parts)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed and self._on_close is not None:
            self._on_close()
        super().close()


class OnePass:
    """Opens given files of one layer in any order and reads the blob once. Use as a context manager.

    Files that are passed on the way to one that is asked for first are kept in an unnamed file in `directory` until
    their turn comes. A stream from `open` must be read before the next `open`. For one thread.
    """

    def __init__(self, layer: IndexedLayer, entries: Iterable[Entry], directory: Path) -> None:
        self._layer = layer
        self._directory = directory
        self._cursor: Cursor | None = None
        counts: Counter[int] = Counter()
        self._wanted: list[Place] = []
        for entry in entries:
            place = layer.place(entry)
            if not counts[place.offset]:
                self._wanted.append(place)
            counts[place.offset] += 1
        self._wanted.sort(key=lambda place: place.offset, reverse=True)
        self._shared = {offset for offset, count in counts.items() if count > 1}
        self._kept: dict[int, int] = {}
        self._kept_bytes = 0
        self._spool = -1

    def __enter__(self) -> OnePass:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._cursor is not None:
            self._cursor.close()
        if self._spool >= 0:
            os.close(self._spool)

    def open(self, entry: Entry) -> BinaryIO:
        """The content of one of the entries; as `IndexedLayer.open`."""
        place = self._layer.place(entry)
        if self._cursor is None:
            self._cursor = self._layer.cursor()
        while self._wanted and self._wanted[-1].offset <= place.offset:
            passed = self._wanted.pop()
            if passed.offset == place.offset and place.offset not in self._shared:
                return self._cursor.open(place)
            self._keep(passed, self._cursor)
        start = self._kept.get(place.offset)
        if start is None:
            return self._layer.open(entry)
        return cast("BinaryIO", _FileStream(place, _Slice(self._spool, start).take, None))

    def _keep(self, place: Place, cursor: Cursor) -> None:
        """Copies the stored bytes of a file; they are checked when they are read."""
        if self._spool < 0:
            self._spool = os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._kept[place.offset] = self._kept_bytes
        cursor.go_to(place.offset)
        left = place.size if place.regions is None else sum(length for _, length in place.regions)
        while left:
            data = cursor.take(left)
            if not data:
                raise DigestMismatch("the layer is shorter than its index says")
            left -= len(data)
            self._kept_bytes += len(data)
            while data:
                data = data[os.write(self._spool, data) :]


class _Slice:
    """A part of a file, read by position."""

    def __init__(self, descriptor: int, position: int) -> None:
        self._descriptor = descriptor
        self._position = position

    def take(self, limit: int) -> bytes:
        data = os.pread(self._descriptor, min(limit, _CHUNK), self._position)
        self._position += len(data)
        return data
