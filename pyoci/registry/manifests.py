"""What a registry's answer about a manifest means: digest, size and media type, each checked before it is believed."""

from __future__ import annotations

import json

from pyoci.content.successors import successors
from pyoci.digest import Digest, new_hash, parse_digest
from pyoci.errors import DigestMismatch, InvalidDocument
from pyoci.image import media_types
from pyoci.image.descriptor import Descriptor
from pyoci.registry.transport import Answer

__all__ = ["ACCEPTED_TYPES", "answered_descriptor", "digest_in", "verified_manifest"]

ACCEPTED_TYPES = (
    media_types.INDEX,
    media_types.MANIFEST,
    media_types.DOCKER_INDEX,
    media_types.DOCKER_MANIFEST,
)
_VAGUE = frozenset({"", "application/json", "text/plain", "application/octet-stream", "binary/octet-stream"})
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"


def digest_in(reference: str) -> Digest | None:
    """The digest that a manifest is asked for by; None for a tag. Raises as `parse_digest`."""
    return parse_digest(reference) if ":" in reference else None


def answered_descriptor(answer: Answer, wanted: Digest | None, what: str) -> Descriptor | None:
    """What a HEAD says about a manifest; None when it says too little, so that the manifest itself must be read.

    Raises:
        DigestMismatch: another digest than was asked for.
        InvalidDocument: a media type or digest that cannot be used.
    """
    media_type = _announced(answer, what)
    size = answer.length()
    text = answer.header("Docker-Content-Digest")
    if media_type in _VAGUE or not size or not text:
        return None
    digest = _same(parse_digest(text), wanted, what)
    return Descriptor(media_type, digest, size)


def verified_manifest(raw: bytes, answer: Answer, wanted: Digest | None, what: str) -> Descriptor:
    """The descriptor of manifest bytes that were just read: digest computed, media type checked against the content.

    Raises:
        DigestMismatch: the bytes are not those of the digest that was asked for or announced.
        InvalidDocument: not an image manifest or index.
    """
    announced = _announced(answer, what)
    text = answer.header("Docker-Content-Digest")
    if text and wanted is None:
        wanted = parse_digest(text)
    elif text:
        _same(parse_digest(text), wanted, what)
    algorithm = wanted.partition(":")[0] if wanted else "sha256"
    hasher = new_hash(Digest(f"{algorithm}:"))
    hasher.update(raw)
    digest = _same(Digest(f"{algorithm}:{hasher.hexdigest()}"), wanted, what)
    media_type = _sniffed(raw, what) if announced in _VAGUE else announced
    successors(raw, media_type)  # decodes it, so that a type which the content contradicts is refused here
    return Descriptor(media_type, digest, len(raw))


def _same(found: Digest, wanted: Digest | None, what: str) -> Digest:
    if wanted is not None and found != wanted:
        raise DigestMismatch(
            f"{what}: expected {wanted}, got {found}",
            hint="the registry, or a proxy before it, changed the content or answers for another name",
        )
    return found


def _announced(answer: Answer, what: str) -> str:
    media_type = answer.header("Content-Type").partition(";")[0].strip()
    if media_type in ACCEPTED_TYPES or media_type in _VAGUE:
        return media_type
    if media_type.startswith(_SCHEMA_1):
        raise InvalidDocument(
            f"{what} is a manifest of schema 1, which was retired",
            hint="push the image again with a builder of this decade",
        )
    raise InvalidDocument(f'{what} has the media type "{media_type[:100]}", which is neither a manifest nor an index')


def _sniffed(raw: bytes, what: str) -> str:
    """The type of a document whose server did not name it: its own `mediaType`, else its shape."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InvalidDocument(f"{what} is not a manifest")
    declared = document.get("mediaType")
    if isinstance(declared, str) and declared in ACCEPTED_TYPES:
        return declared
    return media_types.INDEX if "manifests" in document else media_types.MANIFEST
