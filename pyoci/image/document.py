"""A decoded document together with the exact bytes that it came from: what is not changed is never encoded again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from pyoci.digest import Digest, sha256_digest
from pyoci.image.descriptor import Descriptor
from pyoci.platforms import Platform
from pyoci.values import dataclass, field

__all__ = ["Document", "make_document"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document(Generic[T]):
    """Bytes as stored, their media type and the value decoded from them."""

    raw: bytes = field(repr=False)
    value: T
    media_type: str
    digest: Digest
    """Of `raw`."""

    @property
    def size(self) -> int:
        return len(self.raw)

    def descriptor(
        self, *, platform: Platform | None = None, annotations: Mapping[str, str] | None = None
    ) -> Descriptor:
        """The descriptor of these bytes."""
        return Descriptor(self.media_type, self.digest, len(self.raw), annotations=annotations or {}, platform=platform)


def make_document(raw: bytes, value: T, media_type: str) -> Document[T]:
    """A document of bytes whose sha256 digest is computed here."""
    return Document(raw, value, media_type, sha256_digest(raw))
