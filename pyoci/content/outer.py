"""An archive file made seekable: as it is where it can be, else unpacked from its compression into a nameless file."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

from pyoci.errors import ContentError

__all__ = ["seekable"]

_CHUNK = 1 << 20
_FREE_BYTES = 256 << 20
_RATIO_LIMIT = 1100
"""No deflate stream unpacks to more than 1032 times its size; what does after `_FREE_BYTES` is a bomb."""


def seekable(source: Path | BinaryIO, *, scratch: Path, where: str, limit_bytes: int) -> tuple[int, int]:
    """A file descriptor of the plain tar and its size; the caller closes it.

    `source` is a file, a pipe or a stream, plain or in gzip, zstd, bzip2 or xz (told by its first bytes). A plain file
    is opened and not copied; of anything else the plain bytes, at most `limit_bytes`, go to a file in `scratch` that
    has no name.

    Raises:
        ContentError: it cannot be read, its compression is damaged, or it unpacks to too much.
    """
    if isinstance(source, Path):
        try:
            descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ContentError(f"cannot open {where}: {error.strerror}") from error
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            os.close(descriptor)
            raise ContentError(
                f"{where} is a directory, not an archive", hint="an OCI layout is named oci-layout://PATH"
            )
        if stat.S_ISREG(status.st_mode) and _decompressor(os.pread(descriptor, 6, 0)) is None:
            return descriptor, status.st_size
        with os.fdopen(descriptor, "rb") as stream:
            return _spooled(stream, scratch, where, limit_bytes)
    return _spooled(source, scratch, where, limit_bytes)


class _Counted(io.RawIOBase):
    """A stream that begins with bytes which were read from it already, and that knows how many it gave."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._first = first
        self._rest = rest
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        size = len(buffer)
        data = self._first[:size] or self._rest.read(size)
        self._first = self._first[size:]
        buffer[: len(data)] = data
        self.done += len(data)
        return len(data)


_Errors: TypeAlias = tuple[type[Exception], ...]


def _decompressor(magic: bytes) -> Callable[[BinaryIO], tuple[BinaryIO, _Errors]] | None:
    """Opens a compressed stream and says what reading it raises when it is damaged; None where it is not compressed."""
    if magic.startswith(b"\x1f\x8b"):
        return _gzip
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd
    if magic.startswith(b"BZh"):
        return _bzip2
    if magic.startswith(b"\xfd7zXZ\0"):
        return _xz
    return None


def _gzip(stream: BinaryIO) -> tuple[BinaryIO, _Errors]:
    from isal import igzip, isal_zlib

    plain: BinaryIO = igzip.open(stream, "rb")  # type: ignore[no-untyped-call]
    damaged: type[Exception] = isal_zlib.error  # type: ignore[assignment]
    return plain, (EOFError, damaged)


def _zstd(stream: BinaryIO) -> tuple[BinaryIO, _Errors]:
    import sys

    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdError, ZstdFile
    else:
        from backports.zstd import ZstdError, ZstdFile
    return cast("BinaryIO", ZstdFile(stream)), (EOFError, ZstdError)


def _bzip2(stream: BinaryIO) -> tuple[BinaryIO, _Errors]:
    from bz2 import BZ2File

    return cast("BinaryIO", BZ2File(stream)), (EOFError,)


def _xz(stream: BinaryIO) -> tuple[BinaryIO, _Errors]:
    from lzma import LZMAError, LZMAFile

    return cast("BinaryIO", LZMAFile(stream)), (EOFError, LZMAError)


def _spooled(stream: BinaryIO, scratch: Path, where: str, limit_bytes: int) -> tuple[int, int]:
    from tempfile import TemporaryFile

    first = stream.read(6)
    counted = _Counted(first, stream)
    source: BinaryIO = io.BufferedReader(counted, _CHUNK)
    decompress = _decompressor(first)
    plain, damaged = decompress(source) if decompress else (source, ())
    unreadable: _Errors = (OSError, *damaged)
    with _writing(scratch):
        spool = TemporaryFile(dir=scratch, buffering=0)  # noqa: SIM115 - only making it may fail for want of space
    with spool:
        done = 0
        while True:
            try:
                data = plain.read(_CHUNK)
            except unreadable as error:
                raise ContentError(f"{where} cannot be read: {error}") from error
            if not data:
                return os.dup(spool.fileno()), done
            done += len(data)
            if done > limit_bytes:
                raise ContentError(f"{where} holds more than the {limit_bytes} bytes that an archive may have")
            if decompress and done > _FREE_BYTES and done > counted.done * _RATIO_LIMIT:
                raise ContentError(f"{where} unpacks to more than {_RATIO_LIMIT} times its size")
            with _writing(scratch):
                left = memoryview(data)
                while left:
                    left = left[os.write(spool.fileno(), left) :]


@contextmanager
def _writing(scratch: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ContentError(f"cannot write to {scratch}: {error.strerror}") from error
