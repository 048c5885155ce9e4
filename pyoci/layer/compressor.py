"""Writing a layer's bytes: both digests in one pass, compressed in blocks whose bytes depend on nothing but the
content.

Gzip is made of blocks of 1 MiB that are deflated one by one and joined into a single member, so that neither the
number of threads nor the sizes of the writes change a byte; the library is one whose bytes no processor changes. Large
layers are hashed and compressed in threads; small ones start none.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, Protocol

from pyoci.digest import DiffID, Digest
from pyoci.errors import UsageError
from pyoci.image.media_types import Compression
from pyoci.layer.compression import zstd_module
from pyoci.values import dataclass

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["BLOCK_BYTES", "LEVELS", "LayerOutput", "Totals"]

BLOCK_BYTES = 1 << 20
LEVELS: dict[Compression, range] = {"none": range(0), "gzip": range(10), "zstd": range(23)}
"""Levels that a user may ask for."""
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""No name, no time, unknown operating system (RFC 1952)."""
_GZIP_LEVEL = 2
"""As small as zlib's level 3 makes it, at several times its speed."""
_DEFLATE_END = b"\x03\x00"
"""An empty last block."""
_SAMPLES, _SAMPLE_BYTES = 8, 4096
_DENSE = 0.98
"""What does not become smaller than this is not worth the time."""
_INLINE_BLOCKS = 4
"""Layers of no more blocks are made without threads."""
_WORKERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Totals:
    """What went through."""

    diff_id: DiffID
    digest: Digest
    size: int
    """Bytes as stored."""
    uncompressed_size: int


class _Codec(Protocol):
    """How blocks become stored bytes. `encode` is called once per block, the last one as well."""

    ordered: bool
    """Whether `encode` must see the blocks in order, one at a time."""

    def start(self) -> bytes: ...
    def encode(self, block: bytes) -> bytes: ...
    def seen(self, block: bytes) -> None:
        """Called for every block in order."""

    def end(self) -> bytes: ...


class _Stored:
    ordered = False

    def start(self) -> bytes:
        return b""

    def encode(self, block: bytes) -> bytes:
        return block

    def seen(self, block: bytes) -> None:
        pass

    def end(self) -> bytes:
        return b""


class _Gzip:
    """One member, of blocks that refer to nothing before them. Made by zlib-ng, whose bytes are the same on every
    processor; those of ISA-L, which is faster, are not on arm64 and on x86-64 without SSE 4.2.
    """

    ordered = False

    def __init__(self, level: int | None) -> None:
        from zlib_ng import zlib_ng

        self._library = zlib_ng
        self._level = _GZIP_LEVEL if level is None else level
        self._crc = 0
        self._size = 0

    def start(self) -> bytes:
        return _GZIP_HEADER

    def encode(self, block: bytes) -> bytes:
        return self._deflated(block, 0 if self._is_dense(block) else self._level)

    def seen(self, block: bytes) -> None:
        self._crc = self._library.crc32(block, self._crc)
        self._size += len(block)

    def end(self) -> bytes:
        return _DEFLATE_END + self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")

    def _deflated(self, block: bytes, level: int) -> bytes:
        """The block as deflate blocks that end on a byte."""
        deflate = self._library.compressobj(level, self._library.DEFLATED, -15)
        data: bytes = deflate.compress(block) + deflate.flush(self._library.Z_SYNC_FLUSH)
        return data

    def _is_dense(self, block: bytes) -> bool:
        """Whether samples say that the block is compressed already: then it is stored, which costs next to nothing."""
        if len(block) < BLOCK_BYTES:
            return False
        size = BLOCK_BYTES // _SAMPLES
        samples = b"".join(block[start : start + _SAMPLE_BYTES] for start in range(0, BLOCK_BYTES, size))
        return len(self._deflated(samples, self._level)) >= _DENSE * len(samples)


class _Zstd:
    """One frame with a content checksum, made by one thread, since several would make other bytes."""

    ordered = True

    def __init__(self, level: int | None) -> None:
        zstd = zstd_module()
        parameter = zstd.CompressionParameter
        self._compressor = zstd.ZstdCompressor(
            options={parameter.compression_level: level or 3, parameter.checksum_flag: 1}
        )

    def start(self) -> bytes:
        return b""

    def encode(self, block: bytes) -> bytes:
        data: bytes = self._compressor.compress(block)
        return data

    def seen(self, block: bytes) -> None:
        pass

    def end(self) -> bytes:
        data: bytes = self._compressor.flush()
        return data


