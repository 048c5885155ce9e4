"""Content in memory: for documents that were just made, and for tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from pyoci.content.verify import VerifyingReader
from pyoci.digest import Digest, sha256_digest
from pyoci.errors import ContentNotFound
from pyoci.image.descriptor import Descriptor

__all__ = ["MemoryContent"]


class MemoryContent:
    """A ContentSource and ContentSink of bytes objects."""

    def __init__(self, blobs: Iterable[bytes] = ()) -> None:
        self._blobs: dict[Digest, bytes] = {sha256_digest(blob): blob for blob in blobs}

    def add(self, blob: bytes, media_type: str) -> Descriptor:
        """Stores bytes and returns their descriptor."""
        digest = sha256_digest(blob)
        self._blobs[digest] = blob
        return Descriptor(media_type, digest, len(blob))

    def has(self, descriptor: Descriptor) -> bool:
        return descriptor.digest in self._blobs

    def open(self, descriptor: Descriptor) -> BinaryIO:
        try:
            blob = self._blobs[descriptor.digest]
        except KeyError:
            raise ContentNotFound(f"{descriptor.digest} is not in memory") from None
        return io.BufferedReader(VerifyingReader(io.BytesIO(blob), descriptor))

    def put_growing(self, descriptor: Descriptor, stream: BinaryIO, begun: Callable[[Path], None]) -> None:
        """As `put`: there is no file."""
        self.put(descriptor, stream)

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        with VerifyingReader(stream, descriptor) as reader:
            self._blobs[descriptor.digest] = reader.readall()
