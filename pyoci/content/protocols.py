"""The two seams that all movement of bytes goes through."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from pyoci.image.descriptor import Descriptor

__all__ = ["ContentSink", "ContentSource"]


class ContentSource(Protocol):
    """Where content can be read. May be used from several threads at once."""

    def has(self, descriptor: Descriptor) -> bool:
        """Whether `open` would find the content, without reading it."""

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """A stream of the content. Size and digest are verified when it reaches the end, not before.

        Raises:
            ContentNotFound: it is not here.
            DigestMismatch: raised by the stream's `read`: what was read so far must not be used. Where it is
                `elsewhere`, opening again may give the right bytes.
        """


class ContentSink(Protocol):
    """Where content can be put. May be used from several threads at once."""

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is there already, so that `put` can be left out."""

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        """Stores the stream under the descriptor. Idempotent and atomic: it is there whole and verified, or not at
        all.

        A stream that is `seekable` can be rewound to its beginning with `seek(0)`, should a sink have to send it
        again.

        Raises:
            DigestMismatch: the stream is not what the descriptor says.
        """
