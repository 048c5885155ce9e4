"""What one reading of a layer tells, kept: its changes, each file's digest, and where in the tar its bytes are.

With an index a layer's tree needs no blob, and one file is read without parsing what comes before it. Indexes live in
columns, so that one of 20,000 entries is loaded in a few milliseconds; entries are made when asked for.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import BinaryIO, TypeAlias, cast, overload

from pyoci.digest import DiffID, Digest
from pyoci.errors import ContentError, DigestMismatch
from pyoci.image.media_types import Compression
from pyoci.layer.changes import ChangeBuilder
from pyoci.layer.compression import open_decompressed
from pyoci.layer.entry import Change, Entry, EntryType, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.layer.links import OwnLinks
from pyoci.layer.readahead import HashedReadAhead
from pyoci.layer.sparse import Region
from pyoci.layer.tar_reader import TarReader
from pyoci.layer.whiteout import interpret
from pyoci.values import dataclass, field

__all__ = [
    "CODES",
    "OPAQUE",
    "REMOVED",
    "IndexPayload",
    "LayerIndex",
    "Place",
    "dump_index",
    "in_columns",
    "index_layer",
    "index_of",
    "load_index",
]

_MAGIC = b"pyoci layer index 1\n"
CODES: dict[EntryType, str] = {
    "file": "f",
    "dir": "d",
    "symlink": "s",
    "hardlink": "h",
    "char": "c",
    "block": "b",
    "fifo": "p",
}
_TYPES = {code: kind for kind, code in CODES.items()}
REMOVED, OPAQUE = "R", "O"
_NO_DIGEST = bytes(32)
_NO_XATTRS: dict[str, bytes] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file's bytes are in the uncompressed tar."""

    offset: int
    size: int
    """Of the file, holes included."""
    digest: Digest
    """sha256 of the content."""
    regions: tuple[Region, ...] | None = None
    """The stored parts of a sparse file."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerIndex:
    """One layer's changes in normal form (see `ChangeBuilder`), by columns: value i of each belongs to change i."""

    diff_id: DiffID
    uncompressed_size: int
    paths: list[str]
    codes: str
    """One letter per change: its entry's type, or that it is a removal or an opaque marker."""
    modes: array[int]
    uids: array[int]
    gids: array[int]
    sizes: array[int]
    mtimes: array[int]
    offsets: array[int]
    digests: bytes
    """32 bytes per change; zeros where there is no content."""
    links: dict[int, str]
    xattrs: dict[int, dict[str, bytes]]
    devices: dict[int, tuple[int, int]]
    regions: dict[int, tuple[Region, ...]]
    positions: dict[str, int] = field(init=False)
    """Where the entry of a path, or its removal, is."""
    opaque: frozenset[str] = field(init=False)
    """Directories with an opaque marker."""

    def __post_init__(self) -> None:
        paths, codes, count = self.paths, self.codes, len(self.paths)
        columns = (self.modes, self.uids, self.gids, self.sizes, self.mtimes, self.offsets, codes)
        if any(len(column) != count for column in columns) or len(self.digests) != 32 * count:
            raise ContentError("a layer index has columns of different lengths")
        opaque: frozenset[str] = frozenset()
        if OPAQUE in codes:
            opaque = frozenset(path for path, code in zip(paths, codes, strict=True) if code == OPAQUE)
            positions = {path: i for i, path in enumerate(paths) if codes[i] != OPAQUE}
        else:
            positions = dict(zip(paths, range(count), strict=True))
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "opaque", opaque)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def changes(self) -> Sequence[Change]:
        """As `ChangeSet.changes`; each is made when it is looked at."""
        return _Changes(self)

    @property
    def content_size(self) -> int:
        """Bytes of the files in the layer, each once however many names it has, holes included."""
        return sum(self.sizes)

    def entry(self, position: int) -> Entry:
        """The entry of a change that is an Upsert."""
        return Entry(
            LayerPath(self.paths[position]),
            _TYPES[self.codes[position]],
            self.modes[position],
            self.uids[position],
            self.gids[position],
            self.sizes[position],
            self.mtimes[position],
            self.links.get(position, ""),
            self.devices.get(position, (0, 0)),
            self.xattrs.get(position, _NO_XATTRS),
        )

    def change(self, position: int) -> Change:
        """The change at a position."""
        code = self.codes[position]
        if code == REMOVED:
            return Remove(LayerPath(self.paths[position]))
        if code == OPAQUE:
            return Opaque(LayerPath(self.paths[position]))
        return Upsert(self.entry(position))

    def place(self, path: str) -> Place | None:
        """Where the bytes of a path are, through hard links inside the layer; None when it is no file of this layer."""
        position = self.positions.get(path)
        if position is not None and self.codes[position] == "h":
            position = self.positions.get(self.links[position])
        if position is None or self.codes[position] != "f":
            return None
        digest = Digest("sha256:" + self.digests[32 * position : 32 * position + 32].hex())
        return Place(self.offsets[position], self.sizes[position], digest, self.regions.get(position))


class _Changes(Sequence[Change]):
    """The changes of an index as a sequence."""

    def __init__(self, index: LayerIndex) -> None:
        self._index = index

    @property
    def layer_index(self) -> LayerIndex:
        return self._index

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, position: int) -> Change: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Change]: ...
    def __getitem__(self, position: int | slice) -> Change | Sequence[Change]:
        if isinstance(position, slice):
            return [self._index.change(i) for i in range(*position.indices(len(self._index)))]
        return self._index.change(range(len(self._index))[position])

    def __iter__(self) -> Iterator[Change]:
        return map(self._index.change, range(len(self._index)))


def index_of(changes: Sequence[Change]) -> LayerIndex | None:
    """The index whose `changes` these are; None if they are others."""
    return changes.layer_index if isinstance(changes, _Changes) else None


