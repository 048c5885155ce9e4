"""Writing layers, read back by Python's tarfile as a reader of its own."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from pyoci.errors import LayerError
from pyoci.image.media_types import Compression
from pyoci.layer.encode import encode_header, padding
from pyoci.layer.entry import Change, Entry, EntryType, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.index import dump_index, index_layer
from pyoci.layer.writer import WrittenLayer, write_layer
from tests.builders import changes_of, device, directory, fifo, file, hardlink, make_layer, opaque, removed, symlink

P = LayerPath
EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""The diff ID of docker's layer without files: 1024 zeros."""


def written(
    changes: Sequence[Change], contents: dict[str, bytes] | None = None, *, mtime_limit: int = 1 << 40
) -> tuple[bytes, WrittenLayer]:
    out = io.BytesIO()
    files = contents or {}
    result = write_layer(
        changes, lambda entry: io.BytesIO(files[entry.path]), out, compression="none", mtime_limit=mtime_limit
    )
    return out.getvalue(), result


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getmembers()


def test_every_type_and_attribute() -> None:
    layer = make_layer(
        {
            "d": directory(mode=0o1777, uid=3, gid=4, mtime=99),
            "d/file": file(b"content", mode=0o4755, uid=1000, gid=2000, mtime=1700000000),
            "d/link": symlink("../d/file"),
            "hard": hardlink("d/file"),
            "tty": device("char", 5, 0, mode=0o620),
            "disk": device("block", 8, 1),
            "pipe": fifo(),
        }
    )
    found = {member.name: member for member in members(layer.tar)}
    assert list(found) == ["d", "d/file", "d/link", "disk", "hard", "pipe", "tty"]
    assert (found["d"].type, found["d"].mode, found["d"].uid, found["d"].gid) == (tarfile.DIRTYPE, 0o1777, 3, 4)
    first = found["d/file"]
    assert (first.type, first.mode, first.uid, first.gid, first.size) == (tarfile.REGTYPE, 0o4755, 1000, 2000, 7)
    assert first.mtime == 1700000000
    assert (found["d/link"].type, found["d/link"].linkname) == (tarfile.SYMTYPE, "../d/file")
    assert (found["hard"].type, found["hard"].linkname) == (tarfile.LNKTYPE, "d/file")
    assert (found["tty"].type, found["tty"].devmajor, found["tty"].devminor) == (tarfile.CHRTYPE, 5, 0)
    assert (found["disk"].type, found["disk"].devmajor, found["disk"].devminor) == (tarfile.BLKTYPE, 8, 1)
    assert found["pipe"].type == tarfile.FIFOTYPE
    assert all(not member.uname and not member.gname and not member.pax_headers for member in found.values())


def test_whiteouts_are_empty_files_before_their_siblings() -> None:
    layer = make_layer({"etc/a": b"1", "etc/motd": removed(), "etc": opaque(), "top": removed()})
    names = [(member.name, member.type, member.size, member.mtime) for member in members(layer.tar)]
    assert names == [
        (".wh.top", tarfile.REGTYPE, 0, 0),
        ("etc", tarfile.DIRTYPE, 0, 0),
        ("etc/.wh..wh..opq", tarfile.REGTYPE, 0, 0),
        ("etc/.wh.motd", tarfile.REGTYPE, 0, 0),
        ("etc/a", tarfile.REGTYPE, 1, 0),
    ]


def test_the_empty_layer_is_dockers() -> None:
    assert written([])[1].diff_id == EMPTY_LAYER


def test_what_it_says_of_itself() -> None:
    data, result = written([Upsert(Entry(P("a"), "file", size=3)), Remove(P("b"))], {"a": b"abc"})
    assert result.uncompressed_size == len(data) == 512 * 3 + 1024
    assert result.entry_count == 2
    assert result.layer.descriptor.digest == result.diff_id
    assert result.layer.descriptor.media_type == "application/vnd.oci.image.layer.v1.tar"


@pytest.mark.parametrize("length", [99, 100, 101, 155, 156, 200, 255, 256, 257, 4000])
@pytest.mark.parametrize("shape", ["flat", "deep", "late", "early"])
def test_long_names(length: int, shape: str) -> None:
    name = {
        "flat": "n" * length,
        "deep": ("dir/" * length)[: length - 1] + "x",
        "late": "n" * (length - 2) + "/x",
        "early": "d/" + "n" * (length - 2),
    }[shape].replace("//", "/d")
    for kind in ("dir", "file"):
        [member] = members(encode_header(Entry(P(name), kind)) + bytes(1024))
        assert member.name == name


