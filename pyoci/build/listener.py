"""Who hears of the layers of an image while it is being built: a push can begin before the last one is made."""

from __future__ import annotations

from typing import Protocol

from pyoci.snapshot.protocols import Stacked

__all__ = ["NOBODY", "LayerListener"]


class LayerListener(Protocol):
    """Told by the thread that waits for the steps. What it does about it, it does in others."""

    def image_changes(self) -> None:
        """A step of an image was carried out, and not found in the cache: nobody has this image yet, most likely."""

    def stack_grows(self, element: Stacked, *, is_base: bool) -> None:
        """The element will be in an image. The store has a layer's bytes, or knows where they are: of one that was
        found in a cache elsewhere, or `is_base`, of the image that the build starts from. What a RUN kept becomes a
        layer when somebody makes one of it. An element may be told of more than once.
        """

    def settle(self) -> None:
        """Returns when no layer is being made of what was told: whoever needs one makes it, or finds it made."""


class _Nobody:
    def image_changes(self) -> None:
        pass

    def stack_grows(self, element: Stacked, *, is_base: bool) -> None:
        pass

    def settle(self) -> None:
        pass


NOBODY: LayerListener = _Nobody()
