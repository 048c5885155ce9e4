"""Cache records as other machines read them: what a step added, by keys that mean the same everywhere.

Two carriers. A cache of its own is an image manifest whose config is a list of records and whose layers are what the
steps added (the shape that BuildKit's `image-manifest=true` has, so that registries and their garbage collectors treat
it alike; the keys are pyoci's own and say nothing to BuildKit). An inline cache is a member of an image's config and
names the image's own layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyoci.digest import DiffID, Digest, parse_digest
from pyoci.errors import InvalidDocument
from pyoci.image import Document, Layer, Manifest, encode_manifest, media_types
from pyoci.image.codec import canonical_json
from pyoci.image.document import make_document
from pyoci.image.json_node import JsonNode, read_object
from pyoci.values import dataclass

__all__ = ["INLINE", "CacheRecord", "decode_cache", "decode_inline", "encode_cache", "encode_inline"]

INLINE = "pyoci.cache.v1"
"""The member of an image's config."""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """What one step added."""

    keys: tuple[Digest, ...]
    """By each of which it is found."""
    layer: Layer
    epoch: int | None = None
    """The latest time in the layer, where the keys do not say it: a RUN's."""


def encode_cache(records: Sequence[CacheRecord]) -> tuple[Document[Manifest], Document[Any]]:
    """The manifest of a cache of its own, and its config. Equal records give equal bytes, in whatever order."""
    layers = sorted({record.layer for record in records}, key=lambda layer: (layer.descriptor.digest, layer.diff_id))
    value = {
        "version": _VERSION,
        "diff_ids": [layer.diff_id for layer in layers],
        "records": _encoded(records, layers),
    }
    config: Document[Any] = make_document(canonical_json(value), value, media_types.CACHE_CONFIG)
    return encode_manifest(Manifest(config.descriptor(), tuple(layer.descriptor for layer in layers))), config


def encode_inline(records: Sequence[CacheRecord], layers: Sequence[Layer]) -> dict[str, Any]:
    """The member of the config of an image with these layers; records of other layers are left out."""
    return {"version": _VERSION, "records": _encoded([one for one in records if one.layer in layers], layers)}


def _encoded(records: Iterable[CacheRecord], layers: Sequence[Layer]) -> list[dict[str, Any]]:
    found = []
    for record in records:
        members: dict[str, Any] = {"keys": sorted(record.keys), "layer": layers.index(record.layer)}
        if record.epoch is not None:
            members["epoch"] = record.epoch
        found.append(members)
    return sorted(found, key=lambda members: str(members["keys"]))


def decode_cache(raw: bytes, manifest: Manifest) -> list[CacheRecord]:
    """The records in the config of a cache of its own.

    Raises:
        InvalidDocument: it breaks its format, or was written by a later version.
    """
    root = read_object(raw, "cache")
    _check_version(root)
    diff_ids = [_digest(node) for node in root.required("diff_ids").items()]
    if len(diff_ids) != len(manifest.layers):
        root.fail(f"has {len(diff_ids)} diff_ids, its manifest has {len(manifest.layers)} layers")
    layers = [Layer(blob, DiffID(diff_id)) for blob, diff_id in zip(manifest.layers, diff_ids, strict=True)]
    return _decoded(root, layers)


def decode_inline(config: Mapping[str, Any], layers: Sequence[Layer]) -> list[CacheRecord]:
    """The records in an image's config, given what of it is in no specification; none if there are none.

    Raises:
        InvalidDocument: they break their format, or were written by a later version.
    """
    if INLINE not in config:
        return []
    root = JsonNode(config[INLINE], f"config.{INLINE}")
    _check_version(root)
    return _decoded(root, layers)


def _check_version(root: JsonNode) -> None:
    version = root.required("version").integer()
    if version != _VERSION:
        raise InvalidDocument(f"{root.path} is of version {version}", hint=f"this pyoci knows version {_VERSION}")


def _decoded(root: JsonNode, layers: Sequence[Layer]) -> list[CacheRecord]:
    found = []
    for node in root.required("records").items():
        place = node.required("layer")
        number = place.integer(0)
        if number >= len(layers):
            place.fail(f"there are only {len(layers)} layers")
        layer = layers[number]
        if not media_types.is_layer(layer.descriptor.media_type):
            place.fail(f'"{layer.descriptor.media_type}" is not the media type of a file system layer')
        keys = tuple(_digest(key) for key in node.required("keys").items())
        found.append(CacheRecord(keys, layer, node.optional("epoch", JsonNode.integer, None)))
    return found


def _digest(node: JsonNode) -> Digest:
    try:
        return parse_digest(node.string())
    except InvalidDocument as error:
        raise InvalidDocument(f"{node.path}: {error.message}", hint=error.hint) from error