@pytest.mark.parametrize("name", ["ü", "日本語/名", "caf\udce9", "é" * 90, "d/" + "ü" * 60])
def test_names_beyond_ascii_go_into_pax_records(name: str) -> None:
    [member] = members(encode_header(Entry(P(name), "symlink", link=name)) + bytes(1024))
    assert (member.name, member.linkname) == (name, name)


@pytest.mark.parametrize(
    "entry",
    [
        Entry(P("a"), "file", uid=0o7777777),
        Entry(P("a"), "file", uid=0o10000000, gid=0xFFFFFFFE),
        Entry(P("a"), "file", mtime=-5),
        Entry(P("a"), "file", mtime=1 << 40),
        Entry(P("a"), "file", mtime=0o77777777777),
    ],
)
def test_large_numbers(entry: Entry) -> None:
    [member] = members(encode_header(entry) + bytes(1024))
    assert (member.uid, member.gid, member.mtime) == (entry.uid, entry.gid, entry.mtime)


def test_a_size_beyond_8_gib() -> None:
    header = encode_header(Entry(P("a"), "file", size=9 << 30))
    assert b"size=9663676416\n" in header
    assert len(encode_header(Entry(P("a"), "file", size=(8 << 30) - 1))) == 512


def test_xattrs_byte_for_byte() -> None:
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00=\n\x00\xff" + bytes(8)
    header = encode_header(Entry(P("a"), "file", xattrs={"security.capability": capability, "user.empty": b""}))
    [member] = members(header + bytes(1024))
    raw = member.pax_headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape")
    assert raw == capability
    assert member.pax_headers["SCHILY.xattr.user.empty"] == ""


@pytest.mark.parametrize("key", ["", "user.a=b", "user.\0"])
def test_attributes_that_pax_cannot_name(key: str) -> None:
    with pytest.raises(LayerError, match='of "a" cannot be stored in a layer'):
        encode_header(Entry(P("a"), "file", xattrs={key: b""}))


@pytest.mark.parametrize("number", [(1 << 21, 0), (0, 1 << 21), (-1, 0)])
def test_devices_that_ustar_cannot_number(number: tuple[int, int]) -> None:
    with pytest.raises(LayerError, match=f'the device number {number[0]}:{number[1]} of "dev/x"'):
        encode_header(Entry(P("dev/x"), "block", device=number))


def test_records_are_sorted_whatever_the_order_of_attributes() -> None:
    first = Entry(P("é"), "file", uid=1 << 30, xattrs={"user.b": b"1", "user.a": b"2"})
    header = encode_header(first)
    assert header == encode_header(replace(first, xattrs={"user.a": b"2", "user.b": b"1"}))
    body = "11 path=é\n18 uid=1073741824\n25 SCHILY.xattr.user.a=2\n25 SCHILY.xattr.user.b=1\n".encode()
    assert header[512:1024] == body.ljust(512, b"\0")


def test_pax_only_when_needed() -> None:
    plain = Entry(P("usr/bin/x"), "file", 0o755, 1000, 1000, 10, 1700000000)
    assert len(encode_header(plain)) == 512
    assert encode_header(plain)[257:265] == b"ustar\x0000"


def test_no_time_is_later_than_the_limit() -> None:
    changes = [Upsert(Entry(P(name), "file", mtime=time)) for name, time in (("a", 10), ("b", 100), ("c", 101))]
    assert [member.mtime for member in members(written(changes, mtime_limit=100)[0])] == [10, 100, 100]


def test_the_root_can_have_an_entry() -> None:
    [member] = members(written([Upsert(Entry(P(""), "dir", 0o700))])[0])
    assert (member.name, member.mode) == (".", 0o700)


def test_a_name_that_would_be_a_whiteout_is_refused() -> None:
    with pytest.raises(LayerError, match=r'"a/\.wh\.b" cannot be stored in a layer'):
        written([Upsert(Entry(P("a/.wh.b"), "file"))])


