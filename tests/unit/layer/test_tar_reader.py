"""Reading tars of every dialect, and refusing what is malformed. Well-formed archives come from Python's tarfile."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from pyoci.errors import LayerError
from pyoci.layer.entry import Entry, LayerPath
from pyoci.layer.limits import Limits
from pyoci.layer.reader import is_archive, read_archive
from pyoci.layer.tar_reader import TarReader
from tests.unit.layer.tars import END, block, member, padded, pax, tar_of

P = LayerPath


def entries_of(data: bytes, limits: Limits | None = None) -> list[Entry]:
    return [entry for entry, _ in read_archive(io.BytesIO(data), limits=limits or Limits())]


def contents_of(data: bytes) -> dict[str, bytes]:
    return {entry.path: body.read() for entry, body in read_archive(io.BytesIO(data)) if body}


FORMATS = pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@FORMATS
def test_every_type(format: int) -> None:
    owner: dict[str, Any] = {"uid": 1000, "gid": 50, "mtime": 1700000000, "mode": 0o4755}
    data = tar_of(
        member("d", tarfile.DIRTYPE, **owner),
        (member("d/f", **owner), b"content"),
        member("h", tarfile.LNKTYPE, linkname="d/f", **owner),
        member("s", tarfile.SYMTYPE, linkname="../f", **owner),
        member("c", tarfile.CHRTYPE, devmajor=5, devminor=1, **owner),
        member("b", tarfile.BLKTYPE, devmajor=8, devminor=17, **owner),
        member("p", tarfile.FIFOTYPE, **owner),
        format=format,
    )
    common = Entry(P(""), "file", 0o4755, 1000, 50, mtime=1700000000)
    assert entries_of(data) == [
        replace(common, path=P("d"), type="dir"),
        replace(common, path=P("d/f"), size=7),
        replace(common, path=P("h"), type="hardlink", link="d/f"),
        replace(common, path=P("s"), type="symlink", link="../f"),
        replace(common, path=P("c"), type="char", device=(5, 1)),
        replace(common, path=P("b"), type="block", device=(8, 17)),
        replace(common, path=P("p"), type="fifo"),
    ]
    assert contents_of(data) == {"d/f": b"content"}


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("length", [99, 100, 101, 155, 156, 255, 256, 257, 1000])
def test_long_names_and_links(format: int, length: int) -> None:
    name = "n" * 50 + "/" + "m" * (length - 51)
    [entry] = entries_of(tar_of(member(name, tarfile.SYMTYPE, linkname="l" * length), format=format))
    assert (entry.path, entry.link) == (name, "l" * length)


def test_a_ustar_prefix() -> None:
    name = "/".join(["directory"] * 20) + "/file"
    [entry] = entries_of(tar_of(member(name), format=tarfile.USTAR_FORMAT))
    assert entry.path == name


def test_a_gnu_header_has_no_prefix_but_times_there() -> None:
    head = block(b"name", magic=b"ustar  \0", tail=b"14000000000\x0014000000000\x00")
    assert [entry.path for entry in entries_of(head + END)] == ["name"]


def test_a_star_header_has_a_shorter_prefix() -> None:
    tail = b"p" * 131 + b"14000000000 " + b"14000000000 " + bytes(8) + b"tar\0"
    assert [entry.path for entry in entries_of(block(b"n", tail=tail) + END)] == ["p" * 131 + "/n"]


@FORMATS
def test_names_that_are_not_utf_8(format: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, encoding="latin-1") as archive:
        archive.addfile(member("caf\xe9"))
    [entry] = entries_of(out.getvalue())
    assert entry.path in ("caf\udce9", "caf\xe9")  # pax names are UTF-8, the others bytes


def test_large_numbers() -> None:
    info = member("f", uid=3_000_000_000, gid=2**31, mtime=-7)
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        [entry] = entries_of(tar_of(info, format=format))
        assert (entry.uid, entry.gid, entry.mtime) == (3_000_000_000, 2**31, -7)


def test_a_file_of_more_than_8_gib_is_announced_by_pax_and_by_base_256() -> None:
    size = 9 << 30
    for head in (
        pax([("size", b"%d" % size)]) + block(),
        block(size=b"\x80" + size.to_bytes(11, "big")),
    ):
        entry = TarReader(io.BytesIO(head)).next()
        assert entry is not None
        assert entry.size == size


def test_xattrs_and_the_rest_of_pax() -> None:
    capability = b"\x01\x00\x00\x02\x00\x20" + bytes(14)
    records = [
        ("path", "ü/f".encode()),
        ("mtime", b"1350244992.9"),
        ("uid", b"2097152"),
        ("SCHILY.xattr.security.capability", capability),
        ("SCHILY.xattr.user.a=b"[:19], b"1"),
        ("comment", b"whatever"),
        ("uname", b"root"),
    ]
    [entry] = entries_of(pax(records) + block() + END)
    assert entry == Entry(
        P("ü/f"), "file", uid=2097152, mtime=1350244992, xattrs={"security.capability": capability, "user.a": b"1"}
    )


def test_an_empty_record_leaves_what_the_header_says() -> None:
    [entry] = entries_of(pax([("path", b""), ("uid", b"")]) + block(b"name", uid=b"0000005\0") + END)
    assert (entry.path, entry.uid) == ("name", 5)


def test_a_later_record_wins_and_headers_add_up() -> None:
    head = pax([("path", b"first"), ("path", b"second")]) + pax([("uid", b"7")]) + block(b"name")
    [entry] = entries_of(head + END)
    assert (entry.path, entry.uid) == ("second", 7)


def test_an_extended_header_is_for_one_entry_and_a_global_one_for_none() -> None:
    """As in containerd, docker and podman, whose reader leaves global headers to a caller that passes over them."""
    data = (
        block(b"a")
        + pax([("uid", b"5"), ("comment", b"0123"), ("path", b"x"), ("size", b"9"), ("GNU.sparse.map", b"1")], b"g")
        + pax([("gid", b"6")])
        + block(b"b")
        + block(b"c")
        + END
    )
    assert [(entry.path, entry.uid, entry.gid) for entry in entries_of(data)] == [("a", 0, 0), ("b", 0, 6), ("c", 0, 0)]


def test_old_archives() -> None:
    """Version 7: no magic; a directory is a file whose name ends in a slash. Type 7 is a file."""
    old = block(b"d/", flag=b"\0", magic=bytes(8)) + block(b"f", flag=b"\0", magic=bytes(8)) + block(b"g", flag=b"7")
    assert [(entry.path, entry.type) for entry in entries_of(old + END)] == [("d", "dir"), ("f", "file"), ("g", "file")]
    assert [entry.type for entry in entries_of(block(b"f/") + END)] == ["file"]  # as in Go and Python


def test_what_has_no_content_says_nothing_of_its_size() -> None:
    """A size in the header of a link or directory is not followed by content (as in GNU tar and Go)."""
    head = block(b"d", flag=b"5", size=b"00000000007\0") + block(b"l", flag=b"2", link=b"x", size=b"00000001000\0")
    assert [(entry.path, entry.size) for entry in entries_of(head + block(b"f") + END)] == [
        ("d", 0),
        ("l", 0),
        ("f", 0),
    ]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("./", ""),
        (".", ""),
        ("/", ""),
        ("./a", "a"),
        ("/a/b", "a/b"),
        ("a//b/", "a/b"),
        ("a/./b", "a/b"),
        ("a/../b", "b"),
        ("/../" * 0 + "//etc", "etc"),
        (".hidden/..x/...", ".hidden/..x/..."),
    ],
)
def test_names_become_paths(name: str, path: str) -> None:
    [entry] = entries_of(block(name.encode(), flag=b"5") + END)
    assert entry.path == path


@pytest.mark.parametrize("name", ["..", "../a", "/../a", "a/../../b", "a/b/../../../c"])
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(LayerError, match="leads out of the root"):
        entries_of(block(name.encode()) + END)
    with pytest.raises(LayerError, match="leads out of the root"):
        entries_of(block(flag=b"1", link=name.encode()) + END)


def test_the_link_of_a_hard_link_is_a_path_and_of_a_symbolic_link_is_text() -> None:
    data = block(flag=b"1", link=b"/x/./y") + block(flag=b"2", link=b"/x/./../../y") + END
    assert [entry.link for entry in entries_of(data)] == ["x/y", "/x/./../../y"]


@pytest.mark.parametrize("end", [b"", bytes(512), bytes(1024), bytes(10240), bytes(10240 * 300), bytes(700)])
def test_ends_of_archives(end: bytes) -> None:
    assert [entry.path for entry in entries_of(block() + end)] == ["a"]
    assert entries_of(end) == []


BAD: list[tuple[str, bytes, str]] = [
    ("checksum", block(checksum=b"000001\0 ") + END, "a header has a wrong checksum (tar header at byte 0)"),
    ("checksum field", block(checksum=b"zzzzzz\0 ") + END, "b'zzzzzz' is not an octal number (tar header at byte 0)"),
    ("half a header", block() + block()[:300], "the archive ends in the middle of a header (tar header at byte 512)"),
    ("text", b"this is no archive", "the archive ends in the middle of a header (tar header at byte 0)"),
    ("no body", block(size=b"00000000100\0") + bytes(63), '"a": the archive ends in the middle of the entry (tar'),
    (
        "global pax",
        pax(b"99 path=x\n", b"g") + block() + END,
        "the pax record at byte 0 is malformed (tar header at byte",
    ),
    ("mode", block(mode=b"00006z4\0") + END, "\"a\": b'00006z4' is not an octal number (tar header at byte 0)"),
    ("size", block(size=b"0000000000a\0") + END, "\"a\": b'0000000000a' is not an octal number (tar header at byte 0)"),
    ("negative size", block(size=b"\xff" * 12) + END, '"a": a size of -1 bytes (tar header at byte 0)'),
    ("huge number", block(size=b"\x80" + b"\x7f" * 11), '"a": the number b\'\\x80'),
    ("owner", pax([("uid", b"4294967295")]) + block() + END, '"a": the owner 4294967295:0 does not exist (tar'),
    ("negative owner", block(uid=b"\xff" * 8) + END, '"a": the owner -1:0 does not exist (tar header at byte 0)'),
    ("no name", block(b"") + END, "an entry has no name (tar header at byte 0)"),
    ("no link", block(flag=b"2") + END, '"a": a symbolic link points to nothing (tar header at byte 0)'),
    ("no target", block(flag=b"1") + END, '"a": a hard link points to nothing (tar header at byte 0)'),
    ("unknown type", block(flag=b"V") + END, "\"a\": entries of type 'V' cannot be stored in a layer (tar"),
    ("nul in pax name", pax([("path", b"a\0b")]) + block() + END, "'a\\x00b' holds a NUL byte (tar header at byte 0)"),
    ("bad pax", pax(b"99 path=x\n") + block() + END, "the pax record at byte 0 is malformed (tar header at byte 0)"),
    ("pax size", pax([("size", b"-1")]) + block() + END, "the pax record size=b'-1' is not a number (tar"),
    ("pax mtime", pax([("mtime", b"soon")]) + block() + END, "the pax record mtime=b'soon' is not a time (tar"),
    ("pax at the end", block() + pax([("path", b"x")]) + END, "ends after an extended header (tar header at byte 512)"),
    ("pax cut", pax([("path", b"x")])[:520], "the archive ends in the middle of the entry (tar header at byte 0)"),
    ("one zero block", bytes(512) + block() + END, "an archive goes on after a block of zeros (tar header at byte 0)"),
    ("garbage", block() + END + b"garbage", "garbage follows the end of the archive (tar header at byte 512)"),
    (
        "late garbage",
        block() + bytes(5 << 20) + b"x",
        "garbage follows the end of the archive (tar header at byte 512)",
    ),
    ("long name", block(b"L", flag=b"L", size=b"00010000000\0"), "an extended header of 2097152 bytes (the limit is"),
    ("longer than a path may be", pax([("path", b"a/" * 2049 + b"b")]) + block() + END, "is longer than 4096 bytes"),
]


@pytest.mark.parametrize(("data", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_malformed_archives(data: bytes, message: str) -> None:
    with pytest.raises(LayerError) as caught:
        contents_of(data)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_the_error_names_the_entry_and_its_offset() -> None:
    data = (
        padded(block(b"first", size=b"00000000003\0") + b"abc")
        + pax([("path", b"etc/shadow"), ("uid", b"x")])
        + block()
    )
    with pytest.raises(LayerError) as caught:
        entries_of(data)
    assert caught.value.message == "\"etc/shadow\": the pax record uid=b'x' is not a number (tar header at byte 1024)"


def test_limits_are_named() -> None:
    many = b"".join(block(b"%d" % number) for number in range(11)) + END
    with pytest.raises(LayerError, match=r"more than 10 entries \(tar header at byte 5120\)") as caught:
        entries_of(many, Limits(entries=10))
    assert caught.value.hint == "if a layer may be so, raise layer-entries in the table [limits] of config.toml"
    with pytest.raises(LayerError, match="the files have more than 1000 bytes"):
        entries_of(tar_of((member("f"), bytes(1001))), Limits(uncompressed_bytes=1000))


def test_headers_before_one_entry_are_bounded_together() -> None:
    half = pax([("comment", b"x" * 600_000)])
    assert len(entries_of(half + block() + half + block() + END)) == 2
    with pytest.raises(LayerError, match=r"an extended header of \d+ bytes \(the limit is 1048576\)"):
        entries_of(half + half + block() + END)
    name = block(flag=b"L", size=b"%011o\0" % 600_000) + padded(b"n" * 600_000)
    with pytest.raises(LayerError, match="an extended header of 600000 bytes"):
        entries_of(name + name + block() + END)


def test_a_global_header_is_bounded_and_forgotten() -> None:
    one = pax([("key", b"x" * 600_000)], b"g")
    assert len(entries_of(one + block() + one + block() + END)) == 2
    with pytest.raises(LayerError, match="an extended header of 600012 bytes"):
        entries_of(one + one + block() + END)


@pytest.mark.parametrize("padding", [0, 1, 510])
def test_the_padding_of_the_last_file_may_be_missing(padding: int) -> None:
    """Go's reader does not miss it, and some writers leave it out."""
    data = block() + block(b"b", size=b"00000000001\0") + b"x" + bytes(padding)
    assert [entry.path for entry in entries_of(data)] == ["a", "b"]


