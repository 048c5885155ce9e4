"""What a document is when nobody announced it: from its own `mediaType`, else from its members."""

from __future__ import annotations

from pyoci.digest import Digest
from pyoci.errors import InvalidDocument
from pyoci.image import media_types
from pyoci.image.codec import decode_object
from pyoci.image.descriptor import Descriptor

__all__ = ["document_descriptor"]


def document_descriptor(digest: Digest, raw: bytes, *, limit: int) -> Descriptor | None:
    """A descriptor for bytes that were read under a digest, not verified yet; None if they are no manifest or index,
    or more than `limit`.
    """
    if len(raw) > limit:
        return None
    try:
        members = decode_object(raw, "document")
    except InvalidDocument:
        return None
    media_type = members.get("mediaType")
    if media_type is None:
        media_type = (
            media_types.INDEX if "manifests" in members else media_types.MANIFEST if "layers" in members else ""
        )
    if not isinstance(media_type, str) or not (media_types.is_index(media_type) or media_types.is_manifest(media_type)):
        return None
    return Descriptor(media_type, digest, len(raw))
