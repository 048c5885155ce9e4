"""Layers to directories that overlayfs or a plain copy can use: verified while they are unpacked, and there whole or
not at all.

Runs in the worker, inside its namespaces. Imports no store and no image document: what it needs comes as descriptors
and values.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast

from pyoci.digest import DiffID
from pyoci.errors import DigestMismatch, LayerError
from pyoci.image.media_types import Compression
from pyoci.layer.apply import Applied, ApplyPolicy, apply_layer
from pyoci.layer.attributes import Skipped
from pyoci.layer.compression import open_decompressed
from pyoci.layer.directories import remove_tree
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.layer.readahead import HashedReadAhead
from pyoci.values import asdict, dataclass

__all__ = ["LayerBlob", "Unpacked", "load_unpacked", "remove_directory", "unpack_layers"]

_FILES = "files"
_RECORD = "unpacked.json"


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """A layer's stored bytes as an open file, read from the beginning whatever its position is."""

    descriptor: int
    compression: Compression
    diff_id: DiffID


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A directory that holds one or several layers."""

    files: Path
    """The root: a lower directory, or the copy that a RUN changes."""
    applied: Applied


def unpack_layers(
    blobs: Sequence[LayerBlob], target: Path, policy: ApplyPolicy, *, limits: Limits = DEFAULT_LIMITS
) -> Unpacked:
    """Unpacks layers, lowest first, one over the other into `target`, and remembers beside them what the disk could not
    hold.

    With overlay whiteouts it is to be one layer. Idempotent: what is there already, or comes to be there meanwhile,
    stays. The layers are in a temporary neighbour until every diff ID has been found right.

    Raises:
        LayerError: a layer is unsafe, malformed or too large, or the disk refuses something.
        DigestMismatch: a layer is not what its diff ID says.
    """
    if target.is_dir():
        return load_unpacked(target)
    temporary = target.with_name(f"{target.name}.partial-{secrets.token_hex(6)}")
    try:
        files = temporary / _FILES
        temporary.mkdir(mode=0o700)  # what is inside may be setuid and is nobody else's business
        files.mkdir()
        applied = _apply_all(blobs, files, policy, limits)
        (temporary / _RECORD).write_text(json.dumps(asdict(applied)), encoding="utf-8")
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except OSError as error:
        raise LayerError(f"cannot unpack to {target}: {(error.strerror or str(error)).lower()}") from error
    finally:
        remove_directory(temporary)
    return load_unpacked(target)


def _apply_all(blobs: Sequence[LayerBlob], files: Path, policy: ApplyPolicy, limits: Limits) -> Applied:
    root = os.open(files, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        entries, skipped, opaque_root = 0, list[Skipped](), False
        owners: dict[str, tuple[int, int]] = {}
        for blob in blobs:
            applied = _apply(blob, root, policy, limits, owners)
            entries += applied.entries
            owners = dict(applied.owners)
            skipped += applied.skipped
            opaque_root = applied.opaque_root
        return Applied(entries, owners, tuple(skipped), opaque_root)
    finally:
        os.close(root)


def _apply(
    blob: LayerBlob, root: int, policy: ApplyPolicy, limits: Limits, owners: dict[str, tuple[int, int]]
) -> Applied:
    with closing(cast("BinaryIO", _Positioned(blob.descriptor))) as stored:
        plain = open_decompressed(stored, blob.compression, limits=limits)
        with HashedReadAhead(plain) as stream:
            applied = apply_layer(cast("BinaryIO", stream), root, policy=policy, owners=owners, limits=limits)
            while stream.read():
                pass
            found = stream.diff_id()
    if found != blob.diff_id:
        raise DigestMismatch(f"the layer unpacks to {found} instead of {blob.diff_id}")
    return applied


def load_unpacked(target: Path) -> Unpacked:
    """What `unpack_layers` left in a directory.

    Raises:
        LayerError: it is none of its directories.
    """
    try:
        record = json.loads((target / _RECORD).read_text(encoding="utf-8"))
        owners = {path: (uid, gid) for path, (uid, gid) in record["owners"].items()}
        skipped = tuple(Skipped(**item) for item in record["skipped"])
        applied = Applied(record["entries"], owners, skipped, record["opaque_root"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LayerError(f"{target} holds no unpacked layer", hint="remove the directory") from error
    return Unpacked(target / _FILES, applied)


def remove_directory(path: Path) -> None:
    """Removes a directory with all below it, whatever modes it has; nothing there is fine.

    Raises:
        LayerError: something in it may not be removed.
    """
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_tree(path.name, parent)
    except OSError as error:
        raise LayerError(f"cannot remove {path}: {(error.strerror or str(error)).lower()}") from error
    finally:
        os.close(parent)


class _Positioned(io.RawIOBase):
    """A file read by position, since whoever sent the descriptor shares its own."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._position = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        parts = []
        while data := self.read(1 << 20):
            parts.append(data)
        return b"".join(parts)
