"""`history`: which instruction made which layer, and how large it is."""

from __future__ import annotations

from contextlib import ExitStack

from pyoci.api.anywhere import see
from pyoci.api.services import Options, Services, opened
from pyoci.digest import Digest, digest_hex
from pyoci.image.image import Layer
from pyoci.inspection.history import HistoryRow, LayerBytes, history_rows
from pyoci.layer.indexed import IndexedLayer
from pyoci.platforms import Platform
from pyoci.values import dataclass

__all__ = ["ImageHistory", "history"]


@dataclass(frozen=True, slots=True)
class ImageHistory:
    """The history of one image."""

    name: str
    image_id: Digest
    digest: Digest
    """Of the manifest."""
    platform: Platform
    rows: tuple[HistoryRow, ...]
    """Newest first."""


def history(name: str, *, platform: str = "", options: Options | None = None) -> ImageHistory:
    """How an image came to be, instruction by instruction; `name` is written as `pyoci.api.anywhere` says.

    Sizes are of the files in a layer, as docker counts. No layer is downloaded to count: of one that is neither in the
    store nor was read before, the size is that of its blob, and says so.

    Raises:
        UsageError: the name or platform is none.
        ContentNotFound, RegistryError, ContentError, LayerError: there is no such image, or it cannot be read.
    """
    with opened(options) as services, ExitStack() as stack:
        image = see(name, platform, services, stack).image
        rows = history_rows(image, lambda layer: _size(layer, services))
        return ImageHistory(name, image.image_id, image.digest, image.platform, tuple(rows))


def _size(layer: Layer, services: Services) -> LayerBytes:
    is_read = (services.store.root / "indexes" / digest_hex(layer.diff_id)).exists()
    blob = layer.descriptor
    if not is_read and not services.store.has(blob) and not services.origins.has_here(blob):
        return LayerBytes(blob.size, is_compressed=True)
    changes = services.trees.changes(layer)
    assert isinstance(changes, IndexedLayer)
    return LayerBytes(changes.index.content_size)
