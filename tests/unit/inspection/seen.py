"""Images of a few items, as what looks into images gets them."""

from __future__ import annotations

from collections.abc import Mapping

from pyoci.image import Image, ImageConfig
from pyoci.inspection.sizes import ImageSize, measure
from pyoci.layer.tree import Tree
from tests.builders import Item, make_image, make_layer, open_layers

__all__ = ["image_of", "sizes_of", "tree_of"]


def image_of(*layers: Mapping[str, Item], config: ImageConfig | None = None) -> tuple[Image, Tree]:
    """An image of these layers and its tree, which knows the digests of files."""
    content, image = make_image([make_layer(items) for items in layers], config)
    return image, Tree(open_layers(image, content))


def tree_of(*layers: Mapping[str, Item]) -> Tree:
    return image_of(*layers)[1]


def sizes_of(*layers: Mapping[str, Item], name: str = "app", config: ImageConfig | None = None) -> ImageSize:
    return measure(name, *image_of(*layers, config=config))
