"""Packages out of rpm's SQLite database: the only form that rpm has written by default since 4.16.

The file comes out of an image and is hostile: it is opened in memory, read-only, with SQLite's defences up, within
limits of size and work. Only its `Packages` table is read; each row is an rpm header. The older forms, Berkeley DB and
NDB, are not read.

Spec: rpm's docs/manual/format_header.md (an index of tags in big-endian words, then the store) and tags.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pyoci.errors import ContentError

__all__ = ["header_package", "rpm_packages"]

_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH = 1000, 1001, 1002, 1003, 1022
_STRING, _INT32, _I18N = 6, 4, 9
_INDEX_LIMIT, _STORE_LIMIT = 0xFFFF, 256 << 20
_STEPS = 20_000_000
"""Instructions of SQLite's machine after which reading is given up."""
_WAL_VERSIONS = slice(18, 20)
"""Bytes of the file header that say "with a write-ahead log" (2) or without (1); SQLite's fileformat2.html."""
_KEYS = "gpg-pubkey"
"""What rpm files imported keys under; no package."""


def rpm_packages(database: bytes) -> dict[str, str]:
    """Versions (`epoch:version-release`) by `name.architecture`; of several installed together, all, joined by commas.

    What a write-ahead log beside the file holds and the file does not is not seen.

    Raises:
        ContentError: it is no such database, or is damaged.
    """
    import sqlite3

    found: dict[str, list[str]] = {}
    try:
        for blob in _headers(database):
            package = header_package(blob)
            if package is not None and not package[0].startswith(_KEYS):
                found.setdefault(package[0], []).append(package[1])
    except (sqlite3.Error, ValueError, OverflowError) as error:
        raise ContentError(f"the rpm database cannot be read: {error}") from error
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _headers(database: bytes) -> Iterator[bytes]:
    import sqlite3

    if not database.startswith(b"SQLite format 3\0"):
        raise ValueError("it is not in SQLite's format")
    raw = bytearray(database)
    raw[_WAL_VERSIONS] = b"\x01\x01"  # a database in memory can have no log
    steps = 0

    def tick() -> int:
        nonlocal steps
        steps += 10_000
        return int(steps > _STEPS)

    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(bytes(raw))
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _STORE_LIMIT)
        connection.set_progress_handler(tick, 10_000)
        found = connection.execute("SELECT type, rootpage > 0 FROM sqlite_schema WHERE name = 'Packages'").fetchall()
        if found != [("table", 1)]:  # a view or a virtual table would run what the image says
            raise ValueError("it has no table of packages")
        for (blob,) in connection.execute("SELECT blob FROM Packages ORDER BY hnum"):
            if isinstance(blob, bytes):
                yield blob
    finally:
        connection.close()


def header_package(blob: bytes) -> tuple[str, str] | None:
    """`name.architecture` and `epoch:version-release` of a header without its magic; None without a name.

    Raises:
        ValueError: it is damaged.
    """
    if len(blob) < 8:
        raise ValueError("a header is too short")
    count, size = struct.unpack_from(">II", blob)
    store = 8 + 16 * count
    if count > _INDEX_LIMIT or size > _STORE_LIMIT or store + size > len(blob):
        raise ValueError("a header has more entries than bytes")
    values: dict[int, str] = {}
    for position in range(8, store, 16):
        tag, kind, offset, _ = struct.unpack_from(">IIiI", blob, position)
        if tag not in (_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH):
            continue
        at = store + offset
        if not store <= at < store + size:
            raise ValueError("a header's entry points outside of it")
        if kind in (_STRING, _I18N):
            values[tag] = blob[at : blob.index(b"\0", at)].decode("utf-8", "surrogateescape")
        elif kind == _INT32 and at + 4 <= store + size:
            values[tag] = str(struct.unpack_from(">I", blob, at)[0])
    if not values.get(_NAME):
        return None
    epoch = f"{values[_EPOCH]}:" if _EPOCH in values else ""
    name = f"{values[_NAME]}.{values[_ARCH]}" if values.get(_ARCH) else values[_NAME]
    return name, f"{epoch}{values.get(_VERSION, '')}-{values.get(_RELEASE, '')}"
