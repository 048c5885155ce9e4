"""What a document points at: the only place that knows it."""

from __future__ import annotations

from pyoci.image import media_types
from pyoci.image.descriptor import Descriptor

__all__ = ["is_document", "may_have_subject", "successors"]


def is_document(descriptor: Descriptor) -> bool:
    """Whether the content names other content, so that it must be read to be copied."""
    return media_types.is_manifest(descriptor.media_type) or media_types.is_index(descriptor.media_type)


def successors(raw: bytes, media_type: str) -> tuple[Descriptor, ...]:
    """The descriptors that a manifest or index points at, in order; nothing for other content.

    Raises:
        InvalidDocument: the document breaks its specification.
    """
    from pyoci.image import decode_index, decode_manifest

    if media_types.is_manifest(media_type):
        manifest = decode_manifest(raw, media_type=media_type).value
        return (manifest.config, *manifest.layers)
    if media_types.is_index(media_type):
        return decode_index(raw, media_type=media_type).value.manifests
    return ()


def may_have_subject(raw: bytes) -> bool:
    """Whether a manifest or index may name a subject. Few do, and whether one does is told by its bytes: JSON can spell
    the name as it is, or with a backslash.
    """
    return b'"subject"' in raw or b"\\" in raw
