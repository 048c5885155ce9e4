"""Reading compressed streams: gzip, zstd, and for archives from elsewhere bzip2 and xz.

Every checksum is checked, members and frames may follow one another, anything else behind them is an error, and what
comes out is bounded. Formats: RFC 1952, RFC 8878. Decoders are imported when first used.
"""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol, TypeAlias, cast

from pyoci.errors import LayerError
from pyoci.image.media_types import Compression
from pyoci.layer.limits import DEFAULT_LIMITS, Limits, how_to_raise

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["ArchiveCompression", "compression_of", "detect", "open_decompressed", "zstd_module"]

ArchiveCompression: TypeAlias = Compression | Literal["bzip2", "xz"]

_READ = 256 * 1024
_BLOCK = 1 << 20
_HEADER_LIMIT = 1 << 17
_MAGIC_BYTES = 6
_TAR_BLOCK = 512
_ZSTD_WINDOW_LOG = 29
"""Of the memory that a frame may ask for: 512 MiB, as much as containerd gives."""
_MAGIC: tuple[tuple[bytes, ArchiveCompression], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)


class _Decoder(Protocol):
    """One member or frame: the interface that the standard library's decompressors share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def compression_of(head: bytes) -> ArchiveCompression:
    """The compression whose magic number the first bytes (6 suffice) of a stream show; `none` if they show no known
    one.
    """
    for magic, compression in _MAGIC:
        if head.startswith(magic):
            return compression
    if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return "zstd"  # a skippable frame
    return "none"


def detect(stream: BinaryIO) -> tuple[ArchiveCompression, BinaryIO]:
    """The compression of a stream, and a stream of the same bytes from the first one on.

    The file name plays no part: archives are known by their content, as docker does.
    """
    head, rejoined = _peeked(stream, _MAGIC_BYTES)
    return compression_of(head), rejoined


def _peeked(stream: BinaryIO, size: int, *, owned: bool = True) -> tuple[bytes, BinaryIO]:
    """The first bytes of a stream, and a stream of the same bytes, which closes the other one if that is `owned`."""
    head = b""
    while len(head) < size and (more := stream.read(size - len(head))):
        head += more
    return head, cast("BinaryIO", _Rejoined(head, stream, owned))


def _begins_a_tar(head: bytes) -> bool:
    return len(head) == _TAR_BLOCK and (head[257:262] == b"ustar" or not any(head))


def open_decompressed(
    stream: BinaryIO, compression: ArchiveCompression, *, limits: Limits = DEFAULT_LIMITS, owned: bool = True
) -> BinaryIO:
    """The uncompressed bytes of `stream`, which is read to its end when they are; closing closes both if it is `owned`.

    What begins as a tar, or as gzip or zstd, is taken for that whatever it is said to be, as engines do: docker 20.10
    calls a plain layer `tar.gzip` that it mounted from another repository, and containerd looks at what a docker layer
    called `tar` is.

    Reading raises LayerError when the data is damaged, cut short, followed by garbage, or more than the limits allow.
    """
    if compression in ("none", "gzip", "zstd"):
        head, stream = _peeked(stream, _TAR_BLOCK, owned=owned)
        found = compression_of(head)
        if _begins_a_tar(head) or (compression == "none" and found not in ("gzip", "zstd")):
            return stream
        compression = found if found in ("gzip", "zstd") else compression
    return cast("BinaryIO", _Decompressed(stream, compression, limits, owned))


class _Rejoined(io.RawIOBase):
    """Bytes that were read ahead, then the rest of the stream."""

    def __init__(self, head: bytes, stream: BinaryIO, owned: bool) -> None:
        super().__init__()
        self._head = head
        self._stream = stream
        self._owned = owned

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            head, self._head = self._head, b""
            return head + self._stream.read()
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        return self._stream.read(size)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed and self._owned:
            self._stream.close()
        super().close()


class _Decompressed(io.RawIOBase):
    """Decodes member after member. A `read` gives what one step yields, at most what was asked for."""

    def __init__(self, stream: BinaryIO, compression: ArchiveCompression, limits: Limits, owned: bool) -> None:
        super().__init__()
        self._stream = stream
        self._owned = owned
        self._name = compression
        self._limits = limits
        self._unchecked_bytes = min(limits.always_allowed_bytes, limits.uncompressed_bytes)
        self._make, self._errors = _decoder(compression)
        self._decoder: _Decoder | None = None
        self._input = b""
        self._read_bytes = 0
        self._made_bytes = 0
        self._members = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        while size:
            try:
                data = self._step(min(size, _BLOCK))
            except self._errors as error:
                raise LayerError(f"damaged {self._name} data: {error}") from error
            if data is None:
                return b""
            if data:
                self._made_bytes += len(data)
                if self._made_bytes > self._unchecked_bytes:
                    self._check_size()
                return data
        return b""

    def _step(self, size: int) -> bytes | None:
        """Some bytes, perhaps none yet; None at the end."""
        decoder = self._decoder
        if decoder is None:
            if not self._input and not self._refill():
                if not self._members:
                    raise LayerError(f"{self._name} data is empty")
                return None
            if self._name == "gzip":
                self._skip_gzip_header()
            elif self._members and compression_of(self._input_of(6)) != self._name:
                raise LayerError(f"garbage follows the {self._name} data at byte {self._read_bytes - len(self._input)}")
            self._members += 1
            decoder = self._decoder = self._make()
        if decoder.needs_input:
            if not self._input and not self._refill():
                raise LayerError(f"{self._name} data ends before its end mark")
            data = decoder.decompress(self._input, size)
            self._input = b""
        else:
            data = decoder.decompress(b"", size)
        if decoder.eof:
            self._input = decoder.unused_data + self._input
            self._decoder = None
        return data

    def _refill(self) -> bool:
        more = self._stream.read(_READ)
        self._read_bytes += len(more)
        self._input += more
        return bool(more)

    def _input_of(self, count: int) -> bytes:
        while len(self._input) < count and self._refill():
            pass
        return self._input[:count]

    def _check_size(self) -> None:
        limits = self._limits
        if self._made_bytes > limits.uncompressed_bytes:
            raise LayerError(
                f"more than {limits.uncompressed_bytes} bytes come out of the {self._name} data",
                hint=how_to_raise("unpacked-size"),
            )
        if self._made_bytes > max(limits.always_allowed_bytes, limits.ratio * self._read_bytes):
            raise LayerError(
                f"{self._name} data expands to more than {limits.ratio} times its size "
                f"(beyond {limits.always_allowed_bytes} bytes)",
                hint=f"this looks like a decompression bomb; {how_to_raise('unpacked-ratio')}",
            )

    def _skip_gzip_header(self) -> None:
        """Reads one member's header here, whole: isal's own reader fails when it arrives in small pieces."""
        while True:
            end = _gzip_header_end(self._input, self._members)
            if end:
                self._input = self._input[end:]
                return
            if len(self._input) > _HEADER_LIMIT:
                raise LayerError(f"a gzip header has more than {_HEADER_LIMIT} bytes")
            if not self._refill():
                raise LayerError("gzip data ends before its end mark")

    def readall(self) -> bytes:
        parts = []
        while data := self.read(_BLOCK):
            parts.append(data)
        return b"".join(parts)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed and self._owned:
            self._stream.close()
        super().close()


def _gzip_header_end(data: bytes, members: int) -> int:
    """Where a gzip header ends (RFC 1952, 2.3); 0 when it is not complete yet."""
    if not b"\x1f\x8b\x08".startswith(data[:3]):
        what = "garbage follows the gzip data" if members else "not gzip data"
        raise LayerError(what)
    if len(data) < 10:
        return 0
    flags = data[3]
    if flags & 0xE0:
        raise LayerError("a gzip header has reserved flags")
    end = 10
    if flags & 4:
        end += 2 + int.from_bytes(data[10:12], "little")
        if len(data) < max(end, 12):
            return 0
    for flag in (8, 16):  # name and comment end in a NUL
        if flags & flag:
            nul = data.find(b"\0", end)
            if nul < 0:
                return 0
            end = nul + 1
    if flags & 2:
        if len(data) < end + 2:
            return 0
        if zlib.crc32(data[:end]) & 0xFFFF != int.from_bytes(data[end : end + 2], "little"):
            raise LayerError("the checksum of a gzip header is wrong")
        end += 2
    return end


def _decoder(compression: ArchiveCompression) -> tuple[Callable[[], _Decoder], tuple[type[Exception], ...]]:
    """Makes decoders of one compression, and the errors that they raise."""
    match compression:
        case "gzip":
            from isal import igzip_lib

            flag = igzip_lib.DECOMP_GZIP_NO_HDR_VER
            return lambda: cast("_Decoder", igzip_lib.IgzipDecompressor(flag=flag)), (
                cast("type[Exception]", igzip_lib.IsalError),
            )
        case "zstd":
            zstd = zstd_module()
            options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
            return (lambda: zstd.ZstdDecompressor(options=options)), (zstd.ZstdError,)
        case "bzip2":
            import bz2

            return bz2.BZ2Decompressor, (OSError, ValueError)
        case "xz":
            import lzma

            return (lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=1 << 30)), (lzma.LZMAError,)
        case _:
            raise ValueError(compression)


def zstd_module() -> ModuleType:
    """The standard library's zstd module, or its backport before Python 3.14."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