IndexPayload: TypeAlias = tuple[int, bytes, "tuple[Region, ...] | None"]
"""Offset of a file's bytes in the tar, their sha256, and the stored parts of a sparse file."""


def index_layer(
    stream: BinaryIO,
    compression: Compression,
    *,
    diff_id: DiffID | None,
    limits: Limits = DEFAULT_LIMITS,
    whiteouts: bool = True,
) -> LayerIndex:
    """The index of a layer's blob, which is read to its end, so that a verifying stream verifies. Does not close it.

    `diff_id` None takes whatever the layer has, for archives that promise nothing. Without `whiteouts` every name is
    that of a file: the tar is no layer.

    Raises:
        LayerError: the layer is malformed, unsafe or beyond a limit.
        DigestMismatch: it has another diff ID.
    """
    builder: ChangeBuilder[IndexPayload] = ChangeBuilder()
    links = OwnLinks()
    with HashedReadAhead(open_decompressed(stream, compression, limits=limits, owned=False)) as source:
        reader = TarReader(cast("BinaryIO", source), limits=limits)
        while (entry := reader.next()) is not None:
            change = interpret(entry) if whiteouts else Upsert(entry)
            if change is None:
                continue
            change = links.followed(change)
            if entry.type == "file" and isinstance(change, Upsert):
                digest = hashlib.sha256()
                while piece := reader.piece():
                    digest.update(piece)
                builder.add(change, (reader.body_offset, digest.digest(), reader.regions))
            else:
                builder.add(change)
        while source.read():
            pass
        found, size = source.diff_id(), source.size
    if diff_id is not None and found != diff_id:
        raise DigestMismatch(f"the layer unpacks to {found} instead of {diff_id}")
    if whiteouts:
        builder.drop_link_store()
    return in_columns(found, size, builder.finish())


def in_columns(diff_id: DiffID, size: int, changes: Sequence[tuple[Change, IndexPayload | None]]) -> LayerIndex:
    """The index of changes in normal form, each file with where its bytes are."""
    paths: list[str] = []
    codes: list[str] = []
    numbers = [array("q") for _ in range(6)]
    digests: list[bytes] = []
    links: dict[int, str] = {}
    xattrs: dict[int, dict[str, bytes]] = {}
    devices: dict[int, tuple[int, int]] = {}
    sparse: dict[int, tuple[Region, ...]] = {}
    for position, (change, payload) in enumerate(changes):
        offset, digest, regions = payload or (0, _NO_DIGEST, None)
        digests.append(digest)
        if isinstance(change, Upsert):
            entry = change.entry
            paths.append(entry.path)
            codes.append(CODES[entry.type])
            row: tuple[int, ...] = (entry.mode, entry.uid, entry.gid, entry.size, entry.mtime, offset)
            if entry.link:
                links[position] = entry.link
            if entry.xattrs:
                xattrs[position] = dict(entry.xattrs)
            if entry.type in ("char", "block"):
                devices[position] = entry.device
            if regions is not None:
                sparse[position] = regions
        else:
            paths.append(change.path)
            codes.append(REMOVED if isinstance(change, Remove) else OPAQUE)
            row = (0,) * 6
        for column, value in zip(numbers, row, strict=True):
            column.append(value)
    extras = (b"".join(digests), links, xattrs, devices, sparse)
    return _assembled(diff_id, size, paths, "".join(codes), numbers, *extras)


def dump_index(index: LayerIndex) -> bytes:
    """The index as bytes that `load_index` reads; equal indexes give equal bytes."""
    columns = (index.modes, index.uids, index.gids, index.sizes, index.mtimes, index.offsets)
    body = marshal.dumps(
        (
            str(index.diff_id),
            index.uncompressed_size,
            index.paths,
            index.codes,
            [_little_endian(column).tobytes() for column in columns],
            index.digests,
            index.links,
            index.xattrs,
            index.devices,
            index.regions,
        ),
        2,  # the last version without references, which depend on which objects happen to be shared
    )
    return _MAGIC + hashlib.sha256(body).digest() + body


def load_index(data: bytes) -> LayerIndex:
    """The index that `dump_index` made bytes of.

    Raises:
        ContentError: it is damaged or of another version; make it anew.
    """
    body = memoryview(data)[len(_MAGIC) + 32 :]
    if not data.startswith(_MAGIC) or hashlib.sha256(body).digest() != data[len(_MAGIC) : len(_MAGIC) + 32]:
        raise ContentError("a layer index is damaged or of another version")
    diff_id, size, paths, codes, columns, digests, links, xattrs, devices, regions = marshal.loads(body)
    numbers = []
    for column in columns:
        numbers.append(array("q"))
        numbers[-1].frombytes(column)
    little = [_little_endian(column) for column in numbers]
    return _assembled(DiffID(diff_id), size, paths, codes, little, digests, links, xattrs, devices, regions)


def _assembled(
    diff_id: DiffID,
    size: int,
    paths: list[str],
    codes: str,
    columns: Sequence[array[int]],
    digests: bytes,
    links: dict[int, str],
    xattrs: dict[int, dict[str, bytes]],
    devices: dict[int, tuple[int, int]],
    regions: dict[int, tuple[Region, ...]],
) -> LayerIndex:
    modes, uids, gids, sizes, mtimes, offsets = columns
    return LayerIndex(
        diff_id, size, paths, codes, modes, uids, gids, sizes, mtimes, offsets, digests, links, xattrs, devices, regions
    )


def _little_endian(column: array[int]) -> array[int]:
    """The column in the byte order of index files: itself on most machines."""
    if sys.byteorder == "big":
        column = array("q", column)
        column.byteswap()
    return column
