"""Compressed layers: what the standard library reads back, and bytes that depend on the content alone."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import zlib

import pytest

from pyoci.errors import UsageError
from pyoci.image.media_types import Compression
from pyoci.layer import compressor
from pyoci.layer.compression import zstd_module
from pyoci.layer.compressor import BLOCK_BYTES, LayerOutput, Totals

DATA = random.Random(1).randbytes(3 * BLOCK_BYTES // 2) + b"text that compresses well " * 400_000


def write(data: bytes, compression: Compression, level: int | None = None, step: int = 1 << 16) -> tuple[bytes, Totals]:
    out = io.BytesIO()
    with LayerOutput(out, compression, level) as output:
        for start in range(0, len(data), step):
            output.write(data[start : start + step])
            assert output.position == min(len(data), start + step)
        totals = output.finish()
    return out.getvalue(), totals


def plain(data: bytes, compression: Compression) -> bytes:
    if compression == "gzip":
        return gzip.decompress(data)
    if compression == "zstd":
        text: bytes = zstd_module().decompress(data)
        return text
    return data


ALL = pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])


@ALL
@pytest.mark.parametrize("size", [0, 1, 1024, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, len(DATA)])
def test_others_read_it_and_the_totals_are_true(compression: Compression, size: int) -> None:
    data = DATA[:size]
    stored, totals = write(data, compression)
    assert plain(stored, compression) == data
    assert totals.diff_id == "sha256:" + hashlib.sha256(data).hexdigest()
    assert totals.digest == "sha256:" + hashlib.sha256(stored).hexdigest()
    assert (totals.size, totals.uncompressed_size) == (len(stored), size)


@ALL
def test_neither_threads_nor_the_sizes_of_writes_change_a_byte(
    compression: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = write(DATA, compression)
    for inline, workers, step in ((0, 1, 1 << 20), (0, 4, 99_991), (100, 1, len(DATA)), (2, 3, 4096)):
        monkeypatch.setattr(compressor, "_INLINE_BLOCKS", inline)
        monkeypatch.setattr(compressor, "_WORKERS", workers)
        assert write(DATA, compression, step=step)[0] == expected, (inline, workers, step)


def test_bytes_that_are_fixed_for_good() -> None:
    """A change of this digest changes every image that anybody builds: it must be meant."""
    text = b"".join(b"%d bottles\n" % number for number in range(300_000))
    digests = {compression: write(text, compression)[1].digest for compression in ("none", "gzip")}
    assert digests == {
        "none": "sha256:" + hashlib.sha256(text).hexdigest(),
        "gzip": "sha256:da17b501cad001d7b2759281e87710a92bf1f53bbfb0fdbae983146632e90163",
    }


def test_the_gzip_header_tells_neither_name_nor_time_nor_system() -> None:
    """RFC 1952, 2.3: flags 0, mtime 0, operating system 255."""
    stored, _ = write(b"x", "gzip")
    assert stored[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    decoder = zlib.decompressobj(31)
    assert decoder.decompress(stored) == b"x"
    assert decoder.eof
    assert decoder.unused_data == b""


def test_a_layer_of_many_blocks_is_one_member() -> None:
    """RFC 1952 allows several, and some readers stop after the first."""
    stored, _ = write(DATA, "gzip")
    assert len(DATA) > BLOCK_BYTES
    decoder = zlib.decompressobj(31)
    assert decoder.decompress(stored) == DATA
    assert decoder.eof
    assert decoder.unused_data == b""


def test_what_is_compressed_already_is_stored() -> None:
    """RFC 1951, 3.2.4: a stored block costs five bytes, and its bytes are there as they were."""
    noise = random.Random(1).randbytes(2 * BLOCK_BYTES)
    stored, _ = write(noise, "gzip")
    assert noise[:65_000] in stored
    assert len(stored) - len(noise) < 0.001 * len(noise)
    mixed = bytearray(noise)
    for start in range(0, len(mixed), 4096):
        mixed[start : start + 2048] = bytes(2048)
    assert len(write(bytes(mixed), "gzip")[0]) < 0.55 * len(mixed)


@pytest.mark.parametrize(("compression", "levels"), [("gzip", (0, 1, 9)), ("zstd", (1, 19))])
def test_levels(compression: Compression, levels: tuple[int, ...]) -> None:
    data = b"".join(b"%d " % (number * number) for number in range(50_000))
    sizes = []
    for level in levels:
        stored, totals = write(data, compression, level)
        assert plain(stored, compression) == data
        sizes.append(totals.size)
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("compression", "level", "hint"),
    [
        ("gzip", 10, "gzip has levels 0 to 9"),
        ("gzip", -1, "gzip has levels 0 to 9"),
        ("zstd", 23, "zstd has levels 0 to 22"),
        ("none", 1, "leave the level out"),
    ],
)
def test_levels_that_do_not_exist(compression: Compression, level: int, hint: str) -> None:
    with pytest.raises(UsageError, match=f"compression level {level} does not exist for {compression}") as caught:
        LayerOutput(io.BytesIO(), compression, level)
    assert caught.value.hint == hint


@ALL
def test_a_failing_destination_is_told_and_no_thread_is_left(compression: Compression) -> None:
    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            raise OSError(28, "No space left on device")

    output = LayerOutput(io.BytesIO(), compression)
    output._out = Full()
    with pytest.raises(OSError, match="No space left"), output:
        for _ in range(40):
            output.write(DATA[:BLOCK_BYTES])
        output.finish()
    for pool in output._pools or ():
        assert all(not thread.is_alive() for thread in pool._threads)
