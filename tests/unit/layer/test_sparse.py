"""Sparse files in the four encodings, as GNU tar's manual describes them."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from pyoci.errors import LayerError
from pyoci.layer.apply import ApplyPolicy, apply_layer
from pyoci.layer.changes import ChangeBuilder
from pyoci.layer.index import IndexPayload, in_columns, index_layer
from pyoci.layer.limits import Limits
from pyoci.layer.reader import read_archive
from pyoci.layer.tar_reader import TarReader
from tests.unit.layer.tars import END, block, member, padded, pax, tar_of

SIZE = 10_000
REGIONS = ((1000, 5), (4096, 3))
STORED = b"HELLOend"
CONTENT = bytes(1000) + b"HELLO" + bytes(3091) + b"end" + bytes(SIZE - 4099)


def octal(number: int) -> bytes:
    return b"%011o\0" % number


def old_gnu(regions: tuple[tuple[int, int], ...], size: int, stored: bytes) -> bytes:
    pairs = [octal(offset) + octal(length) for offset, length in regions]
    first, rest = pairs[:4], pairs[4:]
    tail = bytes(41) + b"".join(first).ljust(96, b"\0") + (b"\1" if rest else b"\0") + octal(size)
    data = block(b"f", flag=b"S", size=octal(len(stored)), magic=b"ustar  \0", tail=tail)
    while rest:
        chunk, rest = rest[:21], rest[21:]
        data += (b"".join(chunk).ljust(504, b"\0") + (b"\1" if rest else b"\0")).ljust(512, b"\0")
    return data + padded(stored)


def pax_00(regions: tuple[tuple[int, int], ...], size: int, stored: bytes) -> bytes:
    records = [("GNU.sparse.size", b"%d" % size), ("GNU.sparse.numblocks", b"%d" % len(regions))]
    for offset, length in regions:
        records += [("GNU.sparse.offset", b"%d" % offset), ("GNU.sparse.numbytes", b"%d" % length)]
    return pax(records) + block(b"f", size=octal(len(stored))) + padded(stored)


def pax_01(regions: tuple[tuple[int, int], ...], size: int, stored: bytes) -> bytes:
    values = ",".join(f"{offset},{length}" for offset, length in regions or ((size, 0),)).encode()
    records = [("GNU.sparse.name", b"f"), ("GNU.sparse.size", b"%d" % size), ("GNU.sparse.map", values)]
    return pax(records) + block(b"GNUSparseFile.1/f", size=octal(len(stored))) + padded(stored)


def pax_10(regions: tuple[tuple[int, int], ...], size: int, stored: bytes) -> bytes:
    numbers = [len(regions), *(number for region in regions for number in region)]
    body = padded(b"".join(b"%d\n" % number for number in numbers)) + stored
    records = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"f"),
        ("GNU.sparse.realsize", b"%d" % size),
    ]
    return pax(records) + block(b"GNUSparseFile.1/f", size=octal(len(body))) + padded(body)


ENCODINGS = pytest.mark.parametrize("encode", [old_gnu, pax_00, pax_01, pax_10])


def read_all(data: bytes) -> list[tuple[str, int, bytes]]:
    return [(entry.path, entry.size, body.read()) for entry, body in read_archive(io.BytesIO(data)) if body]


@ENCODINGS
def test_holes_are_zeros_and_what_follows_is_found(encode: object) -> None:
    data = encode(REGIONS, SIZE, STORED) + tar_of((member("next"), b"n"))  # type: ignore[operator]
    assert read_all(data) == [("f", SIZE, CONTENT), ("next", 1, b"n")]


@ENCODINGS
@pytest.mark.parametrize(
    ("regions", "size", "stored", "content"),
    [
        ((), 0, b"", b""),
        ((), 5, b"", bytes(5)),
        (((5, 0),), 5, b"", bytes(5)),
        (((0, 3),), 3, b"abc", b"abc"),
        (((0, 1), (1, 1), (3, 1)), 4, b"abc", b"ab\0c"),
        (tuple((2 * i, 1) for i in range(60)), 120, b"x" * 60, b"x\0" * 60),
    ],
)
def test_shapes(encode: object, regions: object, size: int, stored: bytes, content: bytes) -> None:
    assert read_all(encode(regions, size, stored) + END) == [("f", size, content)]  # type: ignore[operator]


@ENCODINGS
@pytest.mark.parametrize(
    ("regions", "size", "stored"),
    [
        (((0, 3), (2, 1)), 5, b"abcd"),
        (((3, 3),), 5, b"abc"),
        (((4, 1), (0, 1)), 5, b"ab"),
        (((0, 3),), 5, b"abcd"),
        (((0, 5),), 5, b"abc"),
        (((1 << 62, 1 << 62),), 5, b""),
    ],
)
def test_regions_that_make_no_sense(encode: object, regions: object, size: int, stored: bytes) -> None:
    with pytest.raises(LayerError, match=r"region|number"):
        read_all(encode(regions, size, stored) + END)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("records", "body", "message"),
    [
        ([("GNU.sparse.offset", b"0"), ("GNU.sparse.offset", b"1")], b"", "torn"),
        ([("GNU.sparse.numbytes", b"0")], b"", "torn"),
        ([("GNU.sparse.numblocks", b"1"), ("GNU.sparse.offset", b"0")], b"", "odd number"),
        ([("GNU.sparse.map", b"0,1,2")], b"", "odd number"),
        ([("GNU.sparse.map", b"0,,1")], b"", "not a number"),
        ([("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")], padded(b"x\n"), "not a number"),
        ([("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")], b"1" * 512, "malformed or too long"),
        ([("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")], padded(b"999999999\n"), "more than 262144"),
        ([("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")], b"", "ends in the middle"),
    ],
)
def test_broken_maps(records: list[tuple[str, bytes]], body: bytes, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        read_all(pax(records) + block(b"f", size=octal(len(body))) + body)


def test_an_endless_map_is_stopped() -> None:
    endless = old_gnu(tuple((2 * i, 1) for i in range(60)), 120, b"x" * 60)
    with pytest.raises(LayerError, match="the map of a sparse file is too long"):
        list(read_archive(io.BytesIO(endless), limits=Limits(header_bytes=512)))


def test_maps_are_kept_in_memory_and_bounded() -> None:
    data = pax_10(tuple((2 * i, 1) for i in range(60)), 120, b"x" * 60) + END
    with pytest.raises(LayerError, match="maps of files have more than 900 bytes"):
        list(read_archive(io.BytesIO(data), limits=Limits(metadata_bytes=900)))


def test_a_huge_hole_counts_as_what_it_fills() -> None:
    data = pax_10((), 1 << 50, b"") + END
    with pytest.raises(LayerError, match="the files have more than 137438953472 bytes"):
        read_all(data)


def test_the_stored_bytes_alone() -> None:
    reader = TarReader(io.BytesIO(pax_10(REGIONS, SIZE, STORED) + END))
    reader.next()
    assert reader.regions == REGIONS
    stored = b""
    while piece := reader.stored_piece(3):
        assert len(piece) <= 3
        stored += piece
    assert stored == STORED
    assert reader.next() is None


@ENCODINGS
def test_unpacking_notes_what_an_index_says(encode: object, tmp_path: Path) -> None:
    data = encode(REGIONS, SIZE, STORED) + tar_of((member("next"), b"n"))  # type: ignore[operator]
    noted: ChangeBuilder[IndexPayload] = ChangeBuilder()
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        policy = ApplyPolicy("overlay-user", "record", "record")
        apply_layer(io.BytesIO(data), root, policy=policy, seen=noted.add)
    finally:
        os.close(root)
    read = index_layer(io.BytesIO(data), "none", diff_id=None)
    assert in_columns(read.diff_id, len(data), noted.finish()).place("f") == read.place("f")
    assert read.digests[:32] == hashlib.sha256(CONTENT).digest()
    assert (tmp_path / "f").read_bytes() == CONTENT
