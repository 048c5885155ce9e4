"""Layers into the store: of what COPY placed at once, of what RUN kept only when somebody needs the bytes (DESIGN
D13).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyoci.build.trees import SnapshotChanges
from pyoci.digest import DiffID, digest_hex, parse_digest
from pyoci.errors import PyociError
from pyoci.image.codec import canonical_json, decode_descriptor, encode_descriptor
from pyoci.image.image import Layer
from pyoci.image.media_types import Compression
from pyoci.layer.entry import Change
from pyoci.layer.index import dump_index
from pyoci.layer.protocols import OpenContent
from pyoci.layer.writer import write_layer
from pyoci.snapshot.protocols import SnapshotID, Snapshotter
from pyoci.store import Store

__all__ = ["decode_layer", "encode_layer", "layer_of_snapshot", "write_changes"]


def write_changes(
    changes: Sequence[Change],
    open_content: OpenContent,
    store: Store,
    *,
    epoch: int,
    compression: Compression = "gzip",
    indexed: bool = False,
) -> Layer:
    """Writes a layer straight into the store; hashed on both sides of the compressor in one pass.

    `indexed` writes its index as well, for a layer whose files will be looked at.

    Raises:
        LayerError, ContentError: nothing is left behind.
    """
    with store.new_blob() as blob:
        written = write_layer(
            changes, open_content, blob.stream, compression=compression, mtime_limit=epoch, indexed=indexed
        )
        blob.commit(written.descriptor)
    if written.index is not None:
        store.write_file("indexes", digest_hex(written.diff_id), dump_index(written.index))
    return written.layer


def layer_of_snapshot(snapshot: SnapshotID, store: Store, snapshotter: Snapshotter, *, epoch: int) -> Layer:
    """The layer of a kept RUN, made now or found from an earlier time.

    Raises:
        ContentNotFound: the snapshot is gone.
        LayerError, ContentError: it cannot be written.
    """
    name = f"{snapshot}-{epoch}"
    raw = store.read_file("records", name)
    if raw is not None:
        layer = decode_layer(raw)
        if layer is not None and store.has(layer.descriptor):
            return layer
    changes = SnapshotChanges(snapshotter, snapshot)
    layer = write_changes(changes.changes, changes.open, store, epoch=epoch)
    store.write_file("records", name, encode_layer(layer))
    return layer


def encode_layer(layer: Layer) -> bytes:
    """A layer as a record in the store."""
    return canonical_json({"layer": encode_descriptor(layer.descriptor), "diff_id": layer.diff_id})


def decode_layer(raw: bytes) -> Layer | None:
    """The layer of such a record; None if it is damaged."""
    try:
        value = json.loads(raw)
        return Layer(decode_descriptor(value["layer"], "record"), DiffID(parse_digest(value["diff_id"])))
    except (ValueError, KeyError, TypeError, PyociError):
        return None
