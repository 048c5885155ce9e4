"""The form of an image: how its layers are compressed, whose media types it uses, what it is annotated with."""

from __future__ import annotations

from pyoci.build.annotations import Annotation
from pyoci.image.media_types import Compression
from pyoci.values import dataclass

__all__ = ["PLAIN", "Form"]


@dataclass(frozen=True, slots=True)
class Form:
    """What one `--output` says of the image itself."""

    compression: Compression = "gzip"
    level: int | None = None
    """None is the compressor's own choice."""
    force: bool = False
    """Layers of the base are compressed so too."""
    docker_types: bool = False
    indexed: bool = False
    """A single image gets an index too (BUILDKIT_MULTI_PLATFORM)."""
    annotations: tuple[Annotation, ...] = ()


PLAIN = Form()
