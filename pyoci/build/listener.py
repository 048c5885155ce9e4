"""Who hears of the layers of an image while it is being built: a push can begin before the last one is made."""

from __future__ import annotations

from typing import Protocol

from pyoci.image.image import Layer
from pyoci.snapshot.protocols import Stacked

__all__ = ["NOBODY", "LayerListener"]


class LayerListener(Protocol):
    """Told by the thread that waits for the steps, so it must return at once."""

    def image_changes(self) -> None:
        """A step of an image was carried out, and not found in the cache: nobody has this image yet, most likely."""

    def layer_ready(self, layer: Layer, files: Stacked, *, is_base: bool) -> None:
        """The layer will be in an image. The store has its bytes, or knows where they are: of a layer that was found in
        a cache elsewhere, or `is_base`, of the image that the build starts from. `files` is what trees know it by. A
        layer may be told of more than once.
        """


class _Nobody:
    def image_changes(self) -> None:
        pass

    def layer_ready(self, layer: Layer, files: Stacked, *, is_base: bool) -> None:
        pass


NOBODY: LayerListener = _Nobody()
