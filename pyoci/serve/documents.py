"""What manifests and indexes say, read once: a document never changes under its digest."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress

from pyoci.content.limits import stored_limits
from pyoci.content.verify import read_document
from pyoci.digest import Digest
from pyoci.errors import ContentError
from pyoci.image import decode_index, decode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.serve.inventory import Inventory
from pyoci.values import dataclass, replace

__all__ = ["DocumentFacts", "Documents", "document_facts", "is_document_type"]

_CACHE_LIMIT = 100_000
"""Descriptors in remembered documents; some 50 MB."""


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What a registry must know of a manifest or index."""

    descriptor: Descriptor
    """Media type, digest and size alone."""
    blobs: tuple[Descriptor, ...]
    documents: tuple[Descriptor, ...]
    subject: Digest | None
    artifact_type: str
    """That of an artifact; of an image manifest without one, the media type of its config."""
    annotations: Mapping[str, str]


def is_document_type(media_type: str) -> bool:
    """Whether content of that type is had as a manifest, not as a blob."""
    return media_types.is_manifest(media_type) or media_types.is_index(media_type)


def document_facts(raw: bytes, descriptor: Descriptor) -> DocumentFacts:
    """The facts in a document's bytes, which are not held against the digest here.

    Raises:
        InvalidDocument: the bytes break the specification of the descriptor's media type.
    """
    plain = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
    if media_types.is_manifest(descriptor.media_type):
        manifest = decode_manifest(raw, media_type=descriptor.media_type).value
        return DocumentFacts(
            plain,
            (manifest.config, *manifest.layers),
            (),
            manifest.subject.digest if manifest.subject else None,
            manifest.artifact_type or manifest.config.media_type,
            manifest.annotations,
        )
    index = decode_index(raw, media_type=descriptor.media_type).value
    return DocumentFacts(
        plain,
        tuple(entry for entry in index.manifests if not is_document_type(entry.media_type)),
        tuple(entry for entry in index.manifests if is_document_type(entry.media_type)),
        index.subject.digest if index.subject else None,
        index.artifact_type,
        index.annotations,
    )


class Documents:
    """Facts by digest, read from an inventory when they are first needed. May be used from several threads."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._lock = threading.Lock()
        self._known: dict[Digest, DocumentFacts] = {}
        self._weight = 0

    def facts(self, descriptor: Descriptor) -> DocumentFacts | None:
        """What a document says; None if its bytes are not here, or are damaged. Fetches nothing."""
        with self._lock:
            known = self._known.get(descriptor.digest)
        if not self._inventory.has(descriptor):
            return None
        if known is not None:
            return known
        with suppress(ContentError):
            raw = read_document(self._inventory.open(descriptor), descriptor, limits=stored_limits)
            found = document_facts(raw, descriptor)
            self._remember(found)
            return found
        return None

    def _remember(self, found: DocumentFacts) -> None:
        slim = replace(found, blobs=tuple(map(_slim, found.blobs)), documents=tuple(map(_slim, found.documents)))
        weight = 1 + len(found.blobs) + len(found.documents)
        with self._lock:
            if self._weight + weight > _CACHE_LIMIT:
                self._known.clear()
                self._weight = 0
            self._known[found.descriptor.digest] = slim
            self._weight += weight


def _slim(descriptor: Descriptor) -> Descriptor:
    return Descriptor(descriptor.media_type, descriptor.digest, descriptor.size, urls=descriptor.urls)
