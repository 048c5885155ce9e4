"""Archives as trees: made by Python's tarfile and its compressors, which are not ours."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from pyoci.errors import LayerError
from pyoci.fetch.archive import ArchiveFiles, looks_like_archive, open_archive
from pyoci.layer.compression import zstd_module


def member(name: str, data: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT, **options: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, **options) as archive:  # type: ignore[call-overload]
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read(files: ArchiveFiles, path: str) -> bytes:
    tree = files.tree()
    entry = tree.lookup(path)
    assert entry is not None
    with tree.open(entry) as stream:
        return stream.read()


class Slowly(io.RawIOBase):
    """Gives a few bytes at a time, as a pipe does."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        return self._inner.read(97 if size is None or size < 0 else min(size, 97))


SIMPLE = tar(
    member("./", type=tarfile.DIRTYPE, mode=0o755),
    member("./Dockerfile", b"FROM scratch\n", mode=0o644, uid=1000, gid=100, mtime=5),
    member("./bin/", type=tarfile.DIRTYPE, mode=0o700),
    member("./bin/tool", b"x" * 3000, mode=0o755),
    member("./link", type=tarfile.SYMTYPE, linkname="bin/tool"),
    member("./hard", type=tarfile.LNKTYPE, linkname="./bin/tool"),
    member("./.wh.name", b"no whiteout"),
)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd_module().compress])
def test_every_compression(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    data = compress(SIMPLE)
    assert looks_like_archive(data[:512])
    stream: BinaryIO = Slowly(data)  # type: ignore[assignment]
    files = open_archive(stream, tmp_path)
    assert stream.closed
    assert read(files, "Dockerfile") == b"FROM scratch\n"
    assert read(files, "link") == read(files, "hard") == b"x" * 3000
    assert read(files, ".wh.name") == b"no whiteout"
    assert [entry.path for entry in files.tree().walk()] == [
        ".wh.name",
        "Dockerfile",
        "bin",
        "bin/tool",
        "hard",
        "link",
    ]
    entry = files.tree().lookup("Dockerfile")
    assert entry is not None
    assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (0o644, 1000, 100, 5)
    assert list(tmp_path.iterdir()) == []


def test_equal_archives_have_equal_digests_whatever_the_compression(tmp_path: Path) -> None:
    plain = open_archive(io.BytesIO(SIMPLE), tmp_path)
    packed = open_archive(io.BytesIO(gzip.compress(SIMPLE)), tmp_path)
    assert plain.digest == packed.digest


def test_files_can_be_read_in_any_order_and_at_once(tmp_path: Path) -> None:
    files = open_archive(io.BytesIO(tar(member("a", b"a" * 5000), member("b", b"b" * 5000))), tmp_path)
    tree = files.tree()
    entries = [tree.lookup(name) for name in ("b", "a")]
    streams = [tree.open(entry) for entry in entries if entry]
    assert [stream.read(10) for stream in streams] == [b"b" * 10, b"a" * 10]
    assert [len(stream.read()) for stream in streams] == [4990, 4990]
    for stream in streams:
        stream.close()


def test_the_last_of_two_names_counts(tmp_path: Path) -> None:
    files = open_archive(io.BytesIO(tar(member("a", b"old"), member("a", b"newer"))), tmp_path)
    assert read(files, "a") == b"newer"


def test_archives_of_git_begin_with_a_global_header(tmp_path: Path) -> None:
    data = tar(member("p/a", b"a"), pax_headers={"comment": "0" * 40})
    assert looks_like_archive(data[:512])
    assert read(open_archive(io.BytesIO(data), tmp_path), "p/a") == b"a"


def test_long_names_at_the_beginning_are_no_obstacle() -> None:
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert looks_like_archive(tar(member("d/" * 100 + "f", b"x"), form=form)[:512])


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"FROM scratch\n",
        b"FROM scratch\n" * 60,
        bytes(512),
        b"\x1f\x8b",
        b"PK\x03\x04" + bytes(600),
        b"\xff" * 512,
    ],
)
def test_other_things_are_no_archives(head: bytes) -> None:
    assert not looks_like_archive(head[:512])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (tar(member("../outside", b"x")), "leads out of the root"),
        (tar(member("a/../../outside", b"x")), "leads out of the root"),
        (gzip.compress(SIMPLE, mtime=0)[:-20], "gzip data ends"),
        (SIMPLE[: len(SIMPLE) // 2], "ends"),
        (gzip.compress(b"FROM scratch\n", mtime=0), "ends in the middle of a header"),
        (tar(member("a", type=tarfile.LNKTYPE, linkname="a")), 'the hard link "a"'),
    ],
)
def test_hostile_archives_are_refused_and_leave_nothing(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(LayerError, match=problem):
        open_archive(io.BytesIO(data), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_absolute_names_and_links_stay_inside(tmp_path: Path) -> None:
    data = tar(member("/etc/passwd", b"inside"), member("up", type=tarfile.SYMTYPE, linkname="/etc/passwd"))
    files = open_archive(io.BytesIO(data), tmp_path)
    assert read(files, "up") == b"inside"
