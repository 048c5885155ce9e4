"""The body of an answer as a stream."""

from __future__ import annotations

import io

from pyoci.fetch.protocols import Answer

__all__ = ["AnswerBody"]


class AnswerBody(io.RawIOBase):
    """Reads the body as it was sent. Reading raises ExchangeFailed where it breaks off; closing closes the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        return self._answer.read(size)

    def readall(self) -> bytes:
        parts = []
        while data := self._answer.read(1 << 20):
            parts.append(data)
        return b"".join(parts)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self._answer.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._answer.close()
        super().close()
