"""Sparse files in tars: which parts are stored, in the four encodings that GNU tar and bsdtar have used.

Spec: the GNU tar manual, "Sparse Formats" (old GNU, pax 0.0, 0.1 and 1.0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from pyoci.layer.header import parse_decimal, parse_number

__all__ = ["Region", "filled", "old_gnu_regions", "pax_regions", "stored_map", "validated"]

Region: TypeAlias = tuple[int, int]
"""Offset and length of a part of the file that is not a hole."""
_HOLE = bytes(1 << 16)


def validated(regions: Sequence[Region], size: int, stored: int) -> tuple[Region, ...]:
    """The regions without empty ones, if they make sense for a file of `size` bytes of which `stored` are in the
    archive.

    Raises:
        ValueError: they overlap, are out of order, leave the file or do not add up.
    """
    end = 0
    total = 0
    for offset, length in regions:
        if offset < end or length < 0 or offset + length > size:
            raise ValueError(f"the region {offset}+{length} of a sparse file of {size} bytes is out of place")
        end = offset + length
        total += length
    if total != stored:
        raise ValueError(f"the regions of a sparse file have {total} bytes, the archive has {stored}")
    return tuple(region for region in regions if region[1])


def filled(
    regions: Sequence[Region], size: int, take: Callable[[int], bytes | memoryview]
) -> Iterator[bytes | memoryview]:
    """A file's content in pieces, with zeros for its holes. `take(n)` gives up to n of the stored bytes, but not
    none.
    """
    position = 0
    for offset, length in (*regions, (size, 0)):
        while position < offset:
            hole = _HOLE[: min(len(_HOLE), offset - position)]
            position += len(hole)
            yield hole
        while length:
            piece = take(length)
            if not piece:
                raise ValueError("the stored bytes of a sparse file end too early")
            position += len(piece)
            length -= len(piece)
            yield piece


def _pairs(numbers: Sequence[int]) -> list[Region]:
    if len(numbers) % 2:
        raise ValueError("the map of a sparse file has an odd number of values")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def pax_regions(records: Sequence[tuple[str, bytes]]) -> list[Region] | None:
    """The map in the records of formats 0.0 (an offset and a length per record) and 0.1 (one list); None if there is
    none.

    Raises:
        ValueError: a value is not a number, or the map is torn.
    """
    numbers: list[int] = []
    expected = "GNU.sparse.offset"
    for key, value in records:
        if key == "GNU.sparse.map":
            return _pairs([parse_decimal(part, key) for part in value.split(b",")] if value else [])
        if key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            if key != expected:
                raise ValueError("the map of a sparse file is torn")
            numbers.append(parse_decimal(value, key))
            expected = "GNU.sparse.numbytes" if key == "GNU.sparse.offset" else "GNU.sparse.offset"
    if not numbers and not any(key == "GNU.sparse.numblocks" for key, _ in records):
        return None
    return _pairs(numbers)


def stored_map(take: Callable[[int], bytes], limit: int) -> tuple[list[Region], int]:
    """The map of format 1.0, which comes before the content: decimal numbers, one a line, filled up to a block.

    Returns the regions and the bytes that the map took. `take` gives exactly that many of the next bytes.

    Raises:
        ValueError: it is malformed or longer than `limit` bytes.
    """
    data = bytearray()
    numbers: list[int] = []
    wanted = 1
    position = 0
    while len(numbers) < wanted:
        newline = data.find(b"\n", position)
        if newline < 0:
            if len(data) - position > 20 or len(data) >= limit:
                raise ValueError("the map of a sparse file is malformed or too long")
            data += take(512)
            continue
        number = parse_decimal(bytes(data[position:newline]), "GNU.sparse map")
        position = newline + 1
        if not numbers:
            if number > limit // 4:
                raise ValueError(f"a sparse file has {number} regions, more than {limit // 4}")
            wanted = 1 + 2 * number
        numbers.append(number)
    return _pairs(numbers[1:]), len(data)


def old_gnu_regions(header: bytes, take: Callable[[int], bytes], limit: int) -> tuple[list[Region], int]:
    """The map in an old GNU header and the blocks that continue it, and the file's real size.

    Raises:
        ValueError: it is malformed or longer than `limit` bytes.
    """
    size = parse_number(header[483:495])
    regions = _old_entries(header[386:482])
    more = header[482]
    taken = 0
    while more:
        taken += 512
        if taken > limit:
            raise ValueError("the map of a sparse file is too long")
        block = take(512)
        regions += _old_entries(block[:504])
        more = block[504]
    return regions, size


def _old_entries(data: bytes) -> list[Region]:
    regions = []
    for start in range(0, len(data), 24):
        offset, length = data[start : start + 12], data[start + 12 : start + 24]
        if not offset[0]:
            break
        regions.append((parse_number(offset), parse_number(length)))
    return regions
