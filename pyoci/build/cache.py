"""The build cache: what a step gave, by its keys. A hit counts only if what it names is still there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

from pyoci.build.layers import decode_layer, encode_layer
from pyoci.digest import Digest, digest_hex
from pyoci.image.codec import canonical_json
from pyoci.image.image import Layer
from pyoci.snapshot.protocols import SnapshotID
from pyoci.store import Store

__all__ = ["Cache", "ImportedCache", "Own", "StoreCache"]

Own = Layer | SnapshotID
"""What a step added: a layer, or a kept upper directory."""


class Cache(Protocol):
    """Seam between the solver and where records are kept."""

    def get(self, key: Digest) -> Own | None:
        """What the step with this key added, if it is known and still there."""

    def put(self, key: Digest, own: Own) -> None:
        """Remembers what a step added."""


class StoreCache:
    """Records in the store, one small file per key."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: Digest) -> Own | None:
        raw = self._store.read_file("records", digest_hex(key))
        if raw is None:
            return None
        layer = decode_layer(raw)
        if layer is not None:
            return layer if self._store.has(layer.descriptor) else None
        try:
            snapshot = str(json.loads(raw)["snapshot"])
        except (ValueError, KeyError, TypeError):
            return None
        return snapshot if (self._store.root / "snapshots" / snapshot / "changes").exists() else None

    def put(self, key: Digest, own: Own) -> None:
        raw = encode_layer(own) if isinstance(own, Layer) else canonical_json({"snapshot": own})
        self._store.write_file("records", digest_hex(key), raw)


class ImportedCache:
    """Records from elsewhere before those of the store, so that machines that share them agree on what comes after.

    Nothing imported is remembered in the store: it is trusted as long as the user names where it is from.
    """

    def __init__(self, own: Cache, imported: Mapping[Digest, Layer]) -> None:
        self._own = own
        self._imported = imported
        self._layers = {id(layer) for layer in imported.values()}

    def get(self, key: Digest) -> Own | None:
        return self._imported.get(key) or self._own.get(key)

    def put(self, key: Digest, own: Own) -> None:
        if id(own) not in self._layers:
            self._own.put(key, own)
