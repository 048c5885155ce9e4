"""Unpacked layers: there whole or not at all, verified, with what the disk could not hold beside them."""

from __future__ import annotations

import errno
import io
import os
import random
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyoci.digest import DiffID, sha256_digest
from pyoci.errors import DigestMismatch, LayerError
from pyoci.image.media_types import Compression
from pyoci.layer.apply import ApplyPolicy
from pyoci.layer.entry import Entry, LayerPath
from pyoci.layer.index import dump_index, index_layer
from pyoci.layer.recorded import OWNER_XATTR, encode_owner
from pyoci.snapshot.unpack import LayerBlob, Unpacked, describe, load_unpacked, remove_directory, unpack_layers
from pyoci.values import replace
from tests.builders import BuiltLayer, Item, directory, file, hardlink, make_layer, opaque, removed, symlink
from tests.registry_world import settled
from tests.unit.layer.tars import member, tar_of

OVERLAY = ApplyPolicy("overlay-user", "record", "record")
MERGE = ApplyPolicy("merge", "record", "record")
LAYER = make_layer({"d/f": file(b"1", uid=5), "l": symlink("d", uid=6), "s": file(xattrs={"security.selinux": b"x"})})


@contextmanager
def blobs(tmp_path: Path, *layers: BuiltLayer, compression: Compression = "gzip") -> Iterator[list[LayerBlob]]:
    opened = []
    for number, layer in enumerate(layers):
        path = tmp_path / f"blob{number}"
        path.write_bytes(layer.blob)
        opened.append(LayerBlob(os.open(path, os.O_RDONLY), compression, layer.diff_id))
    try:
        yield opened
    finally:
        for blob in opened:
            os.close(blob.descriptor)


