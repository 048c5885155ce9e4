"""Tar headers to values: the 512-byte block in all its dialects, pax records, numbers. Pure; knows no stream.

Strict where readers could disagree: a number or record that is not well formed is an error, never zero.
Spec: POSIX.1-2001 ustar and pax; GNU tar's base-256 numbers.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

from pyoci.layer.entry import EntryType

__all__ = [
    "HEADER",
    "TYPES",
    "Records",
    "checksum_is_right",
    "parse_decimal",
    "parse_number",
    "parse_records",
    "parse_time",
    "text",
]

Records = dict[str, bytes]
"""The records of one pax header, by key."""

HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
"""name mode uid gid size mtime checksum typeflag linkname magic+version uname gname devmajor devminor prefix"""

TYPES: dict[bytes, EntryType] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"S": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "char",
    b"4": "block",
    b"5": "dir",
    b"6": "fifo",
}
_INT64 = 1 << 63
_SPACES = 8 * ord(" ")


def checksum_is_right(block: bytes, field: bytes) -> bool:
    """Whether the header's checksum is the sum of its bytes, taken as unsigned or (by some old writers) as signed ones.

    Raises:
        ValueError: the field is not a number.
    """
    # adler32's low half is 1 + the sum modulo 65521: exact for half a block, and computed in C.
    total = (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2
    total += _SPACES - sum(field)
    found = parse_number(field)
    if found == total:
        return True
    negative = sum(1 for byte in block[:148] + block[156:] if byte > 127)
    return negative > 0 and found == total - 256 * negative


@lru_cache(4096)
def parse_number(field: bytes) -> int:
    """The number in a header field: octal digits among spaces and NULs, or base-256. An empty field is 0.

    Raises:
        ValueError: anything else, or beyond 64 bits.
    """
    if field[:1] >= b"\x80":
        bits = len(field) * 8 - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        if value >> (bits - 1):
            value -= 1 << bits
        if not -_INT64 <= value < _INT64:
            raise ValueError(f"the number {field!r} has more than 64 bits")
        return value
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not digits:
        return 0
    if not digits.isdigit():
        raise ValueError(f"{digits!r} is not an octal number")
    return int(digits, 8)


def parse_records(data: bytes) -> list[tuple[str, bytes]]:
    """The records of a pax header, in order.

    Raises:
        ValueError: a record is malformed.
    """
    records = []
    position, end = 0, len(data)
    while position < end:
        space = data.find(b" ", position, position + 12)
        digits = data[position:space] if space > position else b""
        if not digits.isdigit():
            raise ValueError(f"a pax record at byte {position} has no length")
        stop = position + int(digits)
        equals = data.find(b"=", space + 1, stop)
        if stop > end or equals <= space + 1 or data[stop - 1 : stop] != b"\n" or stop - 1 < equals:
            raise ValueError(f"the pax record at byte {position} is malformed")
        key = text(data[space + 1 : equals])
        if "\0" in key:
            raise ValueError(f"the pax record at byte {position} has a NUL in its key")
        records.append((key, data[equals + 1 : stop - 1]))
        position = stop
    return records


def parse_decimal(value: bytes, key: str) -> int:
    """A number of a pax record.

    Raises:
        ValueError: not digits, or beyond 64 bits.
    """
    if not value.isdigit() or len(value) > 19 or int(value) >= _INT64:
        raise ValueError(f"the pax record {key}={value[:40]!r} is not a number")
    return int(value)


def parse_time(value: bytes, key: str) -> int:
    """Seconds of a time in a pax record; fractions are cut off towards the past.

    Raises:
        ValueError: not a decimal number.
    """
    whole, dot, fraction = value.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or len(whole) > 19 or int(whole) >= _INT64 or (dot and fraction and not fraction.isdigit()):
        raise ValueError(f"the pax record {key}={value[:40]!r} is not a time")
    seconds = int(whole)
    if value[:1] == b"-":
        return -seconds - 1 if fraction.strip(b"0") else -seconds
    return seconds


def text(data: bytes) -> str:
    """Bytes of a name as a string; what is not UTF-8 becomes surrogate escapes."""
    return data.decode("utf-8", "surrogateescape")