def test_what_is_kept_in_memory_is_bounded() -> None:
    for data in (
        tar_of(*(member("n" * 90 + str(number)) for number in range(12))),
        tar_of(*(member("s", b"2", linkname="t" * 90) for _ in range(12))),
        b"".join(pax([("SCHILY.xattr.user.a", b"v" * 400)]) + block() for _ in range(3)) + END,
    ):
        with pytest.raises(LayerError, match="names, attributes and maps of files have more than 1000 bytes"):
            entries_of(data, Limits(metadata_bytes=1000))
        entries_of(data, Limits(metadata_bytes=10_000))


def test_a_body_is_gone_when_the_next_entry_comes() -> None:
    data = tar_of((member("a"), b"first"), (member("b"), b"second"))
    iterator = read_archive(io.BytesIO(data))
    _, first = next(iterator)
    assert first is not None
    assert first.read(2) == b"fi"
    _, second = next(iterator)
    assert second is not None
    assert first.read(100) == b"rst"  # was there already
    with pytest.raises(ValueError, match="another entry"):
        first.read(1)
    assert second.read() == b"second"
    assert second.read() == b""


@pytest.mark.parametrize("step", [1, 511, 512, 513, 1 << 20])
def test_however_the_bytes_arrive(step: int) -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(step if size is None or size < 0 else min(step, size))

    content = bytes(range(256)) * 20
    data = tar_of((member("a" * 200), content), member("d", tarfile.DIRTYPE), (member("b"), b"x"))
    found = [(entry.path, body.read() if body else None) for entry, body in read_archive(Trickle(data))]
    assert found == [("a" * 200, content), ("d", None), ("b", b"x")]


def test_memory_stays_bounded_with_a_large_body() -> None:
    """No more than one block of the stream is asked for at a time, and nothing of it is kept."""
    asked: list[int] = []

    class Zeros(io.RawIOBase):
        left = 512 << 20

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            asked.append(size)
            if not asked[1:]:
                return block(size=b"\x80" + (512 << 20).to_bytes(11, "big"))
            count = min(size, Zeros.left)
            Zeros.left -= count
            return bytes(count)

    reader = TarReader(Zeros())  # type: ignore[arg-type]
    entry = reader.next()
    assert entry is not None
    total = 0
    while piece := reader.piece():
        total += len(piece)
    assert total == entry.size == 512 << 20
    assert max(asked) <= 1 << 20


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (tar_of(member("a")), True),
        (pax([("path", b"x")]) + block() + END, True),
        (b"", False),
        (bytes(1024), False),
        (b"just text\n" * 100, False),
        (block(checksum=b"000001\0 "), False),
    ],
)
def test_what_add_takes_for_an_archive(data: bytes, answer: bool) -> None:
    assert is_archive(io.BytesIO(data)) is answer
