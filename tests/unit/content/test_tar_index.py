"""Headers of every format that archives come in, written by Python's tarfile, and headers that nobody should write."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.content.tar_index import TarIndex, index_tar
from pyoci.errors import ContentError


def member(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def tar(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def index(data: bytes) -> TarIndex:
    return index_tar(lambda offset, count: data[offset : offset + count], len(data), "x.tar")


def content(data: bytes, name: str) -> bytes | None:
    found = index(data).get(name)
    return None if found is None else data[found.offset : found.offset + found.size]


LONG = "d/" * 90 + "file"


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["manifest.json", "blobs/sha256/" + "a" * 64, "é", LONG])
def test_a_file_is_found_under_its_name(format: int, name: str) -> None:
    data = tar(member("before", b"1" * 700), member(name, b"content"), member("after"), format=format)
    assert content(data, name) == b"content"
    assert list(index(data).names()) == ["before", name, "after"]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_links_are_read(format: int) -> None:
    data = tar(member(LONG, b"x"), member("link", type=tarfile.SYMTYPE, linkname=LONG), format=format)
    assert content(data, "link") == b"x"


def test_a_link_is_the_file_it_points_to() -> None:
    """`docker save` before 25 linked layers that several images share."""
    data = tar(
        member("aaa/layer.tar", b"layer"),
        member("bbb/layer.tar", type=tarfile.SYMTYPE, linkname="../aaa/layer.tar"),
        member("ccc/layer.tar", type=tarfile.SYMTYPE, linkname="/bbb/layer.tar"),
        member("hard", type=tarfile.LNKTYPE, linkname="aaa/layer.tar"),
    )
    for name in ("bbb/layer.tar", "ccc/layer.tar", "hard"):
        assert content(data, name) == b"layer"
    assert "nowhere" not in index(tar(member("nowhere", type=tarfile.SYMTYPE, linkname="gone")))


@pytest.mark.parametrize("name", ["./a/b", "a//b", "/a/b", "a/./b", "x/../a/b"])
def test_spellings_of_a_path_are_one_path(name: str) -> None:
    assert content(tar(member(name, b"x")), "a/b") == b"x"


def test_the_last_of_two_entries_counts() -> None:
    assert content(tar(member("a", b"old"), member("a", b"new")), "a") == b"new"
    data = tar(
        member("a", b"old"), member("b", b"b"), member("a", type=tarfile.SYMTYPE, linkname="b"), member("b", b"c")
    )
    assert content(data, "a") == b"c"


def test_directories_and_devices_are_passed_over() -> None:
    data = tar(member("d", type=tarfile.DIRTYPE), member("n", type=tarfile.CHRTYPE), member("f", b"x"))
    assert list(index(data).names()) == ["f"]


@pytest.mark.parametrize("end", [0, 512, 1024, 10240])
def test_an_archive_may_end_with_any_number_of_empty_blocks(end: int) -> None:
    data = tar(member("a", b"x"))[:1024] + b"\0" * end
    assert content(data, "a") == b"x"


def test_what_comes_after_the_end_is_not_read() -> None:
    assert list(index(tar(member("a", b"x")) + b"junk" * 500).names()) == ["a"]


def damaged(offset: int, value: bytes) -> bytes:
    data = bytearray(tar(member("a", b"x"), member("b", b"y"), format=tarfile.USTAR_FORMAT))
    data[offset : offset + len(value)] = value
    return bytes(data)


def with_size(digits: bytes) -> bytes:
    """One file whose header claims another size, with a right checksum."""
    header = bytearray(tar(member("a", b"x"))[:512])
    header[124:136] = digits.ljust(12, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"x".ljust(512, b"\0") + bytes(1024)


def pax(records: bytes) -> bytes:
    info = tarfile.TarInfo("pax")
    info.type = tarfile.XHDTYPE
    info.size = len(records)
    header = info.tobuf(tarfile.USTAR_FORMAT)
    return header + records + bytes(-len(records) % 512) + tar(member("a", b"x"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no tar at all" * 100, "x.tar is not a tar"),
        (b"PK\3\4" + bytes(600), "x.tar is not a tar"),
        (damaged(1024, b"c"), "x.tar is damaged: bad checksum at offset 1024"),
        (tar(member("a", b"x"))[:300], "x.tar is not a tar"),
        (tar(member("a", b"x" * 2000))[:1500], 'x.tar is cut short: "a" should have 2000 bytes'),
        (tar(member("a", b"x"), member("b"))[:1200], "x.tar is damaged: truncated header at offset 1024"),
        (with_size(b"\x80" + b"\x7f" * 11), None),
        (with_size(b"\xff" * 12), None),
        (with_size(b"77777777777"), 'x.tar is cut short: "a" should have 8589934591 bytes'),
        (tar(member("../a", b"x")), '"../a" in x.tar points out of the archive'),
        (tar(member("a/../../b", b"x")), '"a/../../b" in x.tar points out of the archive'),
        (
            tar(member("a", type=tarfile.SYMTYPE, linkname="../../etc/passwd")),
            '"../../etc/passwd" in x.tar points out of the archive',
        ),
        (pax(b"20 path=b\n"), "x.tar is damaged: a pax header has a record that cannot be read"),
        (pax(b"0 path=b\n"), "x.tar is damaged: a pax header has a record that cannot be read"),
        (pax(b"x"), "x.tar is damaged: a pax header has a record that cannot be read"),
        (pax(b"99999999999 a=b\n"), "x.tar is damaged: a pax header has a record that cannot be read"),
        (pax(b"11 size=-1\n"), 'x.tar is damaged: "-1" is not a size'),
        (pax(b"13 size=9999\n"), 'x.tar is cut short: "a" should have 9999 bytes'),
        (pax(b"22 GNU.sparse.major=1\n"), '"a" in x.tar is a sparse file, which image archives do not have'),
        (tar(member("a", type=b"S")), '"a" in x.tar is a sparse file, which image archives do not have'),
        (pax(b"x" * ((1 << 20) + 1)), "x.tar has an extension header of 1048577 bytes, 1048576 are allowed"),
    ],
)
def test_a_damaged_or_hostile_tar_is_refused(data: bytes, message: str | None) -> None:
    with pytest.raises(ContentError) as caught:
        index(data)
    if message is not None:
        assert caught.value.message == message


def test_links_in_a_circle_end_in_an_error() -> None:
    found = index(tar(member("a", type=tarfile.SYMTYPE, linkname="b"), member("b", type=tarfile.SYMTYPE, linkname="a")))
    with pytest.raises(ContentError, match="is a link to a link"):
        found.get("a")


def test_a_file_larger_than_octal_digits_can_say_is_read() -> None:
    """The bytes themselves are not needed for that: only headers are read."""
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        info = tarfile.TarInfo("huge")
        info.size = 1 << 34
        header = info.tobuf(format)
        total = len(header) + info.size

        def read_at(offset: int, count: int, header: bytes = header) -> bytes:
            return header[offset : offset + count] if offset < len(header) else b""

        found = index_tar(read_at, total, "x.tar").get("huge")
        assert found is not None
        assert (found.offset, found.size) == (len(header), 1 << 34)


@given(st.binary(max_size=2000))
def test_any_bytes_are_an_index_or_an_error(data: bytes) -> None:
    with suppress(ContentError):
        index(data)


@given(st.integers(0, 3071), st.binary(min_size=1, max_size=12))
def test_any_change_of_a_tar_is_an_index_inside_it_or_an_error(offset: int, change: bytes) -> None:
    data = bytearray(tar(member("a", b"x" * 600), member(LONG, b"y")))
    data[offset : offset + len(change)] = change
    try:
        found = index(bytes(data))
    except ContentError:
        return
    for name in found.names():
        inside = found.get(name)
        assert inside is None or inside.offset + inside.size <= len(data)
