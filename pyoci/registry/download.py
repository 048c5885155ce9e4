"""A blob as a stream that survives broken connections: it goes on where it stopped, by `Range`.

Spec: distribution-spec, "Pulling blobs" (range requests, RFC 9110 section 14). What a mirror gives is believed no
more than anything else: one that sends another length is left at once, one that breaks off twice is left where it
broke off, and one whose bytes turn out wrong at the end is left for whoever opens the blob again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, cast

from pyoci.content.verify import VerifyingReader
from pyoci.errors import DigestMismatch, RegistryError
from pyoci.image.descriptor import Descriptor
from pyoci.regex import regex
from pyoci.registry.exchange import Exchange
from pyoci.registry.failure import TransportFailure
from pyoci.registry.hosts import Endpoint
from pyoci.registry.leftovers import Partial
from pyoci.registry.session import Request
from pyoci.registry.transport import Answer
from pyoci.registry.urls import host_of
from pyoci.values import replace

__all__ = ["ResumingReader", "open_blob"]


_READ = frozenset({200, 206})

_CONTENT_RANGE = regex(r"bytes\s+(\d+)-(\d*)(?:/(?:\d+|\*))?", re.IGNORECASE)
_SKIP_BYTES = 256 * 1024


class ResumingReader(io.RawIOBase):
    """Reads `size` bytes from answers that `ask(offset)` gives; `again(failed, failure)` waits, or raises to give up.

    The number of failures counts from the last byte that arrived, so that a long blob over a bad line ends well as
    long as each attempt gets on. Attempts that were given up for getting on too slowly all count.

    `prefix` is the beginning of the blob, as far as it is known, and closed by this: what lies beyond it is asked for.
    """

    def __init__(
        self,
        size: int,
        ask: Callable[[int], Answer],
        again: Callable[[int, TransportFailure], None],
        prefix: Partial | None = None,
    ) -> None:
        super().__init__()
        self._size = size
        self._ask = ask
        self._again = again
        self._done = 0
        self._failed = 0
        self._slow = 0
        self._prefix = prefix
        self._answer: Answer | None = None  # what `close` looks for, also where asking fails
        known = prefix.size if prefix is not None else 0
        if not known or known < size:
            with suppress(TransportFailure):  # which `read` knows how to go on from
                self._answer = self._resume(known)

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        if self._prefix is not None:
            data = self._prefix.read(size)
            self._done += len(data)
            if data:
                return data
            self._prefix.discard()  # whoever reads this has it now
            self._close_prefix()
        if self._answer is None and self._done >= self._size:
            return b""
        while True:
            try:
                if self._answer is None:
                    self._answer = self._resume(self._done)
                data = self._answer.read(size)
                if not data and size and self._done < self._size:
                    raise TransportFailure(
                        f"the answer ended after {self._done} of {self._size} bytes", "broken", host=""
                    )
            except TransportFailure as failure:
                self._drop()
                self._failed += 1
                self._slow += failure.kind == "slow"
                self._again(max(self._failed, self._slow), failure)
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
            self._close_prefix()
        super().close()

    def _close_prefix(self) -> None:
        if self._prefix is not None:
            self._prefix.close()
            self._prefix = None

    def _drop(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _resume(self, offset: int) -> Answer:
        """An answer positioned at `offset`."""
        answer = self._ask(offset)
        if answer.status == 206 and offset:
            match = _CONTENT_RANGE.fullmatch(answer.header("Content-Range").strip())
            if match is None or int(match[1]) != offset:
                answer.close()
                raise RegistryError(
                    f"{host_of(answer.url)} answered with another range than bytes {offset} and on",
                    hint="the registry or a proxy before it handles ranges wrongly",
                )
            return answer
        missing = offset  # the whole blob again: what is known is skipped
        while missing:
            skipped = answer.read(min(missing, _SKIP_BYTES))
            if not skipped:
                answer.close()
                raise TransportFailure(f"the answer ended before byte {offset}", "broken", host="")
            missing -= len(skipped)
        return answer


def open_blob(exchange: Exchange, descriptor: Descriptor, prefix: Partial | None = None) -> VerifyingReader:
    """A stream of a blob from the endpoints that have it, verified at its end; `prefix` is what is known of its
    beginning, and is closed.

    Raises:
        ContentNotFound: no endpoint has it.
        RegistryError, DigestMismatch: the last one does not answer, or with more than the descriptor says.
    """
    origin = _Origin(exchange, descriptor)
    try:
        reader = ResumingReader(descriptor.size, origin.ask, origin.again, prefix)
    except BaseException as error:
        if prefix is None:
            raise
        prefix.close()
        if not isinstance(error, RegistryError) or error.status != 416:
            raise
        prefix.discard()
        return open_blob(exchange, descriptor)
    origin.guessed = prefix is not None
    return VerifyingReader(cast("BinaryIO", reader), descriptor, refused=origin.refused)


class _Origin:
    """Where the bytes of one blob come from."""

    def __init__(self, exchange: Exchange, descriptor: Descriptor) -> None:
        self._exchange = exchange
        self._descriptor = descriptor
        self._purpose = f"pull {exchange.spelled(descriptor.digest)}"
        self._asked: list[Endpoint] = []
        """Who gave bytes, in order."""
        self._broken = 0
        """How often somebody broke off whom others can stand in for."""
        self.guessed = False
        """Whether the beginning came from an earlier command, which may have had it from anywhere."""

    def ask(self, offset: int) -> Answer:
        def give(endpoint: Endpoint) -> tuple[Endpoint, Answer]:
            answer = self._exchange.session.send(self._request(endpoint, offset))
            self._check_length(endpoint, answer, offset)
            return endpoint, answer

        endpoint, answer = self._exchange.first(give)
        self._asked.append(endpoint)
        return answer

    def again(self, failed: int, failure: TransportFailure) -> None:
        endpoint, session = self._asked[-1], self._exchange.session
        error = session.error_of(failure, self._request(endpoint, 0))
        if self._exchange.is_dispensable(endpoint):
            self._broken += 1  # in all, and not since the last byte: a mirror that sends a little each time is no help
            if self._broken > 1:
                session.failed_mirrors.add(endpoint, error)
                return
        session.wait(failed, error, reason=str(failure))

    def refused(self, error: DigestMismatch) -> None:
        """Leaves out whose bytes may have been the wrong ones."""
        mirrors = [endpoint for endpoint in self._asked if self._exchange.is_dispensable(endpoint)]
        for mirror in mirrors:
            self._exchange.session.failed_mirrors.add(mirror, error)
        error.elsewhere = bool(mirrors) or self.guessed

    def _request(self, endpoint: Endpoint, offset: int) -> Request:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        path = f"blobs/{self._descriptor.digest}"
        request = self._exchange.request("GET", endpoint, path, self._purpose, _READ, headers=headers)
        return replace(request, answer_bytes=self._descriptor.size - offset)

    def _check_length(self, endpoint: Endpoint, answer: Answer, offset: int) -> None:
        """Refuses a longer answer before any of it is stored. A shorter one is found when it ends, and refused at once
        only where somebody else can be asked.
        """
        length = answer.length()
        wanted = self._descriptor.size - (offset if answer.status == 206 else 0)
        if length is None or length == wanted or (length < wanted and not self._exchange.is_dispensable(endpoint)):
            return
        answer.close()
        raise DigestMismatch(
            f"cannot {self._purpose}: {host_of(answer.url)} sends {length} bytes where the descriptor says {wanted}",
            hint="the image's manifest and its blobs do not belong together",
        )
