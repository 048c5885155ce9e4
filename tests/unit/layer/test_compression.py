"""Compressed streams: whole, damaged, followed by more, too large. The compressors are the standard library's."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.errors import LayerError
from pyoci.image.media_types import Compression
from pyoci.layer.compression import (
    ArchiveCompression,
    compression_of,
    detect,
    open_decompressed,
    zstd_module,
)
from pyoci.layer.limits import Limits
from tests.unit.layer.tars import member, tar_of

TEXT = b"".join(b"line %d of a text that compresses\n" % number for number in range(3000))


def zstd_compress(data: bytes) -> bytes:
    compressed: bytes = zstd_module().compress(data)
    return compressed


COMPRESS: dict[ArchiveCompression, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd_compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
}
KINDS = tuple(COMPRESS)


class Trickle(io.RawIOBase):
    """Gives a few bytes at a time, as a network does."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        return self._data.read() if size is None or size < 0 else self._data.read(min(size, self._step))


def decompressed(
    data: bytes, compression: ArchiveCompression, limits: Limits | None = None, step: int = 1 << 20
) -> bytes:
    source = cast("BinaryIO", Trickle(data, step))
    with open_decompressed(source, compression, limits=limits or Limits()) as stream:
        return stream.read()


@pytest.mark.parametrize("compression", KINDS)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_what_the_standard_library_compressed(compression: ArchiveCompression, step: int) -> None:
    text = TEXT if step > 10 else TEXT[:5000]
    assert decompressed(COMPRESS[compression](text), compression, step=step) == text
    assert decompressed(COMPRESS[compression](b""), compression) == b""


def test_what_is_not_compressed_passes() -> None:
    assert decompressed(b"plain", "none") == b"plain"


@pytest.mark.parametrize("compression", KINDS)
@pytest.mark.parametrize("step", [3, 1 << 20])
def test_several_members_are_one_stream(compression: ArchiveCompression, step: int) -> None:
    parts = [b"one", b"", TEXT[:1000], b"two"]
    assert decompressed(b"".join(map(COMPRESS[compression], parts)), compression, step=step) == b"".join(parts)


def test_a_skippable_frame_is_skipped() -> None:
    frame = b"\x5e\x2a\x4d\x18" + struct.pack("<I", 5) + b"12345"
    assert decompressed(frame + zstd_compress(b"a") + frame, "zstd") == b"a"


@pytest.mark.parametrize("compression", KINDS)
@pytest.mark.parametrize("garbage", [b"\0", b"x", b"\0" * 512, b"some more text, long enough"])
def test_garbage_behind_the_data_is_refused(compression: ArchiveCompression, garbage: bytes) -> None:
    with pytest.raises(LayerError, match=f"garbage follows the {compression} data"):
        decompressed(COMPRESS[compression](TEXT) + garbage, compression)


@pytest.mark.parametrize("compression", KINDS)
def test_every_cut_is_noticed(compression: ArchiveCompression) -> None:
    whole = COMPRESS[compression](b"some text that is long enough to be worth it" * 3)
    for end in range(1, len(whole)):
        with pytest.raises(LayerError, match=rf"{compression} data ends before its end mark|damaged"):
            decompressed(whole[:end], compression)


@pytest.mark.parametrize("compression", KINDS)
def test_no_data_at_all(compression: ArchiveCompression) -> None:
    with pytest.raises(LayerError, match=f"{compression} data is empty"):
        decompressed(b"", compression)


@pytest.mark.parametrize("position", [-8, -5, -4, -1])
def test_gzip_checks_crc_and_length(position: int) -> None:
    data = bytearray(gzip.compress(TEXT))
    data[position] ^= 0x10
    with pytest.raises(LayerError, match=r"damaged gzip data: .*checksum"):
        decompressed(bytes(data), "gzip")


def test_gzip_checks_the_crc_of_every_member() -> None:
    first = bytearray(gzip.compress(b"first"))
    first[-8] ^= 1
    with pytest.raises(LayerError, match="checksum"):
        decompressed(bytes(first) + gzip.compress(b"second"), "gzip")


