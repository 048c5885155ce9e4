"""Layers and images made in memory for tests, and the check that every image must pass."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pyoci.content import ContentSource, MemoryContent, read_document
from pyoci.digest import DiffID, sha256_digest
from pyoci.image import (
    Descriptor,
    History,
    Image,
    ImageConfig,
    Layer,
    Manifest,
    decode_config,
    decode_manifest,
    encode_config,
    encode_manifest,
)
from pyoci.image.media_types import Compression, layer_compression
from pyoci.image.schema import validate
from pyoci.layer.changes import with_parents
from pyoci.layer.compression import open_decompressed
from pyoci.layer.entry import Change, Entry, EntryType, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.index import index_layer
from pyoci.layer.indexed import IndexedLayer
from pyoci.layer.writer import write_layer
from pyoci.platforms import Platform

__all__ = [
    "BuiltLayer",
    "Item",
    "MemoryChanges",
    "Node",
    "changes_of",
    "check_image",
    "device",
    "directory",
    "fifo",
    "file",
    "hardlink",
    "make_image",
    "make_layer",
    "opaque",
    "open_layers",
    "removed",
    "symlink",
]

AMD64 = Platform("linux", "amd64")


@dataclass(frozen=True, slots=True)
class Node:
    """What a layer is to have at a path."""

    type: EntryType
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    content: bytes = b""
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Marker:
    """That something of the layers below is gone."""

    opaque: bool


Item: TypeAlias = "bytes | Node | Marker"
"""Plain bytes are a file of mode 0644 that belongs to root."""


def file(
    content: bytes = b"",
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 0,
    xattrs: Mapping[str, bytes] | None = None,
) -> Node:
    return Node("file", mode, uid, gid, mtime, content, xattrs=xattrs or {})


def directory(
    *, mode: int = 0o755, uid: int = 0, gid: int = 0, mtime: int = 0, xattrs: Mapping[str, bytes] | None = None
) -> Node:
    return Node("dir", mode, uid, gid, mtime, xattrs=xattrs or {})


def symlink(target: str, *, uid: int = 0, gid: int = 0, mtime: int = 0) -> Node:
    return Node("symlink", 0o777, uid, gid, mtime, link=target)


def hardlink(target: str) -> Node:
    """Another name of a file; what writers of layers say of it is what they say of the file."""
    return Node("hardlink", 0o644, link=target)


def device(kind: EntryType, major: int, minor: int, *, mode: int = 0o600) -> Node:
    return Node(kind, mode, device=(major, minor))


def fifo(*, mode: int = 0o600) -> Node:
    return Node("fifo", mode)


def removed() -> Marker:
    return Marker(opaque=False)


def opaque() -> Marker:
    return Marker(opaque=True)


@dataclass(frozen=True, slots=True)
class MemoryChanges:
    """A ChangeSet of bytes objects."""

    changes: Sequence[Change]
    contents: Mapping[LayerPath, bytes]

    def open(self, entry: Entry) -> io.BytesIO:
        return io.BytesIO(self.contents[entry.path])


def changes_of(items: Mapping[str, Item], *, parents: bool = True) -> MemoryChanges:
    """The changes that a mapping from path to item means; `parents` adds the directories above, as builders do."""
    changes: list[Change] = []
    contents: dict[LayerPath, bytes] = {}
    for name, given in items.items():
        path = LayerPath(name.rstrip("/"))
        if isinstance(given, Marker):
            changes.append(Opaque(path) if given.opaque else Remove(path))
            continue
        node = file(given) if isinstance(given, bytes) else given
        if node.type == "hardlink" and isinstance(target := items.get(node.link), Node):
            node = replace(target, type="hardlink", link=node.link, content=b"", device=(0, 0))
        attributes = Entry(path, node.type, node.mode, node.uid, node.gid, len(node.content), node.mtime, node.link)
        changes.append(Upsert(replace(attributes, device=node.device, xattrs=dict(node.xattrs))))
        contents[path] = node.content
    return MemoryChanges(tuple(with_parents(changes, lambda _: None) if parents else changes), contents)


@dataclass(frozen=True, slots=True)
class BuiltLayer:
    """A layer with its bytes."""

    blob: bytes = field(repr=False)
    descriptor: Descriptor
    diff_id: DiffID

    @property
    def layer(self) -> Layer:
        return Layer(self.descriptor, self.diff_id)

    @property
    def tar(self) -> bytes:
        """The layer uncompressed."""
        compression = layer_compression(self.descriptor.media_type)
        with open_decompressed(io.BytesIO(self.blob), compression) as stream:
            return stream.read()


def make_layer(
    items: Mapping[str, Item], *, compression: Compression = "gzip", parents: bool = True, mtime_limit: int = 1 << 40
) -> BuiltLayer:
    """A layer of `{"etc/passwd": b"root…", "bin/sh": symlink("busybox"), "old": removed()}`."""
    given = changes_of(items, parents=parents)
    out = io.BytesIO()
    written = write_layer(given.changes, given.open, out, compression=compression, mtime_limit=mtime_limit)
    return BuiltLayer(out.getvalue(), written.descriptor, written.diff_id)


def make_image(
    layers: Iterable[BuiltLayer], config: ImageConfig | None = None, *, content: MemoryContent | None = None
) -> tuple[MemoryContent, Image]:
    """An image of these layers and a content that holds all of it; diff IDs and missing history are filled in."""
    stack = tuple(layers)
    content = MemoryContent() if content is None else content
    given = config or ImageConfig(AMD64)
    missing = len(stack) - sum(not entry.empty_layer for entry in given.history)
    history = given.history + tuple(History(created_by=f"layer {number}") for number in range(missing))
    document = encode_config(replace(given, diff_ids=tuple(layer.diff_id for layer in stack), history=history))
    for layer in stack:
        content.put(layer.descriptor, io.BytesIO(layer.blob))
    content.put(document.descriptor(), io.BytesIO(document.raw))
    manifest = encode_manifest(Manifest(document.descriptor(), tuple(layer.descriptor for layer in stack)))
    content.put(manifest.descriptor(), io.BytesIO(manifest.raw))
    return content, Image.of(manifest, document)


def open_layers(image: Image, source: ContentSource) -> list[IndexedLayer]:
    """The image's layers as ChangeSets, lowest first."""
    found = []
    for layer in image.layers:
        with source.open(layer.descriptor) as stream:
            compression = layer_compression(layer.descriptor.media_type)
            index = index_layer(stream, compression, diff_id=layer.diff_id)
        found.append(IndexedLayer(index, layer, source.open))
    return found


