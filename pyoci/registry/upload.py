"""Sending one blob: whole or in chunks, and on from where it broke.

Spec: distribution-spec, "Pushing blobs": POST then PUT; chunks by PATCH with `Content-Range` and
`OCI-Chunk-Min-Length`; the state of an upload by GET. A blob appears in the registry when the last PUT is accepted,
and then whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast
from urllib.parse import urlencode

from pyoci.content.verify import VerifyingReader, verifies
from pyoci.errors import Cancelled, ContentError, PyociError, RegistryError
from pyoci.image.descriptor import Descriptor
from pyoci.regex import regex
from pyoci.registry.failure import TransportFailure
from pyoci.registry.hosts import Endpoint
from pyoci.registry.leftovers import KeptUpload
from pyoci.registry.retry import RETRY_STATUSES
from pyoci.registry.session import Request, Session
from pyoci.registry.transport import Answer
from pyoci.registry.urls import with_query
from pyoci.values import dataclass, replace

__all__ = ["BlobUpload", "UploadSession"]

_PIECE = 64 * 1024
_WORTH_KEEPING_BYTES = 1 << 20
"""An upload of less is begun anew sooner than it is asked about."""
_CREATED = frozenset({201, 204})
_ACCEPTED = frozenset({202, 204})
_RANGE = regex(r"(?:bytes=)?(\d+)-(\d+)")
_TRANSIENT = RETRY_STATUSES | {416}
_STALE = frozenset({400, 404, 422})
"""Refusals after which a new upload may help, once: the old one is gone, or its bytes are not those that were sent."""


class _SourceFailed(Exception):
    """What was to be sent could not be read: no fault of the registry, so nothing to try again there."""

    def __init__(self, error: PyociError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class UploadSession:
    """An upload that the registry has opened."""

    location: str
    """Whole URL, by the latest answer."""
    chunk_min_bytes: int = 0


def _may_pass(error: RegistryError) -> bool:
    failure = error.__cause__
    return error.status in _TRANSIENT or (isinstance(failure, TransportFailure) and failure.may_pass)


class BlobUpload:
    """One blob on its way to one repository, from one thread."""

    def __init__(
        self, session: Session, endpoint: Endpoint, descriptor: Descriptor, scopes: tuple[str, ...], purpose: str
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._descriptor = descriptor
        self._scopes = scopes
        self._purpose = purpose
        self._state: UploadSession | None = None
        self._kept: KeptUpload | None = None
        self._begun = 0
        """How many bytes an earlier command has sent."""

    def send(self, stream: BinaryIO, opened: UploadSession | None = None, kept: KeptUpload | None = None) -> None:
        """Sends the stream; `opened` is an upload that was begun already (by a mount that did not succeed).

        What breaks is taken up where the registry says it stopped, or from the start, if the stream can be rewound. So
        is what `kept` says an earlier command has begun, and in it this one leaves what can be gone on from: where it
        was interrupted, or the registry was lost. `kept` is closed.

        Raises:
            RegistryError: after all attempts. Nothing is stored under the digest then.
            DigestMismatch: the stream is not what the descriptor says; the upload is not completed.
        """
        source = _Source(stream, self._descriptor)
        self._kept, self._state = kept, opened
        try:
            self._send(source, self._begun_before() if kept is not None else 0)
            if kept is not None:
                kept.discard()
        except _SourceFailed as failure:
            self._give_up(failure.error, source)
            raise failure.error from None
        except BaseException as error:
            self._give_up(error, source)
            raise
        finally:
            if kept is not None:
                kept.close()

    def _send(self, source: _Source, offset: int) -> None:
        failed = reached = refused = slow = 0
        while True:
            if self._state is None:
                self._move_on(self.open())
                offset = 0
            try:
                self._transfer(source, offset)
                return
            except RegistryError as error:
                stale = error.status in _STALE
                refused += stale
                if not (_may_pass(error) or (stale and refused == 1)) or not source.can_restart:
                    raise
                slow += isinstance(error.__cause__, TransportFailure) and error.__cause__.kind == "slow"
                failed = max(1 if source.sent > reached else failed + 1, slow)
                reached = max(reached, source.sent)
                self._session.wait(failed, error, reason=error.message)
            reached_offset = None if stale else self._ask_offset()
            if reached_offset is None:
                self._abandon()
            offset = reached_offset or 0

    def _begun_before(self) -> int:
        """Takes up the upload that an earlier command has left, if the registry still knows it: the first byte that it
        lacks.
        """
        opened, location = self._state, self._kept.location if self._kept is not None else ""
        if location and self._may_ask(location):
            self._state = UploadSession(location)
            with contextlib.suppress(RegistryError):  # whoever gave the address may have moved
                offset = self._ask_offset()
                if offset is not None:
                    if opened is not None:
                        self.cancel(opened)
                    self._begun = offset
                    return offset
        self._state = None
        if opened is not None:
            self._move_on(opened)
        return 0

    def _may_ask(self, location: str) -> bool:
        """Whether an address that was read from a file is one that the registry might have given just now."""
        try:
            base = self._session.base_of(self._endpoint)
            return self._session.target(f"{base}/v2/", location, self._request("GET", "", frozenset())) == location
        except (RegistryError, TransportFailure):
            return False

    def _move_on(self, state: UploadSession) -> None:
        """The upload is there from now on."""
        self._state = state
        if self._kept is not None:
            self._kept.keep(state.location)

    def _give_up(self, error: BaseException, source: _Source) -> None:
        """Cancels the upload, unless the next command can go on with it."""
        if isinstance(error, RegistryError):
            passes = not error.status or _may_pass(error)
        else:
            passes = isinstance(error, Cancelled) or not isinstance(error, Exception)
        is_worth_it = max(self._begun, source.sent) >= _WORTH_KEEPING_BYTES
        if self._kept is None or not is_worth_it or not passes:
            self._abandon()

    def open(self, query: Mapping[str, str] | None = None) -> UploadSession:
        """A new upload."""
        suffix = f"?{urlencode(query)}" if query else ""
        url = f"/v2/{self._endpoint.repository}/blobs/uploads/{suffix}"
        answer = self._session.send(self._request("POST", url, frozenset({202})))
        answer.finish()
        return self.opened_by(answer)

    def opened_by(self, answer: Answer) -> UploadSession:
        """The upload that an answer of status 202 has opened or moved on.

        Raises:
            RegistryError: it does not say where.
        """
        location = answer.header("Location")
        if not location:
            raise RegistryError(f"cannot {self._purpose}: {self._endpoint.registry} does not say where to upload to")
        target = self._session.target(answer.url, location, self._request("PUT", "", frozenset()))
        minimum = answer.header("OCI-Chunk-Min-Length")
        return UploadSession(target, int(minimum) if minimum.isascii() and minimum.isdigit() else 0)

    def cancel(self, state: UploadSession) -> None:
        """Gives an upload up. A registry that does not know how is no error: it forgets uploads in time."""
        with contextlib.suppress(RegistryError):
            request = self._request("DELETE", state.location, frozenset({200, 202, 204, 404, 405}))
            self._session.send(replace(request, once=True, cleanup=True)).finish()

    def _abandon(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            if self._kept is not None:
                self._kept.keep("")
            with contextlib.suppress(PyociError):
                self.cancel(state)

    def _transfer(self, source: _Source, offset: int) -> None:
        total, state = self._descriptor.size, self._current()
        chunk = max(self._endpoint.chunk_bytes, state.chunk_min_bytes) if self._endpoint.chunk_bytes else 0
        if not chunk and offset:
            chunk = max(total - offset, 1)
        while chunk and offset < total and (offset or total > chunk):
            part = source.part(offset, min(chunk, total - offset))
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{offset}-{offset + len(part) - 1}",
            }
            answer = self._session.send(
                self._request("PATCH", state.location, _ACCEPTED, headers=headers, body=part, patient=True)
            )
            answer.finish()
            state = replace(self.opened_by(answer), chunk_min_bytes=state.chunk_min_bytes)
            self._move_on(state)
            offset += len(part)
        self._commit(source, state, offset)

    def _commit(self, source: _Source, state: UploadSession, offset: int) -> None:
        body = source.part(offset, self._descriptor.size - offset)
        if not self._descriptor.size:
            list(body)
        url = with_query(state.location, ("digest", self._descriptor.digest))
        headers = {"Content-Type": "application/octet-stream"}
        request = self._request("PUT", url, _CREATED, headers=headers, body=body if len(body) else b"", patient=True)
        answer = self._session.send(request)
        answer.finish()
        stored = answer.header("Docker-Content-Digest")
        if stored and stored != self._descriptor.digest:
            raise RegistryError(
                f"cannot {self._purpose}: {self._endpoint.registry} stored it as {stored[:100]}",
                hint="the registry, or a proxy before it, changed the content",
            )

    def _current(self) -> UploadSession:
        assert self._state is not None
        return self._state

    def _ask_offset(self) -> int | None:
        """The first byte that the registry lacks; None where it cannot tell.

        Raises:
            RegistryError: it does not answer at all, and the next command may go on from here.
        """
        state = self._current()
        try:
            answer = self._session.send(self._request("GET", state.location, frozenset({204, 200})))
        except RegistryError as error:
            if self._kept is not None and not error.status:
                raise
            return None
        answer.finish()
        match = _RANGE.fullmatch(answer.header("Range").strip())
        end = int(match[2]) if match is not None and int(match[1]) == 0 else -1
        offset = end + 1 if end else 0  # "0-0" is how an empty upload is reported too
        if match is None or end < 0 or offset > self._descriptor.size:
            return None
        if answer.header("Location"):
            self._move_on(replace(self.opened_by(answer), chunk_min_bytes=state.chunk_min_bytes))
        return offset

    def _request(
        self,
        method: str,
        url: str,
        expect: frozenset[int],
        *,
        headers: Mapping[str, str] | None = None,
        body: _Part | bytes | None = None,
        patient: bool = False,
    ) -> Request:
        return Request(
            method,
            url,
            self._endpoint,
            self._purpose,
            expect,
            headers=headers or {},
            body=body,
            scopes=self._scopes,
            once=body is not None,
            patient=patient,
        )


class _Source:
    """The blob's bytes, verified while they are read, from any offset that can be reached."""

    def __init__(self, stream: BinaryIO, descriptor: Descriptor) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._reader: BinaryIO | None = None
        self._at = 0
        self.sent = 0
        """The furthest byte that was handed out."""

    @property
    def can_restart(self) -> bool:
        return self._reader is None or self._stream.seekable()

    def part(self, offset: int, length: int) -> _Part:
        return _Part(self, offset, length)

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        try:
            self._move_to(offset)
        except PyociError as error:
            raise _SourceFailed(error) from error
        while length:
            piece = self._read(min(_PIECE, length))
            self._at += len(piece)
            length -= len(piece)
            self.sent = max(self.sent, self._at)
            yield piece

    def _read(self, size: int) -> bytes:
        assert self._reader is not None
        try:
            return self._reader.read(size)
        except PyociError as error:
            raise _SourceFailed(error) from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise _SourceFailed(ContentError(f"cannot read {self._descriptor.digest}: {reason}")) from error

    def _move_to(self, offset: int) -> None:
        if self._reader is None or self._at > offset:
            if self._reader is not None:
                if not self._stream.seekable():
                    raise ContentError(f"{self._descriptor.digest} cannot be read a second time")
                self._stream.seek(0)
            self._reader, self._at = self._verified(), 0
        while self._at < offset:
            self._at += len(self._read(min(_PIECE, offset - self._at)))
        if not self._descriptor.size:
            self._read(1)  # nothing will be read, and yet it must be the empty blob

    def _verified(self) -> BinaryIO:
        if verifies(self._stream, self._descriptor):
            return self._stream
        unclosed = cast("BinaryIO", _Unclosed(self._stream))
        return cast("BinaryIO", VerifyingReader(unclosed, self._descriptor))


class _Unclosed:
    """A stream whose end of life is not ours to decide."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(size)

    def close(self) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Bytes `offset` to `offset + length` as a request body."""

    source: _Source
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        return self.source.pieces(self.offset, self.length)