def gzip_with(flags: int, fields: bytes, *, header_crc: bool = False) -> bytes:
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + fields
    if header_crc:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    body = zlib.compress(b"hello", wbits=-15)
    return header + body + struct.pack("<II", zlib.crc32(b"hello"), 5)


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_gzip_headers_with_every_field(step: int) -> None:
    """RFC 1952, 2.3: extra field, name, comment and header checksum, however the bytes arrive."""
    everything = gzip_with(2 | 4 | 8 | 16, b"\x04\x00abcdname\x00comment\x00", header_crc=True)
    assert decompressed(everything, "gzip", step=step) == b"hello"
    assert gzip.decompress(everything) == b"hello"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip_with(2, b"\x00\x00"), "checksum of a gzip header"),
        (gzip_with(0x20, b""), "reserved flags"),
        (b"\x1f\x8b\x07" + bytes(20), "not gzip data"),
        (b"PK\x03\x04" + bytes(20), "not gzip data"),
        (gzip_with(8, b"n" * 300_000), "more than 131072 bytes"),
    ],
)
def test_bad_gzip_headers(data: bytes, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        decompressed(data, "gzip")


@pytest.mark.parametrize("compression", KINDS)
def test_a_bomb_is_stopped_by_its_ratio(compression: ArchiveCompression) -> None:
    bomb = COMPRESS[compression](bytes(8 << 20))
    limits = Limits(ratio=50, always_allowed_bytes=1 << 20)
    with pytest.raises(LayerError, match=r"expands to more than 50 times its size \(beyond 1048576 bytes\)"):
        decompressed(bomb, compression, limits)
    assert len(decompressed(bomb, compression, Limits(ratio=50, always_allowed_bytes=16 << 20))) == 8 << 20


@pytest.mark.parametrize("compression", KINDS)
def test_a_bomb_is_stopped_by_its_size(compression: ArchiveCompression) -> None:
    with pytest.raises(LayerError, match="more than 50000 bytes come out"):
        decompressed(COMPRESS[compression](TEXT), compression, Limits(uncompressed_bytes=50_000))


def test_the_source_is_read_to_its_end() -> None:
    """A verifying stream says only there what it found."""
    source = io.BytesIO(gzip.compress(b"text"))
    stream = open_decompressed(source, "gzip")
    assert stream.read(4) == b"text"
    assert stream.read(1) == b""
    assert source.read() == b""


@pytest.mark.parametrize(
    ("head", "compression"),
    [
        (gzip.compress(b"", mtime=0), "gzip"),
        (zstd_compress(b""), "zstd"),
        (b"\x50\x2a\x4d\x18\0\0\0\0", "zstd"),
        (bz2.compress(b""), "bzip2"),
        (lzma.compress(b""), "xz"),
        (b"etc/passwd\0", "none"),
        (b"\x1f\x8b", "none"),
        (b"", "none"),
    ],
)
def test_detection(head: bytes, compression: ArchiveCompression) -> None:
    assert compression_of(head) == compression
    found, stream = detect(cast("BinaryIO", Trickle(head, 1)))
    assert found == compression
    assert stream.read(3) + stream.read() == head


@given(st.sampled_from(KINDS), st.data())
def test_damage_is_told_or_harmless(compression: ArchiveCompression, data: st.DataObject) -> None:
    whole = bytearray(COMPRESS[compression](b"some text " * 20))
    position = data.draw(st.integers(0, len(whole) - 1))
    whole[position] ^= data.draw(st.integers(1, 255))
    with suppress(LayerError):
        decompressed(bytes(whole), compression, step=data.draw(st.sampled_from([1, 5, 1000])))


@pytest.mark.parametrize("said", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("really", ["none", "gzip", "zstd"])
def test_the_content_of_a_layer_counts_and_not_what_it_is_called(said: Compression, really: Compression) -> None:
    tar = tar_of((member("a"), b"text"))
    data = {"none": tar, "gzip": gzip.compress(tar), "zstd": zstd_module().compress(tar)}[really]
    source = io.BytesIO(data)
    stream = open_decompressed(source, said, owned=False)
    read = b""
    while piece := stream.read(700):
        read += piece
    assert read == tar
    stream.close()
    assert not source.closed


@pytest.mark.parametrize("window_log", [28, 29])
def test_a_window_as_large_as_containerd_takes(window_log: int) -> None:
    """`zstd --long=29` is no rarity for layers; the library's own limit is 128 MiB."""
    frame = bytearray(zstd_compress(b"text" * 100))
    assert frame[4] >> 5 & 1  # a single segment, which has a size and no window
    block = frame[6 + (1 if frame[4] >> 6 == 1 else 0) :]
    windowed = frame[:4] + bytes([frame[4] & 0b00000100, (window_log - 10) << 3]) + block
    assert decompressed(bytes(windowed), "zstd") == b"text" * 100


def test_a_window_beyond_that_is_refused() -> None:
    with pytest.raises(LayerError, match="Frame requires too much memory"):
        decompressed(b"\x28\xb5\x2f\xfd\0" + bytes([(30 - 10) << 3]) + bytes(20), "zstd")
