"""From a solved plan to an image: layers that exist by now, history, config, manifest; all of it in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyoci.build.cache_records import INLINE
from pyoci.build.filesystem import Filesystem
from pyoci.build.layers import layer_of_snapshot
from pyoci.build.plan import Plan
from pyoci.build.stage_plan import timestamp
from pyoci.image import (
    Descriptor,
    History,
    Image,
    ImageConfig,
    Layer,
    Manifest,
    encode_config,
    encode_manifest,
    media_types,
)
from pyoci.snapshot.protocols import Snapshotter
from pyoci.store import Store
from pyoci.values import replace

__all__ = ["assemble_image"]

_OF_A_CACHE = frozenset({INLINE, "moby.buildkit.cache.v0"})
"""What a base says of the build that made it."""


def assemble_image(
    plan: Plan,
    filesystem: Filesystem,
    store: Store,
    snapshotter: Snapshotter,
    *,
    epoch: int,
    labels: Mapping[str, str],
) -> Image:
    """The image of a plan whose target has this file system. Its documents are in the store; base layers may not be.

    Raises:
        LayerError, ContentError: a layer cannot be written.
    """
    layers = [
        element if isinstance(element, Layer) else layer_of_snapshot(element, store, snapshotter, epoch=epoch)
        for element in filesystem.stack
    ]
    config = replace(plan.config, labels=dict(sorted({**plan.config.labels, **labels}.items())))
    base = plan.base.config.value if plan.base else None
    value = ImageConfig(
        platform=plan.platform,
        config=config,
        diff_ids=tuple(layer.diff_id for layer in layers),
        history=_history(base, plan.history, len(layers)),
        created=timestamp(epoch),
        author=plan.author,
        extra={name: value for name, value in base.extra.items() if name not in _OF_A_CACHE} if base else {},
    )
    config_document = encode_config(value)
    manifest = Manifest(
        config=config_document.descriptor(),
        layers=tuple(_plain(layer.descriptor, media_types.to_oci(layer.descriptor.media_type)) for layer in layers),
    )
    image = Image.of(encode_manifest(manifest), config_document)
    store.put_document(image.config)
    store.put_document(image.manifest)
    return image


def _plain(descriptor: Descriptor, media_type: str) -> Descriptor:
    return Descriptor(media_type, descriptor.digest, descriptor.size, urls=descriptor.urls)


def _history(base: ImageConfig | None, new: Sequence[History], layers: int) -> tuple[History, ...]:
    """The base's history, made to have an entry per layer where its builder wrote none, then what is new.

    Layers that no instruction made (FROM a directory) get an entry too: readers count them (image-spec config.md).
    """
    entries = list(base.history) if base else []
    described = sum(not entry.empty_layer for entry in entries)
    below = len(base.diff_ids) if base else 0
    if described > below:
        entries, described = [], 0
    missing = layers - described - sum(not entry.empty_layer for entry in new)
    created = base.created if base else None
    entries.extend(History(created=created, comment="layer without an instruction") for _ in range(missing))
    return (*entries, *new)
