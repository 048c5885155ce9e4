"""Any bytes give a layer or a LayerError, never anything else, and never a file outside the root."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pyoci.errors import ContentError, LayerError
from pyoci.layer.apply import ApplyPolicy, apply_layer
from pyoci.layer.changes import ChangeBuilder
from pyoci.layer.compression import open_decompressed
from pyoci.layer.directories import remove_tree
from pyoci.layer.index import IndexPayload, dump_index, in_columns, index_layer, load_index
from pyoci.layer.limits import Limits
from pyoci.layer.reader import read_changes
from tests.builders import file, hardlink, make_layer, removed, symlink
from tests.stacks import seen_in_tree, tree_of_tars
from tests.unit.layer.tars import END, block, member, pax, tar_of
from tests.unit.layer.test_sparse import REGIONS, SIZE, STORED, old_gnu, pax_00, pax_01, pax_10

LIMITS = Limits(uncompressed_bytes=1 << 22, entries=1000)
SEEDS = [
    make_layer({"a/b": b"content", "l": symlink("a/b"), "h": hardlink("a/b"), "gone": removed()}).tar,
    make_layer({"ü" * 70: file(b"x" * 600, xattrs={"user.a": b"\0" * 40}), "n" * 200: file(uid=1 << 30)}).tar,
    *(encode(REGIONS, SIZE, STORED) + END for encode in (old_gnu, pax_00, pax_01, pax_10)),
    tar_of(member("n" * 150), (member("f"), b"body"), member("c", b"3", devmajor=1), format=tarfile.GNU_FORMAT),
    pax([("comment", b"global")], b"g") + block(b"a") + pax([("size", b"3")]) + block(b"b") + b"abc" + bytes(509) + END,
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good archive with bytes changed, cut, repeated or put in; header checksums are mended half the time."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        position = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["set", "set", "field", "cut", "repeat", "insert"])):
            case "set":
                data[position : position + 1] = bytes([draw(st.sampled_from([*b"\0 0179=\n./\xff\x80", 0x41]))])
            case "field":
                start = (
                    position - position % 512 + draw(st.sampled_from([0, 100, 108, 124, 136, 156, 157, 257, 345, 482]))
                )
                data[start : start + draw(st.integers(1, 12))] = draw(st.binary(min_size=1, max_size=12))
            case "cut":
                del data[position : position + draw(st.sampled_from([1, 7, 512, 1024]))]
            case "repeat":
                start = position - position % 512
                data[start:start] = data[start : start + 512 * draw(st.integers(1, 3))]
            case _:
                data[position:position] = draw(st.binary(max_size=20))
    if draw(st.booleans()):
        for start in range(0, len(data) - 511, 512):
            if data[start + 257 : start + 262] == b"ustar":
                total = sum(data[start : start + 148]) + 8 * 32 + sum(data[start + 156 : start + 512])
                data[start + 148 : start + 156] = b"%06o\0 " % (total & 0o777777)
    return bytes(data)


@given(mutated())
@settings(max_examples=1500, deadline=None)
def test_reading_gives_entries_or_a_layer_error(data: bytes) -> None:
    with suppress(LayerError):
        for _, body in read_changes(io.BytesIO(data), limits=LIMITS):
            while body and body.read(1 << 16):
                pass


@given(mutated())
@settings(max_examples=800, deadline=None)
def test_what_has_an_index_has_a_tree(data: bytes) -> None:
    try:
        index = index_layer(io.BytesIO(data), "none", diff_id=None, limits=LIMITS)
    except LayerError:
        return
    assert list(load_index(dump_index(index)).changes) == list(index.changes)
    seen_in_tree(tree_of_tars([data]))


@given(mutated(), st.sampled_from(["overlay-user", "merge"]))
@settings(max_examples=500, deadline=None)
def test_unpacking_stays_inside(data: bytes, whiteouts: str) -> None:
    policy = ApplyPolicy(whiteouts, "record", "record")  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as name:
        world = Path(name)
        (world / "root").mkdir()
        (world / "outside").write_text("precious")
        parent = os.open(world, os.O_RDONLY)
        root = os.open(world / "root", os.O_RDONLY)
        try:
            with suppress(LayerError):
                apply_layer(io.BytesIO(data), root, policy=policy, limits=LIMITS)
        finally:
            os.close(root)
            remove_tree("root", parent)
            os.close(parent)
        assert [path.name for path in world.iterdir()] == ["outside"]
        assert (world / "outside").read_text() == "precious"


@given(mutated())
@settings(max_examples=500, deadline=None)
def test_what_unpacking_notes_is_the_index(data: bytes) -> None:
    noted: ChangeBuilder[IndexPayload] = ChangeBuilder()
    with tempfile.TemporaryDirectory() as name:
        root = os.open(name, os.O_RDONLY)
        try:
            policy = ApplyPolicy("overlay-user", "record", "record")
            apply_layer(io.BytesIO(data), root, policy=policy, seen=noted.add, limits=LIMITS)
        except LayerError:
            return
        finally:
            for path in Path(name).iterdir():
                remove_tree(path.name, root)
            os.close(root)
    read = index_layer(io.BytesIO(data), "none", diff_id=None, limits=LIMITS)
    noted.drop_link_store()
    assert dump_index(in_columns(read.diff_id, len(data), noted.finish())) == dump_index(read)


@given(st.binary(max_size=2000), st.sampled_from(["none", "gzip", "zstd", "bzip2", "xz"]))
@settings(deadline=None)
def test_any_bytes_in_any_compression(data: bytes, compression: str) -> None:
    with suppress(LayerError):
        stream = open_decompressed(io.BytesIO(data), compression, limits=LIMITS)  # type: ignore[arg-type]
        list(read_changes(stream, limits=LIMITS))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_mutated_gzip_layer(data: st.DataObject) -> None:
    blob = bytearray(gzip.compress(SEEDS[0], mtime=0))
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(LayerError):
        index = index_layer(io.BytesIO(blob), "gzip", diff_id=None, limits=LIMITS)
        assert index.diff_id == tree_of_tars([SEEDS[0]]).layers[0].index.diff_id  # type: ignore[attr-defined]


@given(st.binary(max_size=200), st.integers(0, 200), st.booleans())
def test_any_bytes_as_an_index(data: bytes, position: int, genuine: bool) -> None:
    whole = dump_index(index_layer(io.BytesIO(SEEDS[0]), "none", diff_id=None))
    damaged = data if not genuine else whole[:position] + data + whole[position + len(data) :]
    try:
        index = load_index(damaged)
    except ContentError:
        return
    assert dump_index(index) == whole
