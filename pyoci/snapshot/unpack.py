"""Layers to directories that overlayfs or a plain copy can use: verified while they are unpacked, and there whole or
not at all.

Runs in the worker, inside its namespaces. Imports no store and no image document: what it needs comes as descriptors
and values. A layer is decompressed once: what an index says of it is noted while it is unpacked, and a blob that is
still arriving is read as it comes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Literal, cast

from pyoci.content.growing import GrowingReader
from pyoci.digest import DiffID
from pyoci.errors import DigestMismatch, LayerError
from pyoci.image.media_types import Compression
from pyoci.layer.apply import Applied, ApplyPolicy, apply_layer
from pyoci.layer.attributes import Attributes, Skipped
from pyoci.layer.changes import ChangeBuilder
from pyoci.layer.compression import open_decompressed
from pyoci.layer.directories import Directories, remove_tree
from pyoci.layer.entry import Entry
from pyoci.layer.index import IndexPayload, dump_index, in_columns
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.layer.paths import tree_key
from pyoci.layer.readahead import HashedReadAhead
from pyoci.values import asdict, dataclass, field, replace

__all__ = ["LayerBlob", "Unpacked", "describe", "load_unpacked", "remove_directory", "unpack_layers"]

_FILES = "files"
_RECORD = "unpacked.json"


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """A layer's stored bytes as an open file, read from the beginning whatever its position is."""

    descriptor: int
    compression: Compression
    diff_id: DiffID
    size: int | None = None
    """Bytes that the file has, or comes to have: whoever moves them ends this process if they do not come. None where
    it is whole, whatever it has."""
    indexed: bool = False
    """An index is to be made of it."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A directory that holds one or several layers."""

    files: Path
    """The root: a lower directory, or the copy that a RUN changes."""
    applied: Applied
    indexes: Mapping[DiffID, bytes] = field(default_factory=dict)
    """What was asked for, as `dump_index` gives it; nothing where the directory was there already."""


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
    temporary = target.with_name(f"{target.name}.partial-{os.urandom(6).hex()}")
    try:
        files = temporary / _FILES
        temporary.mkdir(mode=0o700)  # what is inside may be setuid and is nobody else's business
        files.mkdir()
        indexes: dict[DiffID, bytes] = {}
        applied = _apply_all(blobs, files, policy, limits, indexes)
        _write_record(temporary, applied)
        try:
            temporary.rename(target)
            return Unpacked(target / _FILES, applied, indexes)
        except OSError:
            if not target.is_dir():
                raise
    except OSError as error:
        raise LayerError(f"cannot unpack to {target}: {(error.strerror or str(error)).lower()}") from error
    finally:
        remove_directory(temporary)
    return load_unpacked(target)


def _apply_all(
    blobs: Sequence[LayerBlob], files: Path, policy: ApplyPolicy, limits: Limits, indexes: dict[DiffID, bytes]
) -> Applied:
    root = os.open(files, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(root, 0o755)  # whatever the umask is
        entries, skipped = 0, list[Skipped]()
        applied = Applied(0, {}, (), False)
        for blob in blobs:
            applied = _apply(blob, root, policy, limits, applied.owners, indexes)
            entries += applied.entries
            skipped += applied.skipped
        return replace(applied, entries=entries, skipped=tuple(skipped))
    finally:
        os.close(root)


def _apply(
    blob: LayerBlob,
    root: int,
    policy: ApplyPolicy,
    limits: Limits,
    owners: Mapping[str, tuple[int, int]],
    indexes: dict[DiffID, bytes],
) -> Applied:
    noted: ChangeBuilder[IndexPayload] = ChangeBuilder()
    seen = noted.add if blob.indexed else None
    size = os.fstat(blob.descriptor).st_size if blob.size is None else blob.size
    with closing(cast("BinaryIO", GrowingReader(blob.descriptor, size))) as stored:
        plain = open_decompressed(stored, blob.compression, limits=limits)
        with HashedReadAhead(plain) as stream:
            source = cast("BinaryIO", stream)
            applied = apply_layer(source, root, policy=policy, owners=owners, seen=seen, limits=limits)
            while stream.read():
                pass
            found, plain_size = stream.diff_id(), stream.size
    if found != blob.diff_id:
        raise DigestMismatch(f"the layer unpacks to {found} instead of {blob.diff_id}")
    if blob.indexed:
        noted.drop_link_store()
        indexes[found] = dump_index(in_columns(found, plain_size, noted.finish()))
    return applied


def describe(target: Path, directories: Sequence[Entry], ownership: Literal["chown", "record"]) -> None:
    """Gives directories of an unpacked layer that it does not describe (`Applied.undescribed`) what other layers say of
    them: known only now, when the layer's index is there.

    Raises:
        LayerError: `target` holds no unpacked layer, or the disk refuses it.
    """
    unpacked = load_unpacked(target)
    attributes = Attributes(ownership, always_chown=True)
    attributes.owners.update(unpacked.applied.owners)
    root = os.open(unpacked.files, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with Directories(root) as opened:
            for entry in sorted(directories, key=lambda entry: tree_key(entry.path), reverse=True):
                attributes.set(opened.open(entry.path), entry)
    except OSError as error:
        raise LayerError(f"cannot unpack to {target}: {(error.strerror or str(error)).lower()}") from error
    finally:
        os.close(root)
    if attributes.owners != unpacked.applied.owners:
        _write_record(target, replace(unpacked.applied, owners=attributes.owners))


def _write_record(target: Path, applied: Applied) -> None:
    value = asdict(applied)
    del value["undescribed"]  # until the layers below have been asked, and of no interest afterwards
    (target / _RECORD).write_text(json.dumps(value), encoding="utf-8")


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