def test_a_link_that_sorts_before_its_target_holds_the_bytes() -> None:
    changes = [Upsert(Entry(P("z"), "file", 0o600, size=4)), Upsert(Entry(P("a"), "hardlink", link="z"))]
    data, _ = written(changes, {"z": b"data"})
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert [(member.name, member.type, member.linkname) for member in archive] == [
            ("a", tarfile.REGTYPE, ""),
            ("z", tarfile.LNKTYPE, "a"),
        ]
        body = archive.extractfile("z")
        assert body is not None
        assert body.read() == b"data"


SIZES = [0, 1, 511, 512, 513, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("as_descriptor", [True, False])
def test_contents_from_streams_and_descriptors(size: int, as_descriptor: bool, tmp_path: Path) -> None:
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    (tmp_path / "f").write_bytes(content)
    opened: list[int] = []

    def open_content(entry: Entry) -> BinaryIO | int:
        descriptor = os.open(tmp_path / "f", os.O_RDONLY)
        opened.append(descriptor)
        return descriptor if as_descriptor else os.fdopen(descriptor, "rb")

    out = io.BytesIO()
    changes = [Upsert(Entry(P("a"), "file", size=size)), Upsert(Entry(P("b"), "symlink", link="a"))]
    write_layer(changes, open_content, out, compression="none", mtime_limit=0)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        body = archive.extractfile("a")
        assert body is not None
        assert body.read() == content
        assert archive.getnames() == ["a", "b"]
    assert len(opened) == (1 if size else 0)
    for descriptor in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.parametrize("size", [5, 1 << 20, 3 << 20])
@pytest.mark.parametrize("difference", [-1, 1])
@pytest.mark.parametrize("as_descriptor", [True, False])
def test_a_file_that_changes_while_it_is_read(size: int, difference: int, as_descriptor: bool, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(size + difference))

    def open_content(entry: Entry) -> BinaryIO | int:
        return os.open(tmp_path / "f", os.O_RDONLY) if as_descriptor else (tmp_path / "f").open("rb")

    changes = [Upsert(Entry(P("log"), "file", size=size))]
    what = "shorter" if difference < 0 else "longer"
    with pytest.raises(LayerError, match=f'"log" is {what} than the {size} bytes'):
        write_layer(changes, open_content, io.BytesIO(), compression="gzip", mtime_limit=0)


def test_padding() -> None:
    assert [len(padding(size)) for size in (0, 1, 511, 512, 513)] == [0, 511, 1, 0, 511]


@pytest.mark.parametrize("kind", ["dir", "symlink", "hardlink", "char", "fifo"])
def test_only_files_have_a_size(kind: EntryType) -> None:
    [member] = members(encode_header(Entry(P("a"), kind, size=77, link="x")) + bytes(1024))
    assert member.size == 0


def test_nothing_but_the_changes_enters_the_bytes() -> None:
    changes: list[Change] = [Upsert(Entry(P("d"), "dir")), Opaque(P("d")), Upsert(Entry(P("d/x"), "file", size=1))]
    first, _ = written(changes, {"d/x": b"1"})
    second, _ = written(changes[::-1], {"d/x": b"1"})
    assert first == second


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_the_index_made_on_the_way_is_the_one_that_reading_makes(compression: Compression) -> None:
    given = changes_of(
        {
            "d": directory(uid=5),
            "d/big": bytes(3_000_000),
            "d/empty": b"",
            "l": symlink("x"),
            "z": file(b"content", mode=0o4755, mtime=50, xattrs={"user.a": b"1"}),
            "a": hardlink("z"),
            "b": hardlink("z"),
            "null": device("char", 1, 3),
            "gone": removed(),
            "e": opaque(),
        }
    )
    out = io.BytesIO()
    result = write_layer(given.changes, given.open, out, compression=compression, mtime_limit=20, indexed=True)
    read = index_layer(io.BytesIO(out.getvalue()), compression, diff_id=result.diff_id)
    assert result.index is not None
    assert list(result.index.changes) == list(read.changes)
    assert dump_index(result.index) == dump_index(read)
    plain = io.BytesIO()
    assert write_layer(given.changes, given.open, plain, compression=compression, mtime_limit=20) == result
    assert plain.getvalue() == out.getvalue()
