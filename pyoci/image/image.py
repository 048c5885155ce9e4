"""An image: its manifest and its config, both small and eager. Layer bytes are opened elsewhere, by descriptor."""

from __future__ import annotations

from pyoci.digest import DiffID, Digest, digest_hex, new_hash
from pyoci.errors import InvalidDocument
from pyoci.image.config import ImageConfig
from pyoci.image.descriptor import Descriptor
from pyoci.image.document import Document
from pyoci.image.manifest import Manifest
from pyoci.platforms import Platform
from pyoci.values import dataclass

__all__ = ["Image", "Layer"]


def _is_digest_of(digest: Digest, raw: bytes) -> bool:
    """Whether the bytes have the digest, whatever its algorithm."""
    hasher = new_hash(digest)
    hasher.update(raw)
    return hasher.hexdigest() == digest_hex(digest)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as stored and as what it unpacks to."""

    descriptor: Descriptor
    diff_id: DiffID


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest with its config. Made by `Image.of`, which checks that the two belong together."""

    manifest: Document[Manifest]
    config: Document[ImageConfig]

    @classmethod
    def of(cls, manifest: Document[Manifest], config: Document[ImageConfig]) -> Image:
        """The image of two documents.

        Raises:
            InvalidDocument: the config is not the one that the manifest names, or has another number of layers.
        """
        wanted = manifest.value.config
        if wanted.size != config.size or not _is_digest_of(wanted.digest, config.raw):
            raise InvalidDocument(f"config {config.digest} is not the one that manifest {manifest.digest} names")
        layers, diff_ids = len(manifest.value.layers), len(config.value.diff_ids)
        if layers != diff_ids:
            raise InvalidDocument(f"manifest {manifest.digest} has {layers} layers, its config has {diff_ids} diff_ids")
        return cls(manifest, config)

    @property
    def digest(self) -> Digest:
        """Of the manifest."""
        return self.manifest.digest

    @property
    def image_id(self) -> Digest:
        """Of the config: what docker calls the image ID."""
        return self.config.digest

    @property
    def platform(self) -> Platform:
        return self.config.value.platform

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Lowest first."""
        pairs = zip(self.manifest.value.layers, self.config.value.diff_ids, strict=True)
        return tuple(Layer(descriptor, diff_id) for descriptor, diff_id in pairs)
