"""Reading that proves size and digest: nothing counts before the last byte has been checked."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar, cast

from pyoci.content.limits import SMALL_DOCUMENT_BYTES, ContentLimitsOf, default_limits, how_to_raise
from pyoci.content.observed import ObservedReader
from pyoci.digest import new_hash
from pyoci.errors import DigestMismatch, InvalidDocument
from pyoci.image.descriptor import Descriptor

__all__ = ["VerifyingReader", "read_document", "verified", "verifies"]

T = TypeVar("T")


class VerifyingReader(io.RawIOBase):
    """A stream of one descriptor's bytes that raises DigestMismatch instead of reporting a false end.

    One byte past the promised size is tried, so that longer content is refused as well. Once refused, always refused.
    """

    def __init__(
        self,
        stream: BinaryIO,
        descriptor: Descriptor,
        *,
        refused: Callable[[DigestMismatch], None] | None = None,
    ) -> None:
        """`refused` is told of the error before it is raised for the first time."""
        super().__init__()
        self._stream = stream
        self._refused = refused
        self._descriptor = descriptor
        self._hash = new_hash(descriptor.digest)
        self._done = 0
        self._verified = False
        self._failure: DigestMismatch | None = None

    @property
    def verified(self) -> bool:
        """Whether the end was reached and the digest was right."""
        return self._verified

    def proves(self, descriptor: Descriptor) -> bool:
        """As `verifies`."""
        return not self._done and (descriptor.digest, descriptor.size) == (
            self._descriptor.digest,
            self._descriptor.size,
        )

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        if size == 0:
            return b""
        with self._failing_for_ever():
            data = self._stream.read(min(size, self._left + 1))
            self._take(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        readinto = getattr(self._stream, "readinto", None)
        if readinto is None:
            data = self.read(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        if not len(buffer):
            return 0
        with self._failing_for_ever():
            view = memoryview(buffer)[: self._left + 1]
            count: int = readinto(view)
            self._take(view[:count])
        return count

    @contextmanager
    def _failing_for_ever(self) -> Iterator[None]:
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except DigestMismatch as error:
            self._failure = error
            if self._refused is not None:
                self._refused(error)
            raise

    @property
    def _left(self) -> int:
        return self._descriptor.size - self._done

    def _take(self, data: bytes | memoryview) -> None:
        """Counts and hashes what was read; at the promised end, proves it."""
        self._done += len(data)
        if self._left < 0:
            raise DigestMismatch(
                f"{self._descriptor.digest} is longer than the {self._descriptor.size} bytes of its descriptor"
            )
        self._hash.update(data)
        if not data or self._left == 0:
            self._finish()

    def _finish(self) -> None:
        if self._verified:
            return
        wanted = self._descriptor
        if self._done < wanted.size:
            raise DigestMismatch(f"{wanted.digest} ends after {self._done} of {wanted.size} bytes")
        if self._stream.read(1):
            raise DigestMismatch(f"{wanted.digest} is longer than the {wanted.size} bytes of its descriptor")
        algorithm = wanted.digest.partition(":")[0]
        found = f"{algorithm}:{self._hash.hexdigest()}"
        if found != wanted.digest:
            raise DigestMismatch(
                f"expected {wanted.digest}, got {found}",
                hint="the content was changed or damaged on its way; try again",
            )
        self._verified = True

    def readall(self) -> bytes:
        parts = []
        while data := self.read(1 << 20):
            parts.append(data)
        return b"".join(parts)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def verified(stream: BinaryIO, descriptor: Descriptor) -> BinaryIO:
    """The stream, reading which proves that it is the descriptor's content, as with VerifyingReader.

    A stream that does so already, as those of most sources do, is returned as it is: hashing is what most of the time
    of a transfer goes to.
    """
    return stream if verifies(stream, descriptor) else cast("BinaryIO", VerifyingReader(stream, descriptor))


def verifies(stream: object, descriptor: Descriptor) -> bool:
    """Whether reading the stream proves by itself that it is the descriptor's content, all of it still to be read."""
    match stream:
        case VerifyingReader():
            return stream.proves(descriptor)
        case ObservedReader():
            return stream.untouched and verifies(stream.observed, descriptor)
        case io.BufferedReader():
            return verifies(stream.raw, descriptor)
        case _:
            return False


def read_document(stream: BinaryIO, descriptor: Descriptor, *, limits: ContentLimitsOf = default_limits) -> bytes:
    """All bytes of a small document, verified. Closes the stream.

    Raises:
        InvalidDocument: the descriptor promises more bytes than a document may have.
        DigestMismatch: the bytes are others.
    """
    with VerifyingReader(stream, descriptor) as reader:
        if descriptor.size > SMALL_DOCUMENT_BYTES and descriptor.size > (limit := limits().document_bytes):
            raise InvalidDocument(
                f"{descriptor.digest} is {descriptor.size} bytes, more than the {limit} that a document may have",
                hint=how_to_raise("document-size"),
            )
        return reader.readall()
