"""The image manifest. Spec: image-spec manifest.md; distribution's manifest-v2-2.md."""

from __future__ import annotations

from collections.abc import Mapping

from pyoci.image.descriptor import Descriptor
from pyoci.image.media_types import MANIFEST
from pyoci.values import dataclass, field

__all__ = ["Manifest"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform: a config and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    media_type: str = MANIFEST
    artifact_type: str = ""
    subject: Descriptor | None = None
