"""A tar as a stream of entries with their content, in one pass and bounded memory.

Reads ustar, pax, GNU long names, base-256 numbers and sparse files. Whatever is malformed is a
LayerError that names the entry and the byte at which its header begins: nothing is guessed or passed over. Names come
out as LayerPaths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from pyoci.errors import LayerError
from pyoci.layer import sparse
from pyoci.layer.entry import Entry
from pyoci.layer.header import (
    HEADER,
    TYPES,
    checksum_is_right,
    parse_decimal,
    parse_number,
    parse_records,
    parse_time,
    text,
)
from pyoci.layer.limits import DEFAULT_LIMITS, Limits, how_to_raise
from pyoci.layer.paths import layer_path

__all__ = ["TarReader"]

_READ = 1 << 20
_BLOCK = 512
_ZERO_BLOCK = bytes(_BLOCK)
_ID_LIMIT = 0xFFFFFFFE
"""The largest uid and gid; one more means "leave it" to chown."""
_XATTR = "SCHILY.xattr."
_NO_XATTRS: dict[str, bytes] = {}


class TarReader:
    """Goes from entry to entry. `next` gives the metadata, `piece` the content of the entry that `next` gave last.

    `stream.read(n)` may give fewer bytes than asked for, but none only at the end. When `next` has given None the
    stream has been read to its end. Closing it is the caller's.
    """

    def __init__(self, stream: BinaryIO, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._stream = stream
        self._limits = limits
        self._buffer = b""
        self._next = 0
        self._buffer_offset = 0
        self._left = 0
        self._padding = 0
        self._holes: Iterator[bytes | memoryview] | None = None
        self._name = ""
        self._count = 0
        self._content_bytes = 0
        self._metadata_bytes = 0
        self.header_offset = 0
        """Where the entry's first header block is, in uncompressed bytes."""
        self.body_offset = 0
        """Where its stored content begins."""
        self.regions: tuple[sparse.Region, ...] | None = None
        """The stored parts of a sparse file; None when all of it is stored."""

    def next(self) -> Entry | None:
        """The next entry, whatever is left of the previous one's content; None at the end of the archive.

        Raises:
            LayerError: the archive is malformed, cut short, or beyond a limit.
        """
        self._skip_body()
        self._name = ""
        self.header_offset = self._buffer_offset + self._next
        try:
            return self._read_entry()
        except ValueError as error:
            raise self._error(str(error)) from error
        except LayerError as error:
            if error.message.endswith(_at(self.header_offset)):
                raise
            raise self._error(error.message, error.hint) from error

    def piece(self) -> bytes | memoryview:
        """The next bytes of the entry's content, as many as are at hand; empty at its end. Holes come as zeros.

        Raises:
            LayerError: the archive ends before the content.
        """
        if self._holes is not None:
            return next(self._holes, b"")
        return self.stored_piece()

    def stored_piece(self, limit: int = _READ) -> bytes | memoryview:
        """As `piece`, without the holes of a sparse file: the bytes of `regions`, one after the other."""
        left = min(self._left, limit)
        if not left:
            return b""
        start = self._next
        if start == len(self._buffer):
            self._refill()
            start = 0
        stop = min(len(self._buffer), start + left)
        self._left -= stop - start
        self._next = stop
        if stop - start > 1 << 16:
            return memoryview(self._buffer)[start:stop]
        return self._buffer[start:stop]

    def _error(self, what: str, hint: str | None = None) -> LayerError:
        name = f'"{self._name[:200]}": ' if self._name else ""
        return LayerError(f"{name}{what}{_at(self.header_offset)}", hint=hint)

    def _refill(self) -> None:
        """Makes the next bytes of the stream the buffer, of which nothing may be left."""
        self._buffer_offset += len(self._buffer)
        self._buffer = self._stream.read(_READ)
        self._next = 0
        if not self._buffer:
            raise self._error("the archive ends in the middle of the entry")

    def _take(self, count: int) -> bytes:
        """The next `count` bytes."""
        start = self._next
        stop = start + count
        if stop <= len(self._buffer):
            self._next = stop
            return self._buffer[start:stop]
        data = self._take_some(count)
        if len(data) < count:
            raise self._error("the archive ends in the middle of the entry")
        return data

    def _take_some(self, count: int) -> bytes:
        """The next `count` bytes, or as many as there are."""
        parts: list[bytes] = []
        missing = count
        while missing:
            if self._next == len(self._buffer):
                self._buffer_offset += len(self._buffer)
                self._buffer = self._stream.read(_READ)
                self._next = 0
                if not self._buffer:
                    break
            part = self._buffer[self._next : self._next + missing]
            self._next += len(part)
            missing -= len(part)
            parts.append(part)
        return b"".join(parts)

    def _skip_body(self) -> None:
        left, padding = self._left + self._padding, self._padding
        self._left = self._padding = 0
        self._holes = None
        while left:
            if self._next == len(self._buffer):
                try:
                    self._refill()
                except LayerError:
                    if left > padding:
                        raise
                    return  # nothing but the padding of the last file is missing, which Go's reader does not miss
            step = min(left, len(self._buffer) - self._next)
            self._next += step
            left -= step

    def _read_entry(self) -> Entry | None:
        records: list[tuple[str, bytes]] = []
        long_name = long_link = b""
        extended_bytes = 0
        while True:
            block = self._take_some(_BLOCK)
            if not block or block == _ZERO_BLOCK:
                if records or long_name or long_link:
                    raise ValueError("the archive ends after an extended header")
                if block:
                    self._finish()
                return None
            if len(block) < _BLOCK:
                raise ValueError("the archive ends in the middle of a header")
            fields = HEADER.unpack(block)
            if not checksum_is_right(block, fields[6]):
                raise ValueError("a header has a wrong checksum")
            flag = fields[7]
            if flag not in b"xgLK":
                return self._make_entry(block, fields, records, long_name, long_link)
            data = self._take_extension(fields[4], extended_bytes)
            extended_bytes += len(data)
            if flag == b"x":
                records += parse_records(data)
            elif flag == b"g":
                parse_records(data)  # for what is malformed; what they say is for no engine (containerd, docker)
            elif flag == b"L":
                long_name = data.partition(b"\0")[0]
            else:
                long_link = data.partition(b"\0")[0]

    def _take_extension(self, size_field: bytes, before: int) -> bytes:
        """The body of an extended header; the entry's earlier ones had `before` bytes."""
        size = parse_number(size_field)
        if not 0 <= size <= self._limits.header_bytes - before:
            raise ValueError(f"an extended header of {size} bytes (the limit is {self._limits.header_bytes})")
        data = self._take(size)
        self._take(-size % _BLOCK)
        return data

    def _finish(self) -> None:
        """Reads what follows the first zero block: another one, then only the zeros of a record's padding."""
        second = self._take_some(_BLOCK)
        if second.strip(b"\0"):
            raise ValueError("an archive goes on after a block of zeros")
        while True:
            rest = self._buffer[self._next :]
            if rest.count(0) != len(rest):
                raise ValueError("garbage follows the end of the archive")
            self._buffer_offset += len(self._buffer)
            self._buffer = self._stream.read(_READ)
            self._next = 0
            if not self._buffer:
                return

    def _make_entry(
        self,
        block: bytes,
        fields: tuple[bytes, ...],
        record_list: list[tuple[str, bytes]],
        long_name: bytes,
        long_link: bytes,
    ) -> Entry:
        name, mode, uid_field, gid_field, size_field, mtime_field, _, flag, link, magic = fields[:10]
        self._count += 1
        if self._count > self._limits.entries:
            raise LayerError(f"more than {self._limits.entries} entries", hint=how_to_raise("layer-entries"))
        name = long_name or (_joined(name, block, magic) if fields[14][0] else name.partition(b"\0")[0])
        link = long_link or link.partition(b"\0")[0]
        self._name = text(name)
        size = parse_number(size_field)
        uid, gid, mtime = parse_number(uid_field), parse_number(gid_field), parse_number(mtime_field)
        xattrs = _NO_XATTRS
        if record_list:
            records = dict(record_list)
            name = records.get("GNU.sparse.name") or records.get("path") or name
            link = records.get("linkpath") or link
            self._name = text(name)
            size = parse_decimal(records["size"], "size") if records.get("size") else size
            uid = parse_decimal(records["uid"], "uid") if records.get("uid") else uid
            gid = parse_decimal(records["gid"], "gid") if records.get("gid") else gid
            mtime = parse_time(records["mtime"], "mtime") if records.get("mtime") else mtime
            xattrs = {key[len(_XATTR) :]: value for key, value in records.items() if key.startswith(_XATTR)}
        else:
            records = {}
        if not (0 <= uid <= _ID_LIMIT and 0 <= gid <= _ID_LIMIT):
            raise ValueError(f"the owner {uid}:{gid} does not exist")
        if size < 0:
            raise ValueError(f"a size of {size} bytes")
        if not name:
            raise ValueError("an entry has no name")
        kind = TYPES.get(flag)
        if kind is None:
            raise ValueError(f"entries of type {text(flag)!r} cannot be stored in a layer")
        if flag == b"\0" and name.endswith(b"/"):
            kind = "dir"  # how tars before POSIX say it
        path = layer_path(self._name)
        self._count_metadata(len(name) + len(link) + sum(map(len, xattrs.values())))
        device = (0, 0)
        target = ""
        if kind == "file":
            size = self._enter_body(block, flag, size, records, record_list)
        else:
            size = 0
            self.regions = None
            self.body_offset = self._buffer_offset + self._next
            if kind == "hardlink":
                target = layer_path(_named(link, "hard link"))
            elif kind == "symlink":
                target = _named(link, "symbolic link")
            elif kind in ("char", "block"):
                device = (parse_number(fields[12]), parse_number(fields[13]))
        return Entry(path, kind, parse_number(mode) & 0o7777, uid, gid, size, mtime, target, device, xattrs)

    def _count_metadata(self, size: int) -> None:
        self._metadata_bytes += size
        if self._metadata_bytes > self._limits.metadata_bytes:
            limit = self._limits.metadata_bytes
            raise LayerError(
                f"names, attributes and maps of files have more than {limit} bytes", hint=how_to_raise("layer-metadata")
            )

    def _enter_body(
        self, block: bytes, flag: bytes, stored: int, records: dict[str, bytes], record_list: list[tuple[str, bytes]]
    ) -> int:
        """Notes where a file's content is and gives its real size."""
        size = stored
        self._padding = -stored % _BLOCK
        regions: list[sparse.Region] | None = None
        if flag == b"S":
            regions, size = sparse.old_gnu_regions(block, self._take, self._limits.header_bytes)
        elif records and any(key.startswith("GNU.sparse.") for key in records):
            if records.get("GNU.sparse.major") == b"1" and records.get("GNU.sparse.minor") == b"0":
                regions, taken = sparse.stored_map(self._take, self._limits.header_bytes)
                if taken > stored:
                    raise ValueError("the map of a sparse file is longer than its content")
                stored -= taken
            else:
                regions = sparse.pax_regions(record_list)
            real = records.get("GNU.sparse.realsize") or records.get("GNU.sparse.size")
            size = parse_decimal(real, "GNU.sparse.size") if real and regions is not None else stored
        self.body_offset = self._buffer_offset + self._next
        self._left = stored
        self.regions = None
        if regions is not None:
            self.regions = sparse.validated(regions, size, stored)
            self._count_metadata(16 * len(regions))
            self._holes = sparse.filled(self.regions, size, self.stored_piece)
        self._content_bytes += size
        if self._content_bytes > self._limits.uncompressed_bytes:
            raise LayerError(
                f"the files have more than {self._limits.uncompressed_bytes} bytes", hint=how_to_raise("unpacked-size")
            )
        return size


def _at(offset: int) -> str:
    return f" (tar header at byte {offset})"


def _joined(name: bytes, block: bytes, magic: bytes) -> bytes:
    """Name behind its prefix, which ustar has and GNU's format has not; in star's it is shorter."""
    name = name.partition(b"\0")[0]
    if magic[:6] != b"ustar\0":
        return name
    prefix = block[345:476] if block[508:] == b"tar\0" else block[345:500]
    return prefix.partition(b"\0")[0] + b"/" + name


def _named(link: bytes, what: str) -> str:
    if not link or b"\0" in link:
        raise ValueError(f"a {what} points to nothing")
    return text(link)
