"""Removing what nothing needs: mark from the named images and the cache's records, sweep the rest.

`prune` must be alone in the store (`Store.alone`): what a running build has written but not yet named would be swept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pyoci.content.successors import is_document, successors
from pyoci.digest import Digest, digest_hex, parse_digest
from pyoci.errors import ContentError, PyociError
from pyoci.image import decode_config, media_types
from pyoci.image.codec import decode_descriptor
from pyoci.image.descriptor import Descriptor
from pyoci.store.kept import KeptManifests
from pyoci.store.store import Store
from pyoci.values import dataclass, field

__all__ = ["Pruned", "prune", "remove_graph"]


@dataclass(slots=True)
class _Marked:
    """What is needed."""

    blobs: set[Digest] = field(default_factory=set)
    diff_ids: set[str] = field(default_factory=set)
    """Hex of the diff IDs of needed layers: their indexes and unpacked directories stay."""
    snapshots: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed."""

    names: tuple[str, ...]
    """Paths below the store."""
    bytes: int


def _mark(root: Descriptor, store: Store, marked: _Marked) -> None:
    """Adds everything below a root that the store has."""
    if root.digest in marked.blobs:
        return
    marked.blobs.add(root.digest)
    with suppress(ContentError):
        if is_document(root):
            for child in successors(store.read(root), root.media_type):
                _mark(child, store, marked)
        elif media_types.is_config(root.media_type):
            config = decode_config(store.read(root)).value
            marked.diff_ids.update(digest_hex(diff_id) for diff_id in config.diff_ids)


def _mark_records(store: Store, marked: _Marked) -> None:
    for path in (store.root / "records").iterdir():
        with suppress(ValueError, KeyError, TypeError, OSError, PyociError):
            value = json.loads(path.read_bytes())
            if "snapshot" in value:
                marked.snapshots.add(str(value["snapshot"]))
            elif "layer" in value:
                marked.blobs.add(decode_descriptor(value["layer"], "record").digest)
                marked.diff_ids.add(digest_hex(parse_digest(value["diff_id"])))


def _mark_downloads(store: Store, marked: _Marked) -> None:
    """What URLs gave, as long as it is remembered."""
    for path in (store.root / "fetched").glob("http-*"):
        with suppress(ValueError, KeyError, TypeError, OSError, PyociError):
            marked.blobs.add(parse_digest(json.loads(path.read_bytes())["digest"]))


def _tagged(store: Store) -> _Marked:
    marked = _Marked()
    for _, root in store.tags.all():
        _mark(root, store, marked)
    for root in KeptManifests(store).all():
        _mark(root, store, marked)
    return marked


def remove_graph(root: Descriptor, store: Store) -> list[Digest]:
    """Removes what only an unnamed image needed; returns the digests, the root's first.

    What the build cache refers to stays: `prune` is for that.
    """
    with store.removal_lock():
        keep = _tagged(store)
        _mark_records(store, keep)
        gone = _Marked()
        _mark(root, store, gone)
        removed = []
        for digest in sorted(gone.blobs - keep.blobs, key=lambda d: d != root.digest):
            with suppress(FileNotFoundError):
                store.blob_path(digest).unlink()
                removed.append(digest)
    return removed


def _unneeded(store: Store, marked: _Marked) -> Iterator[Path]:
    root = store.root
    for algorithm in ("sha256", "sha512"):
        for path in (root / "blobs" / algorithm).iterdir():
            if f"{algorithm}:{path.name}" not in marked.blobs:
                yield path
    for path in (root / "indexes").iterdir():
        if not path.name.startswith("context-") and path.name not in marked.diff_ids:
            yield path
    for path in (root / "origins").iterdir():
        if f"sha256:{path.name}" not in marked.blobs:
            yield path
    for path in (root / "snapshots").iterdir():
        if path.name not in marked.snapshots:
            yield path
    for mode in (root / "unpacked").iterdir():
        for path in mode.iterdir():
            if path.name not in marked.diff_ids:
                yield path
    yield from (root / "tmp").iterdir()


def prune(store: Store, remove_trees: Callable[[Sequence[Path]], None], *, everything: bool) -> Pruned:
    """Sweeps the store; with `everything`, the build cache and cache mounts go too. The caller is alone in the store.

    `remove_trees` removes directories whatever owners and modes their files have.

    Raises:
        ContentError, SandboxError: something cannot be removed.
    """
    marked = _tagged(store)
    names: list[str] = []
    doomed: list[Path] = []
    if everything:
        for folder in ("records", "mounts", "fetched", "git/checkouts", "git/repositories"):
            with suppress(FileNotFoundError):
                doomed.extend((store.root / folder).iterdir())
        doomed.extend(p for p in (store.root / "indexes").iterdir() if p.name.startswith("context-"))
    else:
        _mark_records(store, marked)
        _mark_downloads(store, marked)
    doomed.extend(_unneeded(store, marked))
    trees = [path for path in doomed if path.is_dir() and not path.is_symlink()]
    size = sum(_tree_size(tree) for tree in trees)
    if trees:
        remove_trees(trees)
    for path in doomed:
        with suppress(FileNotFoundError, IsADirectoryError):
            size += path.stat().st_size
            path.unlink()
        names.append(str(path.relative_to(store.root)))
    return Pruned(tuple(names), size)


def _tree_size(directory: Path) -> int:
    """Bytes of the files below, as far as this user may look."""
    size = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            with suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 (os.walk gives strings)
    return size
