"""Files of a layer's blob, one by one and in one pass."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from pyoci.errors import DigestMismatch, LayerError
from pyoci.image import Descriptor, Layer
from pyoci.image.media_types import Compression
from pyoci.layer.entry import Entry, LayerPath
from pyoci.layer.index import index_layer
from pyoci.layer.indexed import IndexedLayer, OnePass
from pyoci.layer.limits import Limits
from tests.builders import BuiltLayer, file, hardlink, make_layer, symlink
from tests.unit.layer.test_sparse import CONTENT, REGIONS, SIZE, STORED, pax_10

P = LayerPath
CONTENTS = {f"d/{number:02d}": bytes([number]) * (number * 5003) for number in range(40)}


class Counted:
    """Opens a blob and counts how often, and how many bytes were read."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.opened = 0
        self.read_bytes = 0
        self.closed = 0

    def __call__(self, descriptor: Descriptor) -> BinaryIO:
        self.opened += 1
        outer = self

        class Stream(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                data = super().read(size)
                outer.read_bytes += len(data)
                return data

            def close(self) -> None:
                outer.closed += not self.closed
                super().close()

        return Stream(self.blob)


def indexed(layer: BuiltLayer, compression: Compression = "gzip") -> tuple[IndexedLayer, Counted]:
    source = Counted(layer.blob)
    index = index_layer(io.BytesIO(layer.blob), compression, diff_id=layer.diff_id)
    return IndexedLayer(index, layer.layer, source), source


def entry_at(path: str) -> Entry:
    return Entry(P(path), "file")


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_one_file(compression: Compression) -> None:
    layer, source = indexed(make_layer({**CONTENTS, "h": hardlink("d/07")}, compression=compression), compression)
    for path in ("d/00", "d/07", "d/39"):
        with layer.open(entry_at(path)) as stream:
            assert stream.read() == CONTENTS[path]
    with layer.open(entry_at("h")) as stream:
        assert stream.read(10) + stream.read() == CONTENTS["d/07"]
    assert source.opened == source.closed == 4


def test_a_file_near_the_beginning_costs_little() -> None:
    noise = random.Random(3).randbytes(4 << 20)
    layer, source = indexed(make_layer({"a": b"first", "b": noise}))
    with layer.open(entry_at("a")) as stream:
        assert stream.read() == b"first"
    assert source.read_bytes < 1 << 20


@pytest.mark.parametrize("path", ["d", "l", "none"])
def test_what_is_no_file(path: str) -> None:
    layer, source = indexed(make_layer({"d/x": b"1", "l": symlink("d/x")}))
    with pytest.raises(LayerError, match=f'"{path}" is not a file of layer sha256:'):
        layer.open(entry_at(path))
    with pytest.raises(LayerError, match=f'"{path}" is not a file of layer sha256:'):
        next(layer.read_files([path]))
    assert source.opened == source.closed


def test_files_in_stored_order_in_one_pass() -> None:
    layer, source = indexed(make_layer({**CONTENTS, "d/aa": hardlink("d/05"), "d/ab": hardlink("d/05")}))
    paths = ["d/39", "d/00", "d/05", "d/aa"]
    found = [(entry.path, entry.type, stream.read()) for entry, stream in layer.read_files(paths)]
    assert found == [
        ("d/00", "file", CONTENTS["d/00"]),
        ("d/05", "file", CONTENTS["d/05"]),
        ("d/aa", "file", CONTENTS["d/05"]),
        ("d/39", "file", CONTENTS["d/39"]),
    ]
    assert source.opened == 2  # the second name of one content needs the blob again
    assert [entry.path for entry, _ in layer.read_files(CONTENTS)] == sorted(CONTENTS)


def test_bytes_that_are_not_those_of_the_index() -> None:
    good = make_layer({"a": b"good", "b": b"x" * 1000}, compression="none")
    layer, source = indexed(good, "none")
    source.blob = good.blob.replace(b"good", b"evil")
    with layer.open(entry_at("a")) as stream, pytest.raises(DigestMismatch, match="should have the digest"):
        stream.read()
    source.blob = good.blob[:1600]
    with layer.open(entry_at("b")) as stream, pytest.raises(DigestMismatch, match="shorter than its index says"):
        stream.read()
    with pytest.raises(DigestMismatch, match="shorter than its index says"):
        source.blob = b""
        layer.open(entry_at("b"))


def test_the_index_must_be_of_the_layer() -> None:
    one, other = make_layer({"a": b"1"}), make_layer({"a": b"2"})
    index = index_layer(io.BytesIO(one.blob), "gzip", diff_id=one.diff_id)
    with pytest.raises(ValueError, match="the index is of"):
        IndexedLayer(index, other.layer, lambda _: io.BytesIO())


def test_limits_hold_when_files_are_read() -> None:
    built = make_layer({"a": b"1" * 100_000, "b": b"2"})
    index = index_layer(io.BytesIO(built.blob), "gzip", diff_id=built.diff_id)
    limits = Limits(uncompressed_bytes=10_000)
    layer = IndexedLayer(index, built.layer, lambda _: io.BytesIO(built.blob), limits=lambda: limits)
    with pytest.raises(LayerError, match="more than 10000 bytes"):
        layer.open(entry_at("b"))


def test_sparse_files_are_filled(tmp_path: Path) -> None:
    data = pax_10(REGIONS, SIZE, STORED) + bytes(1024)
    index = index_layer(io.BytesIO(data), "none", diff_id=None)
    descriptor = Descriptor("application/vnd.oci.image.layer.v1.tar", index.diff_id, len(data))
    layer = IndexedLayer(index, Layer(descriptor, index.diff_id), lambda _: io.BytesIO(data))
    with layer.open(entry_at("f")) as stream:
        assert stream.read() == CONTENT
    twice = [entry_at("f"), entry_at("f")]
    with OnePass(layer, twice, tmp_path) as one_pass:
        assert [one_pass.open(entry).read() for entry in twice] == [CONTENT, CONTENT]


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


Order = Callable[[list[str]], None]


@pytest.mark.parametrize("order", [list.sort, lambda paths: paths.sort(reverse=True), random.Random(5).shuffle])
def test_one_pass_in_any_order(order: Order, tmp_path: Path) -> None:
    layer, source = indexed(make_layer({**CONTENTS, "h": hardlink("d/20"), "unwanted": b"x" * 100_000}))
    paths = [*CONTENTS, "h"]
    order(paths)
    entries = [entry_at(path) for path in paths]
    before = descriptors()
    with OnePass(layer, entries, tmp_path) as one_pass:
        for entry in entries:
            with one_pass.open(entry) as stream:
                assert stream.read() == CONTENTS["d/20" if entry.path == "h" else entry.path]
        assert list(tmp_path.iterdir()) == []
    assert source.opened == source.closed == 1
    assert descriptors() == before


def test_a_file_that_was_not_announced_still_opens(tmp_path: Path) -> None:
    layer, _ = indexed(make_layer(CONTENTS))
    with OnePass(layer, [entry_at("d/30")], tmp_path) as one_pass:
        assert one_pass.open(entry_at("d/30")).read() == CONTENTS["d/30"]
        assert one_pass.open(entry_at("d/10")).read() == CONTENTS["d/10"]
        with pytest.raises(LayerError):
            one_pass.open(entry_at("d"))


def test_kept_bytes_are_checked_too(tmp_path: Path) -> None:
    built = make_layer({"a": b"good", "b": b"other"}, compression="none")
    layer, source = indexed(built, "none")
    source.blob = built.blob.replace(b"good", b"evil")
    with OnePass(layer, [entry_at("a"), entry_at("b")], tmp_path) as one_pass:
        assert one_pass.open(entry_at("b")).read() == b"other"
        with pytest.raises(DigestMismatch):
            one_pass.open(entry_at("a")).read()


def test_what_it_knows_of_contents() -> None:
    layer, _ = indexed(make_layer({"a": file(b""), "l": symlink("a")}))
    assert layer.digest_of(entry_at("a")) == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert layer.digest_of(entry_at("l")) is None
