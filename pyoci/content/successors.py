"""What a document points at: the only place that knows it."""

from __future__ import annotations

from pyoci.image import decode_index, decode_manifest, media_types
from pyoci.image.descriptor import Descriptor

__all__ = ["is_document", "successors"]


def is_document(descriptor: Descriptor) -> bool:
    """Whether the content names other content, so that it must be read to be copied."""
    return media_types.is_manifest(descriptor.media_type) or media_types.is_index(descriptor.media_type)


def successors(raw: bytes, media_type: str) -> tuple[Descriptor, ...]:
    """The descriptors that a manifest or index points at, in order; nothing for other content.

    Raises:
        InvalidDocument: the document breaks its specification.
    """
    if media_types.is_manifest(media_type):
        manifest = decode_manifest(raw, media_type=media_type).value
        return (manifest.config, *manifest.layers)
    if media_types.is_index(media_type):
        return decode_index(raw, media_type=media_type).value.manifests
    return ()
