"""Which platforms of an image the store has: an index names all that its publisher built, few of them were fetched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from pyoci.api.services import Services
from pyoci.content.limits import stored_limits
from pyoci.content.verify import read_document
from pyoci.digest import Digest
from pyoci.errors import ContentNotFound
from pyoci.image import Descriptor, decode_index, decode_manifest, media_types
from pyoci.platforms import Platform
from pyoci.resolver import select_manifest

__all__ = ["StoredPlatforms"]


class StoredPlatforms:
    """A ContentSource that holds of each index the images that were fetched or built here, and of others nothing.

    A base layer that the build of such an image did not need is fetched when it is opened.
    """

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._content = services.resolver.content
        self._limits = services.limits
        self._known: dict[Digest, bool] = {}

    def has(self, descriptor: Descriptor) -> bool:
        if media_types.is_manifest(descriptor.media_type):
            if descriptor.digest not in self._known:
                self._known[descriptor.digest] = self._is_there(descriptor)
            return self._known[descriptor.digest]
        if media_types.is_index(descriptor.media_type):
            return self._store.has(descriptor)
        return self._content.has(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        return self._content.open(descriptor)

    def chosen(self, root: Descriptor, platform: Platform, *, name: str) -> Descriptor:
        """The image for a platform.

        Raises:
            ContentNotFound: the name has none for it, or the store has not got it.
        """
        chosen = select_manifest(root, self._content, platform, name=name, limits=self._limits)
        if not self.has(chosen):
            there = ", ".join(sorted({str(each.platform) for each in self._images(root) if each.platform}))
            raise ContentNotFound(
                f'image "{name}" for {platform} is not in the store',
                hint=f"the store has {there or 'none'}; pyoci pull --platform {platform} fetches it",
            )
        return chosen

    def _is_there(self, manifest: Descriptor) -> bool:
        """Resolving a name stores manifest and config; only who fetches or builds an image stores layers of it."""
        if not self._store.has(manifest):
            return False
        raw = read_document(self._store.open(manifest), manifest, limits=stored_limits)
        value = decode_manifest(raw, media_type=manifest.media_type).value
        if not self._store.has(value.config):
            return False
        return not value.layers or any(self._store.has(layer) for layer in value.layers)

    def _images(self, node: Descriptor) -> Iterator[Descriptor]:
        if media_types.is_index(node.media_type):
            raw = read_document(self._content.open(node), node, limits=self._limits)
            for child in decode_index(raw, media_type=node.media_type).value.manifests:
                yield from self._images(child)
        elif self.has(node):
            yield node
