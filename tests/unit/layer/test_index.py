"""Indexes of layers: what they keep, how they are stored, and that they are only made of layers that are right."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace

import pytest

from pyoci.digest import DiffID, sha256_digest
from pyoci.errors import ContentError, DigestMismatch, LayerError
from pyoci.image.media_types import Compression
from pyoci.layer.entry import Entry, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.index import LayerIndex, dump_index, index_layer, load_index
from pyoci.layer.limits import Limits
from tests.builders import device, directory, file, hardlink, make_layer, opaque, removed, symlink
from tests.unit.layer.tars import END, block, member, tar_of
from tests.unit.layer.test_sparse import CONTENT, REGIONS, SIZE, STORED, pax_10

P = LayerPath
LAYER = make_layer(
    {
        "d": directory(mode=0o1777, uid=70_000, gid=3, mtime=9),
        "d/file": file(b"content", mode=0o4711, mtime=-4, xattrs={"user.a": b"\0\xff"}),
        "d/caf\udce9": b"x",
        "d/big": bytes(3_000_000),
        "l": symlink("d/file"),
        "h": hardlink("d/file"),
        "null": device("char", 1, 3),
        "d/gone": removed(),
        "e": opaque(),
    }
)


def index_of_tar(data: bytes, compression: Compression = "none") -> LayerIndex:
    return index_layer(io.BytesIO(data), compression, diff_id=None)


def test_the_changes_are_those_that_were_written() -> None:
    index = index_layer(io.BytesIO(LAYER.blob), "gzip", diff_id=LAYER.diff_id)
    changes = list(index.changes)
    assert changes == [
        Upsert(Entry(P("d"), "dir", 0o1777, 70_000, 3, mtime=9)),
        Remove(P("d/gone")),
        Upsert(Entry(P("d/big"), "file", size=3_000_000)),
        Upsert(Entry(P("d/caf\udce9"), "file", size=1)),
        Upsert(Entry(P("d/file"), "file", 0o4711, size=7, mtime=-4, xattrs={"user.a": b"\0\xff"})),
        Opaque(P("e")),
        Upsert(Entry(P("h"), "hardlink", 0o4711, mtime=-4, link="d/file", xattrs={"user.a": b"\0\xff"})),
        Upsert(Entry(P("l"), "symlink", 0o777, link="d/file")),
        Upsert(Entry(P("null"), "char", 0o600, device=(1, 3))),
    ]
    assert index.changes[0] == changes[0]
    assert index.changes[-1] == changes[-1]
    assert list(index.changes[2:5]) == changes[2:5]
    with pytest.raises(IndexError):
        index.changes[9]
    assert (index.diff_id, index.uncompressed_size) == (LAYER.diff_id, len(LAYER.tar))


def test_where_the_bytes_are() -> None:
    index = index_layer(io.BytesIO(LAYER.blob), "gzip", diff_id=LAYER.diff_id)
    for path, content in (("d/file", b"content"), ("h", b"content"), ("d/big", bytes(3_000_000))):
        place = index.place(path)
        assert place is not None
        assert LAYER.tar[place.offset : place.offset + place.size] == content
        assert place.digest == sha256_digest(content)
    for path in ("d", "l", "null", "d/gone", "e", "nothing"):
        assert index.place(path) is None


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_every_compression(compression: Compression) -> None:
    layer = make_layer({"a": b"1", "b": b"2" * 5_000_000}, compression=compression)
    index = index_layer(io.BytesIO(layer.blob), compression, diff_id=layer.diff_id)
    assert [entry.entry.path for entry in index.changes if isinstance(entry, Upsert)] == ["a", "b"]


def test_another_diff_id_is_refused() -> None:
    other = DiffID(sha256_digest(b"other"))
    with pytest.raises(DigestMismatch, match=f"the layer unpacks to {LAYER.diff_id} instead of {other}"):
        index_layer(io.BytesIO(LAYER.blob), "gzip", diff_id=other)


def test_the_stream_is_read_to_its_end() -> None:
    """So that whoever verifies it has done so."""
    stream = io.BytesIO(LAYER.blob)
    index_layer(stream, "gzip", diff_id=LAYER.diff_id)
    assert stream.read() == b""
    failing = tar_of((member("a"), b"1")) + bytes(4 << 20)

    class Fails(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if not data:
                raise DigestMismatch("wrong at the end")
            return data

    with pytest.raises(DigestMismatch, match="wrong at the end"):
        index_layer(Fails(failing), "none", diff_id=DiffID(sha256_digest(failing)))


def test_a_stored_index_is_equal() -> None:
    index = index_layer(io.BytesIO(LAYER.blob), "gzip", diff_id=LAYER.diff_id)
    data = dump_index(index)
    again = load_index(data)
    assert list(again.changes) == list(index.changes)
    assert [again.place(path) for path in again.paths] == [index.place(path) for path in index.paths]
    assert (again.diff_id, again.uncompressed_size) == (index.diff_id, index.uncompressed_size)
    assert dump_index(again) == data


@pytest.mark.parametrize("position", [0, 5, 20, 40, 60, 200, -1])
def test_a_damaged_index_is_an_error(position: int) -> None:
    data = bytearray(dump_index(index_of_tar(LAYER.tar)))
    data[position] ^= 1
    with pytest.raises(ContentError, match="damaged or of another version"):
        load_index(bytes(data))


@pytest.mark.parametrize("data", [b"", b"pyoci", dump_index(index_of_tar(LAYER.tar))[:-1], b"x" * 1000])
def test_what_is_no_index(data: bytes) -> None:
    with pytest.raises(ContentError):
        load_index(data)


def test_columns_that_do_not_fit_are_refused() -> None:
    index = index_of_tar(LAYER.tar)
    with pytest.raises(ContentError, match="columns of different lengths"):
        LayerIndex(
            *(index.diff_id, index.uncompressed_size, index.paths, index.codes[:-1], index.modes, index.uids),
            *(index.gids, index.sizes, index.mtimes, index.offsets, index.digests),
            *(index.links, index.xattrs, index.devices, index.regions),
        )


def test_sparse_files() -> None:
    index = load_index(dump_index(index_of_tar(pax_10(REGIONS, SIZE, STORED) + END)))
    place = index.place("f")
    assert place is not None
    assert (place.size, place.regions, place.digest) == (SIZE, REGIONS, sha256_digest(CONTENT))


def test_the_last_of_two_wins_with_its_bytes() -> None:
    data = tar_of((member("a"), b"old"), member("b", tarfile.LNKTYPE, linkname="a"), (member("a"), b"new!"))
    index = index_of_tar(data)
    first, second = index.place("a"), index.place("b")
    assert first is not None
    assert second is not None
    assert (first.digest, second.digest) == (sha256_digest(b"new!"), sha256_digest(b"old"))


def test_aufs_links_are_files() -> None:
    data = tar_of(
        member(".wh..wh.aufs"),
        member(".wh..wh.plnk", tarfile.DIRTYPE),
        (member(".wh..wh.plnk/1.2", mode=0o600), b"shared"),
        member("b", tarfile.LNKTYPE, linkname=".wh..wh.plnk/1.2", mode=0o600),
        member("a", tarfile.LNKTYPE, linkname=".wh..wh.plnk/1.2", mode=0o600),
    )
    index = index_of_tar(data)
    assert list(index.changes) == [
        Upsert(Entry(P("a"), "file", 0o600, size=6)),
        Upsert(Entry(P("b"), "hardlink", 0o600, link="a")),
    ]
    place = index.place("b")
    assert place is not None
    assert place.digest == sha256_digest(b"shared")


def test_what_is_unsafe_has_no_index() -> None:
    for data, message in (
        (tar_of(member("../x")), "leads out of the root"),
        (tar_of(member(".wh.")), "names nothing"),
        (block() + END + b"x", "garbage follows"),
    ):
        with pytest.raises(LayerError, match=message):
            index_of_tar(data)
    with pytest.raises(LayerError, match="more than 1 entries"):
        index_layer(io.BytesIO(tar_of(member("a"), member("b"))), "none", diff_id=None, limits=Limits(entries=1))
    with pytest.raises(LayerError, match="garbage follows the gzip data"):
        index_of_tar(gzip.compress(END) + b"x", "gzip")


def test_a_large_layer_is_hashed_by_the_thread_that_reads_ahead() -> None:
    content = hashlib.sha256(b"seed").digest() * (1 << 18)
    data = tar_of((member("big"), content), (member("small"), b"s"))
    index = index_of_tar(gzip.compress(data, 1), "gzip")
    assert index.diff_id == sha256_digest(data)
    place = index.place("big")
    assert place is not None
    assert place.digest == sha256_digest(content)


def test_equal_entries_of_equal_layers() -> None:
    index = index_of_tar(LAYER.tar)
    assert index.entry(index.positions["d/file"]) == replace(
        index.entry(index.positions["d/file"]), xattrs={"user.a": b"\0\xff"}
    )
