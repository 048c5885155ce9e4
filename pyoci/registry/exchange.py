"""Requests about one repository: which endpoint, with which scopes, and what it is called in errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pyoci.content.limits import ContentLimits, how_to_raise
from pyoci.errors import ContentError, ContentNotFound, InvalidDocument, RegistryError
from pyoci.reference import Reference
from pyoci.registry.failure import TransportFailure
from pyoci.registry.hosts import Endpoint
from pyoci.registry.scopes import repository_scope
from pyoci.registry.session import Request, Session
from pyoci.registry.transport import Answer

__all__ = ["Exchange"]

T = TypeVar("T")


class Exchange:
    """A session, seen from one repository. May be used from several threads."""

    def __init__(self, session: Session, reference: Reference, *, writing: bool, direct: bool = False) -> None:
        """`direct` asks no mirror: for what is about to be changed, only the registry itself knows it."""
        self.session = session
        self.reference = reference
        self._readers = session.hosts.endpoints(reference, push=direct)
        self._writing = writing

    def limits(self) -> ContentLimits:
        """How much an image may be, by the configuration."""
        return self.session.hosts.content_limits

    @property
    def writing(self) -> bool:
        """Whether this repository is written to: tokens are asked for pushing then, and only the registry itself is
        asked.
        """
        return self._writing

    def begin_writing(self) -> None:
        self._writing = True

    def writer(self) -> Endpoint:
        """The registry itself.

        Raises:
            UsageError: the configuration blocks the name.
        """
        return self.session.hosts.endpoints(self.reference, push=True)[0]

    def spelled(self, reference: str) -> str:
        """A tag or digest of this repository as the user would write it."""
        return f"{self.reference.familiar_name}{'@' if ':' in reference else ':'}{reference}"

    def scopes(self, endpoint: Endpoint) -> tuple[str, ...]:
        """What a token must allow: one token for a whole pull, one for a whole push."""
        actions = ("pull", "push") if self._writing and not endpoint.mirror else ("pull",)
        return (repository_scope(endpoint.repository, *actions),)

    def request(
        self,
        method: str,
        endpoint: Endpoint,
        path: str,
        purpose: str,
        expect: frozenset[int],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        extra_scopes: tuple[str, ...] = (),
    ) -> Request:
        """A request below `/v2/<name>/`."""
        return Request(
            method,
            f"/v2/{endpoint.repository}/{path}",
            endpoint,
            purpose,
            expect,
            headers=headers or {},
            body=body,
            scopes=(*self.scopes(endpoint), *extra_scopes),
            hurried=self.is_dispensable(endpoint),
        )

    def read_small(self, request: Request) -> tuple[bytes, Answer]:
        """The whole body of a small answer; one that breaks off is asked for again.

        Raises:
            RegistryError: no answer. InvalidDocument: it is longer than a document may be.
        """
        failed, limit = 0, self.limits().document_bytes
        while True:
            answer = self.session.send(request)
            length = answer.length() or 0
            if length > limit:
                answer.close()
                raise _too_long(request, limit)
            try:
                raw = answer.read_upto(limit)
            except TransportFailure as failure:
                failed += 1
                self.session.wait(failed, self.session.error_of(failure, request), reason=str(failure))
                continue
            if len(raw) > limit:
                raise _too_long(request, limit)
            return raw, answer

    def first(self, ask: Callable[[Endpoint], T]) -> T:
        """The answer of the first endpoint that has one. A mirror's failure is told, and not the user's unless it is
        the last.

        Raises:
            ContentNotFound: the last endpoint answered 404. Else what it raised.
        """
        *mirrors, last = (self.writer(),) if self._writing else self._readers
        failed = self.session.failed_mirrors
        for endpoint in mirrors:
            if endpoint in failed:
                continue
            try:
                return ask(endpoint)
            except (RegistryError, ContentError) as error:
                failed.add(endpoint, error)
        return self.found(lambda: ask(last))

    def is_dispensable(self, endpoint: Endpoint) -> bool:
        """Whether somebody else can be asked for what the endpoint has."""
        return endpoint.mirror and endpoint != self._readers[-1]

    def found(self, ask: Callable[[], T]) -> T:
        """The result of `ask`.

        Raises:
            ContentNotFound: in the place of a RegistryError of status 404.
        """
        try:
            return ask()
        except RegistryError as error:
            if error.status != 404:
                raise
            raise ContentNotFound(error.message, hint=error.hint) from error


def _too_long(request: Request, limit: int) -> InvalidDocument:
    return InvalidDocument(
        f"cannot {request.purpose}: the answer is longer than the {limit} bytes that it may have",
        hint=how_to_raise("document-size"),
    )
