"""A stream that tells how far it has been read, and that can be begun again where its source can be opened again."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

__all__ = ["ObservedReader"]


class ObservedReader(io.RawIOBase):
    """Passes reads through and calls `on_read(total_bytes_so_far)` after each; what that raises ends the read.

    With `reopen`, the stream is seekable to its beginning and nowhere else: a sink that has to send it again rewinds
    it.
    """

    def __init__(
        self,
        stream: BinaryIO,
        on_read: Callable[[int], None],
        *,
        reopen: Callable[[], BinaryIO] | None = None,
    ) -> None:
        super().__init__()
        self._stream = stream
        self._on_read = on_read
        self._reopen = reopen
        self._done = 0

    @property
    def observed(self) -> BinaryIO:
        """What is read now."""
        return self._stream

    @property
    def untouched(self) -> bool:
        """Whether nothing was read yet, since the beginning or since it was begun again."""
        return not self._done

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._reopen is not None

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if self._reopen is None or offset != 0 or whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only to the beginning")
        self._stream.close()
        self._stream = self._reopen()
        self._done = 0
        return 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._stream.read(-1 if size is None else size)
        if data:
            self._done += len(data)
            self._on_read(self._done)
        return data

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