def test_a_layer_and_what_is_remembered_of_it(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with blobs(tmp_path, LAYER) as [blob]:
        os.lseek(blob.descriptor, 100, os.SEEK_SET)
        unpacked = unpack_layers([blob], target, OVERLAY)
        assert os.lseek(blob.descriptor, 0, os.SEEK_CUR) == 100
    assert unpacked.files == target / "files"
    assert (unpacked.files / "d/f").read_bytes() == b"1"
    assert unpacked.applied.owners == {"l": (6, 0)}
    assert [skipped.what for skipped in unpacked.applied.skipped] == ["security.selinux"]
    assert load_unpacked(target) == unpacked
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert stat.S_IMODE(unpacked.files.stat().st_mode) == 0o755


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_every_compression(compression: Compression, tmp_path: Path) -> None:
    layer = make_layer({"big": b"0123456789" * 400_000}, compression=compression)
    with blobs(tmp_path, layer, compression=compression) as found:
        unpacked = unpack_layers(found, tmp_path / "target", OVERLAY)
    assert (unpacked.files / "big").stat().st_size == 4_000_000


def test_several_layers_merged(tmp_path: Path) -> None:
    upper = make_layer({"d": opaque(), "d/g": b"2", "l": removed(), "m": symlink("x", uid=7)})
    with blobs(tmp_path, LAYER, upper) as found:
        unpacked = unpack_layers(found, tmp_path / "target", MERGE)
    names = sorted(path.relative_to(unpacked.files).as_posix() for path in unpacked.files.rglob("*"))
    assert names == ["d", "d/g", "m", "s"]
    assert unpacked.applied.owners == {"m": (7, 0)}
    assert not unpacked.applied.opaque_root


def test_an_opaque_root_is_told(tmp_path: Path) -> None:
    with blobs(tmp_path, make_layer({"": opaque(), "a": b""})) as found:
        assert unpack_layers(found, tmp_path / "target", OVERLAY).applied.opaque_root


def test_another_diff_id_leaves_nothing(tmp_path: Path) -> None:
    wrong = DiffID(sha256_digest(b"wrong"))
    with blobs(tmp_path, LAYER) as [blob], pytest.raises(DigestMismatch, match=f"instead of {wrong}"):
        unpack_layers([LayerBlob(blob.descriptor, "gzip", wrong)], tmp_path / "target", OVERLAY)
    assert [path.name for path in tmp_path.iterdir()] == ["blob0"]


@pytest.mark.parametrize("position", [10, 40, -1])
def test_a_damaged_blob_leaves_nothing(position: int, tmp_path: Path) -> None:
    damaged = bytearray(LAYER.blob)
    damaged[position] ^= 0xFF
    with (
        blobs(tmp_path, BuiltLayer(bytes(damaged), LAYER.descriptor, LAYER.diff_id)) as found,
        pytest.raises((LayerError, DigestMismatch)),
    ):
        unpack_layers(found, tmp_path / "target", OVERLAY)
    assert [path.name for path in tmp_path.iterdir()] == ["blob0"]


def test_a_failure_leaves_nothing_even_of_directories_without_rights(tmp_path: Path) -> None:
    layer = make_layer({"d": directory(mode=0), "d/e": directory(mode=0), "d/e/f": b"", "x" * 300: b""})
    with blobs(tmp_path, layer) as found, pytest.raises(LayerError, match="file name too long"):
        unpack_layers(found, tmp_path / "target", OVERLAY)
    assert [path.name for path in tmp_path.iterdir()] == ["blob0"]


def test_what_is_there_stays(tmp_path: Path) -> None:
    with blobs(tmp_path, LAYER) as found:
        first = unpack_layers(found, tmp_path / "target", OVERLAY)
        (first.files / "mark").write_text("")
        assert unpack_layers(found, tmp_path / "target", OVERLAY) == first
    assert (first.files / "mark").exists()


def test_the_slower_of_two_takes_what_the_faster_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    rename = Path.rename

    def overtaken(self: Path, other: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        with blobs(tmp_path, LAYER) as again:
            unpack_layers(again, target, OVERLAY)
        return rename(self, other)

    with blobs(tmp_path, LAYER) as found:
        monkeypatch.setattr(Path, "rename", overtaken)
        assert unpack_layers(found, target, OVERLAY).files == target / "files"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blob0", "target"]


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_the_index_that_comes_with_it(compression: Compression, tmp_path: Path) -> None:
    items: dict[str, Item] = {
        "a/b": file(b"1" * 70_000, uid=5),
        "a/c": hardlink("a/b"),
        "d": removed(),
        "big": b"0123" * 500_000,
    }
    layer = make_layer({**items, "e": opaque(), "e/f": symlink("x")}, compression=compression)
    with blobs(tmp_path, layer, compression=compression) as [blob]:
        unpacked = unpack_layers([replace(blob, indexed=True)], tmp_path / "target", OVERLAY)
    read = index_layer(io.BytesIO(layer.blob), compression, diff_id=layer.diff_id)
    assert unpacked.indexes == {layer.diff_id: dump_index(read)}


def test_a_blob_is_read_as_it_comes(tmp_path: Path) -> None:
    layer = make_layer({"a": random.Random(1).randbytes(900_000), "b": random.Random(2).randbytes(2_000_000)})
    growing = tmp_path / "blob0"
    growing.write_bytes(b"")
    found: list[Unpacked] = []
    with growing.open("rb") as stream, growing.open("ab", buffering=0) as out:
        blob = LayerBlob(stream.fileno(), "gzip", layer.diff_id, size=len(layer.blob))
        unpacking = threading.Thread(target=lambda: found.append(unpack_layers([blob], tmp_path / "target", OVERLAY)))
        unpacking.start()
        out.write(layer.blob[:-1])
        assert settled(lambda: list(tmp_path.glob("target.*/files/b")), seconds=30)
        assert unpacking.is_alive()
        assert not (tmp_path / "target").exists()
        out.write(layer.blob[-1:])
        unpacking.join(30)
    assert (found[0].files / "b").stat().st_size == 2_000_000


def test_what_stands_behind_the_end_of_a_blob_is_not_read(tmp_path: Path) -> None:
    with blobs(tmp_path, LAYER) as [blob]:
        (tmp_path / "blob0").write_bytes(LAYER.blob + b"garbage")
        unpacked = unpack_layers([replace(blob, size=len(LAYER.blob))], tmp_path / "target", OVERLAY)
    assert (unpacked.files / "d/f").read_bytes() == b"1"


def test_directories_that_a_layer_does_not_describe(tmp_path: Path) -> None:
    layer = make_layer({"a/b/c": b"", "d": directory(mode=0o700), "d/e/f": b""}, parents=False)
    with blobs(tmp_path, layer) as found:
        unpacked = unpack_layers(found, tmp_path / "target", OVERLAY)
    assert sorted(unpacked.applied.undescribed) == ["", "a", "a/b", "d/e"]
    known = {"a": Entry(LayerPath("a"), "dir", mode=0o1777, mtime=7)}
    policy = ApplyPolicy("overlay-user", "record", "record", {LayerPath("a"): known["a"]})
    with blobs(tmp_path, layer) as found:
        again = unpack_layers(found, tmp_path / "again", policy)
    assert sorted(again.applied.undescribed) == ["", "a/b", "d/e"]

    below = [
        known["a"],
        Entry(LayerPath("a/b"), "dir", mode=0, uid=3, gid=4, mtime=8),
        Entry(LayerPath(""), "dir", 0o711),
    ]
    describe(tmp_path / "target", below, "record")
    files = tmp_path / "target/files"
    assert [(stat.S_IMODE(path.stat().st_mode)) for path in (files, files / "a", files / "d")] == [0o711, 0o1777, 0o700]
    assert (files / "a").stat().st_mtime == 7
    owner = os.getxattr(files / "a/b", OWNER_XATTR) if stat.S_IMODE((files / "a/b").stat().st_mode) == 0 else b""
    assert owner == encode_owner(3, 4)
    remove_directory(tmp_path / "target")


def test_an_owner_that_a_directory_cannot_hold_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    with blobs(tmp_path, make_layer({"a/b": b""}, parents=False)) as found:
        unpack_layers(found, tmp_path / "target", OVERLAY)
    monkeypatch.setattr(os, "setxattr", refuse)
    describe(tmp_path / "target", [Entry(LayerPath("a"), "dir", 0o755, uid=3, gid=4)], "record")
    assert load_unpacked(tmp_path / "target").applied.owners == {"a": (3, 4)}


def test_a_directory_in_place_of_a_file_of_the_same_layer_is_nobody_elses(tmp_path: Path) -> None:
    tar = tar_of(member("a"), member("a/b"))
    (tmp_path / "blob0").write_bytes(tar)
    with (tmp_path / "blob0").open("rb") as stream:
        blob = LayerBlob(stream.fileno(), "none", DiffID(sha256_digest(tar)))
        unpacked = unpack_layers([blob], tmp_path / "target", OVERLAY)
    assert unpacked.applied.undescribed == ("",)


@pytest.mark.parametrize("record", [None, "", "{}", "[1]", '{"entries": 1, "owners": [], "skipped": 0}'])
def test_what_is_no_unpacked_layer(record: str | None, tmp_path: Path) -> None:
    if record is not None:
        (tmp_path / "unpacked.json").write_text(record)
    with pytest.raises(LayerError, match="holds no unpacked layer"):
        load_unpacked(tmp_path)


def test_removing(tmp_path: Path) -> None:
    with blobs(tmp_path, make_layer({"d": directory(mode=0), "d/f": b""})) as found:
        unpack_layers(found, tmp_path / "target", OVERLAY)
    remove_directory(tmp_path / "target")
    remove_directory(tmp_path / "target")
    remove_directory(tmp_path / "none/target")
    assert [path.name for path in tmp_path.iterdir()] == ["blob0"]