def check_image(image: Image, source: ContentSource) -> None:
    """Asserts that what the image promises is true: digests, sizes, media types, diff IDs, the history's length."""
    manifest, config = image.manifest, image.config
    assert manifest.digest == sha256_digest(manifest.raw)
    assert config.digest == sha256_digest(config.raw)
    assert decode_manifest(manifest.raw, media_type=manifest.media_type).value == manifest.value
    assert decode_config(config.raw, media_type=config.media_type).value == config.value
    assert manifest.value.config.digest == config.digest
    assert manifest.value.config.size == len(config.raw)
    assert json.loads(manifest.raw)["schemaVersion"] == 2
    problems = validate(manifest.raw, manifest.media_type) + validate(config.raw, manifest.value.config.media_type)
    # manifest.md says that layers SHOULD have an entry, its schema that they must: an image FROM scratch may have none.
    assert [str(one) for one in problems if manifest.value.layers or one.path != "manifest.layers"] == []
    for document in (manifest.descriptor(), manifest.value.config):
        read_document(source.open(document), document)
    assert len(manifest.value.layers) == len(config.value.diff_ids)
    for layer in image.layers:
        with source.open(layer.descriptor) as stream:
            index_layer(stream, layer_compression(layer.descriptor.media_type), diff_id=layer.diff_id)
    if config.value.history:
        assert sum(not entry.empty_layer for entry in config.value.history) == len(manifest.value.layers)
