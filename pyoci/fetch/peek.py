"""The beginning of a stream, seen before it is known what to do with the whole."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

__all__ = ["peeked"]


class _Whole(io.RawIOBase):
    """What was read ahead, then the rest. Closing closes the stream."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        super().__init__()
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self._head[: len(buffer)] or self._stream.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def peeked(stream: BinaryIO, count: int) -> tuple[bytes, BinaryIO]:
    """The first `count` bytes, or all if there are fewer, and a stream of everything from the first byte on."""
    head = b""
    while len(head) < count and (more := stream.read(count - len(head))):
        head += more
    return head, cast("BinaryIO", io.BufferedReader(_Whole(head, stream), 1 << 16))
