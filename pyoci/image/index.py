"""The image index: manifests of several platforms under one digest.

Spec: image-spec image-index.md; Docker's manifest list.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyoci.image.descriptor import Descriptor
from pyoci.image.media_types import INDEX
from pyoci.values import dataclass, field

__all__ = ["Index"]


@dataclass(frozen=True, slots=True)
class Index:
    """Descriptors of manifests (or of further indexes), in the order in which a reader prefers them."""

    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    media_type: str = INDEX
    artifact_type: str = ""
    subject: Descriptor | None = None
