"""Manifests that refer to another by `subject`: reading them, and keeping the list where the registry does not.

Spec: distribution-spec, "Listing Referrers", "Referrers Tag Schema", "Pushing Manifests with Subject".
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from pyoci.digest import Digest, digest_hex, sha256_digest
from pyoci.errors import ContentNotFound
from pyoci.image import decode_index, decode_manifest, encode_index, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.image.index import Index
from pyoci.registry.exchange import Exchange
from pyoci.registry.hosts import Endpoint
from pyoci.registry.listing import pages
from pyoci.registry.manifests import ACCEPTED_TYPES
from pyoci.registry.transport import Answer

__all__ = ["FallbackIndexes", "fallback_tag", "list_referrers", "subject_of"]

_OK = frozenset({200})


def fallback_tag(digest: Digest) -> str:
    """The tag under which the referrers of `digest` are listed where the registry does not list them."""
    algorithm = digest.partition(":")[0]
    return f"{algorithm[:32]}-{digest_hex(digest)[:64]}"


def list_referrers(exchange: Exchange, digest: Digest, artifact_type: str) -> tuple[Descriptor, ...]:
    """What refers to `digest`, by the referrers API or else by the fallback tag; filtered here where the registry did
    not.

    Raises:
        RegistryError, InvalidDocument: the answer cannot be used.
    """
    purpose = f"list the referrers of {exchange.spelled(digest)}"
    found: list[Descriptor] = []
    try:
        for raw, _ in pages(exchange, f"referrers/{digest}", purpose):
            found += decode_index(raw, media_type=media_types.INDEX).value.manifests
    except ContentNotFound:
        index = _fallback_index(exchange, digest)
        found = list(index.manifests) if index is not None else []
    return tuple(entry for entry in found if not artifact_type or entry.artifact_type == artifact_type)


def subject_of(raw: bytes, media_type: str) -> tuple[Descriptor, str, dict[str, str]] | None:
    """The subject, artifact type and annotations of a manifest or index that has a subject.

    Raises:
        InvalidDocument: the document breaks its specification.
    """
    if media_types.is_index(media_type):
        index = decode_index(raw, media_type=media_type).value
        return (index.subject, index.artifact_type, dict(index.annotations)) if index.subject else None
    manifest = decode_manifest(raw, media_type=media_type).value
    if manifest.subject is None:
        return None
    return manifest.subject, manifest.artifact_type or manifest.config.media_type, dict(manifest.annotations)


class FallbackIndexes:
    """Keeps the fallback tags of a registry that does not know `subject`. One change at a time in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def after_push(
        self,
        exchange: Exchange,
        raw: bytes,
        media_type: str,
        answer: Answer,
        put: Callable[[bytes, str, str], None],
    ) -> None:
        """Adds a manifest that was just pushed to its subject's list, unless the registry said (`OCI-Subject`) that
        it did.

        Raises:
            RegistryError: the list cannot be read or written; the manifest itself is stored.
        """
        referring = subject_of(raw, media_type)
        if referring is None or answer.header("OCI-Subject"):
            return
        subject, artifact_type, annotations = referring
        entry = Descriptor(
            media_type, sha256_digest(raw), len(raw), annotations=annotations, artifact_type=artifact_type
        )
        with self._lock:
            index = _fallback_index(exchange, subject.digest) or Index(())
            if any(known.digest == entry.digest for known in index.manifests):
                return
            changed = encode_index(replace(index, manifests=(*index.manifests, entry), media_type=media_types.INDEX))
            put(changed.raw, changed.media_type, fallback_tag(subject.digest))


def _fallback_index(exchange: Exchange, digest: Digest) -> Index | None:
    tag = fallback_tag(digest)

    def ask(endpoint: Endpoint) -> Index:
        request = exchange.request(
            "GET",
            endpoint,
            f"manifests/{tag}",
            f"list the referrers of {exchange.spelled(digest)}",
            _OK,
            headers={"Accept": ", ".join(ACCEPTED_TYPES)},
        )
        raw, _ = exchange.read_small(request)
        return decode_index(raw, media_type=media_types.INDEX).value

    try:
        return exchange.first(ask)
    except ContentNotFound:
        return None
