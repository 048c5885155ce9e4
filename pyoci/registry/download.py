"""A blob as a stream that survives broken connections: it goes on where it stopped, by `Range`.

Spec: distribution-spec, "Pulling blobs" (range requests, RFC 9110 section 14). Verifies nothing: what is read through
this is verified by the VerifyingReader around it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from pyoci.errors import RegistryError
from pyoci.registry.failure import TransportFailure
from pyoci.registry.transport import Answer
from pyoci.registry.urls import host_of

__all__ = ["ResumingReader"]

_CONTENT_RANGE = re.compile(r"bytes\s+(\d+)-(\d*)(?:/(?:\d+|\*))?", re.IGNORECASE)
_SKIP_BYTES = 256 * 1024


class ResumingReader(io.RawIOBase):
    """Reads `size` bytes from answers that `ask(offset)` gives; `again(failed, failure)` waits, or raises to give up.

    The number of failures counts from the last byte that arrived, so that a long blob over a bad line ends well as
    long as each attempt gets on.
    """

    def __init__(
        self,
        size: int,
        ask: Callable[[int], Answer],
        again: Callable[[int, TransportFailure], None],
    ) -> None:
        super().__init__()
        self._size = size
        self._ask = ask
        self._again = again
        self._done = 0
        self._failed = 0
        self._answer: Answer | None = None  # what `close` looks for, also where asking fails
        self._answer = ask(0)
        self._check_length(self._answer)

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        while True:
            try:
                if self._answer is None:
                    self._answer = self._resume()
                data = self._answer.read(size)
                if not data and size and self._done < self._size:
                    raise TransportFailure(
                        f"the answer ended after {self._done} of {self._size} bytes", "broken", host=""
                    )
            except TransportFailure as failure:
                self._drop()
                self._failed += 1
                self._again(self._failed, failure)
                continue
            if data:
                self._done += len(data)
                self._failed = 0
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

    def close(self) -> None:
        if not self.closed:
            if self._answer is not None and self._done >= self._size:
                self._answer.finish()
            self._drop()
        super().close()

    def _drop(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _resume(self) -> Answer:
        """An answer positioned at the first byte that is missing."""
        answer = self._ask(self._done)
        if answer.status == 206:
            match = _CONTENT_RANGE.fullmatch(answer.header("Content-Range").strip())
            if match is None or int(match[1]) != self._done:
                answer.close()
                raise RegistryError(
                    f"{host_of(answer.url)} answered with another range than bytes {self._done} and on",
                    hint="the registry or a proxy before it handles ranges wrongly",
                )
            return answer
        missing = self._done  # the whole blob again: what is known is skipped
        while missing:
            skipped = answer.read(min(missing, _SKIP_BYTES))
            if not skipped:
                answer.close()
                raise TransportFailure(f"the answer ended before byte {self._done}", "broken", host="")
            missing -= len(skipped)
        return answer

    def _check_length(self, answer: Answer) -> None:
        """Refuses a longer answer before any of it is stored; a shorter one is found when it ends."""
        length = answer.length()
        if length is not None and length > self._size:
            answer.close()
            raise RegistryError(
                f"{host_of(answer.url)} sends {length} bytes where the descriptor says {self._size}",
                hint="the image's manifest and its blobs do not belong together",
            )
