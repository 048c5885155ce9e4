"""Descriptors: what a piece of content is and how to check it. Spec: image-spec descriptor.md."""

from __future__ import annotations

from collections.abc import Mapping

from pyoci.digest import Digest
from pyoci.platforms import Platform
from pyoci.values import dataclass, field

__all__ = ["Descriptor"]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One piece of content. Two descriptors are equal when all fields are; hashing uses media type, digest and size."""

    media_type: str
    digest: Digest
    size: int
    """Bytes as stored."""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Platform | None = field(default=None, hash=False)
    urls: tuple[str, ...] = field(default=(), hash=False)
    artifact_type: str = field(default="", hash=False)
    data: bytes | None = field(default=None, hash=False)
    """The content itself where the descriptor embeds it; not trusted until verified like any other bytes."""

    def __str__(self) -> str:
        return str(self.digest)
