"""Reading a file while somebody else still writes it."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable

from pyoci.errors import ContentError

__all__ = ["GrowingReader"]

_SHORTEST_PAUSE_SECONDS = 0.001
_LONGEST_PAUSE_SECONDS = 0.016


class GrowingReader(io.RawIOBase):
    """A file that has, or comes to have, so many bytes, read by position: who opened it shares its own.

    What has not come yet is waited for, by looking again. Does not close the descriptor.

    Raises:
        ContentError: nothing is coming any more, and there is less than was promised.
    """

    def __init__(self, descriptor: int, size: int, is_coming: Callable[[], bool] = lambda: True) -> None:
        """`is_coming` is asked before each wait whether the writer is still at it; it may raise why not."""
        super().__init__()
        self._descriptor = descriptor
        self._left = size
        self._position = 0
        self._is_coming = is_coming

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        size = min(size, self._left)
        pause = _SHORTEST_PAUSE_SECONDS
        is_coming = True
        while not (data := os.pread(self._descriptor, size, self._position)) and size:
            if not is_coming:
                raise ContentError(f"a blob was cut off while it was read: {self._left} bytes of it are missing")
            if is_coming := self._is_coming():
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            # else: one more look, at what was written before the end
        self._position += len(data)
        self._left -= len(data)
        return data

    def readall(self) -> bytes:
        parts = []
        while data := self.read(1 << 20):
            parts.append(data)
        return b"".join(parts)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
