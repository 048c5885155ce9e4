"""Manifests that refer to another by `subject`: reading them, and keeping the list where the registry does not.

Such a list is an index under a tag that every client changes by reading it, adding an entry and writing it back, and
distribution-spec has no way to do that at once. What is done against losing somebody's entry: the write is conditional
(`If-Match`, `If-None-Match`), for registries that heed it; afterwards the list is read again, and changed again if the
entry is not in it. Two clients whose reads and writes interleave exactly can still lose one, on a registry that heeds
no condition; pushing again mends the list.

Spec: distribution-spec, "Listing Referrers", "Referrers Tag Schema", "Pushing Manifests with Subject", "Deleting
Manifests".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from pyoci.content.referrers import fallback_tag, referrer_entry
from pyoci.digest import Digest, sha256_digest
from pyoci.errors import ContentNotFound, InvalidDocument, RegistryError
from pyoci.image import decode_index, encode_index, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.image.index import Index
from pyoci.registry.exchange import Exchange
from pyoci.registry.hosts import Endpoint
from pyoci.registry.listing import pages
from pyoci.registry.manifests import ACCEPTED_TYPES
from pyoci.registry.transport import Answer
from pyoci.values import dataclass, replace

__all__ = ["FallbackIndexes", "PutManifest", "list_referrers"]

_OK = frozenset({200})
_NO_SUCH_ROUTE = frozenset({400, 404, 405, 406})
"""How registries answer that do not know the referrers API."""
_CONDITIONAL_TRIES = 3
_TRIES = 5

PutManifest = Callable[[bytes, str, str, Mapping[str, str]], None]
"""Stores bytes of a media type under a tag, with further headers."""


def list_referrers(exchange: Exchange, digest: Digest, artifact_type: str) -> tuple[Descriptor, ...]:
    """What refers to `digest`, by the referrers API or else by the fallback tag; filtered here where the registry did
    not.

    Raises:
        RegistryError, InvalidDocument: the answer cannot be used.
    """
    found = _by_the_registry(exchange, digest)
    if found is None:
        found = _fallback(exchange, digest).index.manifests
    return tuple(entry for entry in found if not artifact_type or entry.artifact_type == artifact_type)


def _by_the_registry(exchange: Exchange, digest: Digest) -> tuple[Descriptor, ...] | None:
    """What the referrers API lists; None where there is no such API."""
    purpose = f"list the referrers of {exchange.spelled(digest)}"
    found: list[Descriptor] = []
    try:
        for raw, answer in pages(exchange, f"referrers/{digest}", purpose):
            if answer.header("Content-Type").partition(";")[0].strip() == "text/html":
                return None  # a web page that is shown for whatever address
            found += decode_index(raw, media_type=media_types.INDEX).value.manifests
    except ContentNotFound:
        return None
    except RegistryError as error:
        if error.status not in _NO_SUCH_ROUTE:
            raise
        return None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Fallback:
    """The list under a fallback tag, empty if there is none."""

    index: Index
    condition: Mapping[str, str]
    """Headers of a write that must not follow somebody else's."""


class FallbackIndexes:
    """Keeps the fallback tags of a registry that does not know `subject`. One change at a time in this process."""

    def __init__(self, exchange: Exchange, put: PutManifest, has: Callable[[Descriptor], bool]) -> None:
        self._exchange = exchange
        self._put = put
        self._has = has
        self._lock = threading.Lock()

    def after_push(self, raw: bytes, media_type: str, answer: Answer) -> None:
        """Adds a manifest that was just pushed to its subject's list, unless the registry said (`OCI-Subject`) that
        it did.

        Raises:
            RegistryError, InvalidDocument: the list cannot be read or written; the manifest itself is stored.
        """
        referring = referrer_entry(raw, Descriptor(media_type, sha256_digest(raw), len(raw)))
        if referring is None or answer.header("OCI-Subject"):
            return
        subject, entry = referring

        def added(index: Index) -> Index | None:
            listed = any(known.digest == entry.digest for known in index.manifests)
            return None if listed else replace(index, manifests=(*index.manifests, entry))

        self._change(subject, added)

    def after_delete(self, subject: Digest, referrer: Digest) -> None:
        """Takes a manifest that was just deleted out of its subject's list, where the registry keeps none itself.

        Raises:
            RegistryError, InvalidDocument: the list cannot be read or written; the manifest itself is gone.
        """
        if _by_the_registry(self._exchange, subject) is not None:
            return

        def removed(index: Index) -> Index | None:
            kept = tuple(known for known in index.manifests if known.digest != referrer)
            return replace(index, manifests=kept) if len(kept) < len(index.manifests) else None

        self._change(subject, removed)

    def _change(self, subject: Digest, changed: Callable[[Index], Index | None]) -> None:
        """Writes the list that `changed` makes of what is there, until nothing is left to change (None)."""
        with self._lock:
            failed = 0
            while (refusal := self._try_change(subject, changed, conditional=failed < _CONDITIONAL_TRIES)) is not None:
                failed += 1
                conflict = RegistryError(
                    f"the list of what refers to {self._exchange.spelled(subject)} cannot be kept: {refusal}",
                    hint="push again: what is stored already is not sent again",
                )
                if failed >= _TRIES:
                    raise conflict
                self._exchange.session.wait(failed, conflict, reason=conflict.message)

    def _try_change(
        self, subject: Digest, changed: Callable[[Index], Index | None], *, conditional: bool
    ) -> str | None:
        """Changes the list once; why it is not as it should be afterwards, None if it is."""
        before = _fallback(self._exchange, subject)
        index = changed(before.index)
        if index is None:
            return None
        condition = before.condition if conditional else {}
        try:
            self._write(subject, index, condition)
        except RegistryError as error:
            if error.status == 412:
                return error.message
            kept = tuple(entry for entry in index.manifests if error.status in (400, 404) and self._has(entry))
            if not 0 < len(kept) < len(index.manifests):
                raise
            # What was deleted behind its list's back: registries refuse an index of what they have not got.
            self._write(subject, replace(index, manifests=kept), condition)
        if changed(_fallback(self._exchange, subject).index) is None:
            return None
        return "somebody else wrote it at the same time"

    def _write(self, subject: Digest, index: Index, condition: Mapping[str, str]) -> None:
        document = encode_index(replace(index, media_type=media_types.INDEX))
        self._put(document.raw, document.media_type, fallback_tag(subject), condition)


def _fallback(exchange: Exchange, digest: Digest) -> _Fallback:
    tag = fallback_tag(digest)

    def ask(endpoint: Endpoint) -> _Fallback:
        request = exchange.request(
            "GET",
            endpoint,
            f"manifests/{tag}",
            f"list the referrers of {exchange.spelled(digest)}",
            _OK,
            headers={"Accept": ", ".join(ACCEPTED_TYPES)},
        )
        raw, answer = exchange.read_small(request)
        try:
            index = decode_index(raw, media_type=media_types.INDEX).value
        except InvalidDocument as error:
            error.hint = f"{exchange.spelled(tag)} should be an index of what refers to {digest}; somebody else uses it"
            raise
        etag = answer.header("ETag")
        return _Fallback(index, {"If-Match": etag} if etag.startswith('"') else {})

    try:
        return exchange.first(ask)
    except ContentNotFound:
        return _Fallback(Index(()), {"If-None-Match": "*"})