def _codec(compression: Compression, level: int | None) -> _Codec:
    if level is not None and level not in LEVELS[compression]:
        levels = LEVELS[compression]
        hint = f"{compression} has levels {levels[0]} to {levels[-1]}" if levels else "leave the level out"
        raise UsageError(f"compression level {level} does not exist for {compression}", hint=hint)
    match compression:
        case "none":
            return _Stored()
        case "gzip":
            return _Gzip(level)
        case "zstd":
            return _Zstd(level)


class LayerOutput:
    """Takes uncompressed bytes, writes compressed ones to `out` and keeps both digests. Use as a context manager."""

    def __init__(self, out: BinaryIO, compression: Compression, level: int | None = None) -> None:
        self._out = out
        self._codec = _codec(compression, level)
        self._plain = compression == "none"
        self._buffer = bytearray()
        self._blocks = 0
        self._uncompressed_size = 0
        self._size = 0
        self._uncompressed_hash = hashlib.sha256()
        self._hash = hashlib.sha256()
        self._pools: tuple[ThreadPoolExecutor, ThreadPoolExecutor] | None = None
        self._encoded: deque[Future[bytes]] = deque()
        self._hashed: deque[Future[None]] = deque()
        self._emit(self._codec.start())

    def __enter__(self) -> LayerOutput:
        return self

    def __exit__(self, *exception: object) -> None:
        for pool in self._pools or ():
            pool.shutdown(wait=True, cancel_futures=True)

    @property
    def position(self) -> int:
        """Uncompressed bytes so far."""
        return self._uncompressed_size + len(self._buffer)

    @property
    def room(self) -> int:
        """Bytes until the block is full: the best size of the next write."""
        return BLOCK_BYTES - len(self._buffer)

    def write(self, data: bytes) -> None:
        """Takes any number of bytes."""
        buffer = self._buffer
        if not buffer and len(data) == BLOCK_BYTES:
            self._put(data)
            return
        buffer += data
        while len(buffer) >= BLOCK_BYTES:
            block = bytes(memoryview(buffer)[:BLOCK_BYTES])
            del buffer[:BLOCK_BYTES]
            self._put(block)

    def finish(self) -> Totals:
        """Writes what is left and says what it was. At most once."""
        if self._buffer:
            self._put(bytes(self._buffer))
            self._buffer.clear()
        while self._encoded:
            self._emit(self._encoded.popleft().result())
        while self._hashed:
            self._hashed.popleft().result()
        self._emit(self._codec.end())
        uncompressed = Digest("sha256:" + self._uncompressed_hash.hexdigest())
        digest = uncompressed if self._plain else Digest("sha256:" + self._hash.hexdigest())
        return Totals(DiffID(uncompressed), digest, self._size, self._uncompressed_size)

    def _put(self, block: bytes) -> None:
        self._uncompressed_size += len(block)
        self._blocks += 1
        if self._blocks <= _INLINE_BLOCKS:
            self._look_at(block)
            self._emit(self._codec.encode(block))
            return
        hashing, encoding = self._pools or self._start()
        self._hashed.append(hashing.submit(self._look_at, block))
        self._encoded.append(encoding.submit(self._codec.encode, block))
        while len(self._encoded) > 2 * _WORKERS:
            self._emit(self._encoded.popleft().result())
        while len(self._hashed) > 2 * _WORKERS:
            self._hashed.popleft().result()

    def _start(self) -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
        from concurrent.futures import ThreadPoolExecutor

        workers = 1 if self._codec.ordered else _WORKERS
        self._pools = (ThreadPoolExecutor(1, "pyoci-hash"), ThreadPoolExecutor(workers, "pyoci-compress"))
        return self._pools

    def _look_at(self, block: bytes) -> None:
        self._uncompressed_hash.update(block)
        self._codec.seen(block)

    def _emit(self, data: bytes) -> None:
        if data:
            self._out.write(data)
            self._size += len(data)
            if not self._plain:
                self._hash.update(data)
