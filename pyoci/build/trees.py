"""Trees of file systems: the merged metadata of a stack, read from indexes and never from an unpacked directory.

A layer's index is made once per store, when the layer's tree is first needed; only then is a base layer downloaded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from pyoci.build.filesystem import Filesystem
from pyoci.digest import digest_hex
from pyoci.errors import DigestMismatch, PyociError
from pyoci.image import media_types
from pyoci.image.image import Layer
from pyoci.layer.entry import Change, Entry, LayerPath
from pyoci.layer.index import LayerIndex, dump_index, index_layer, load_index
from pyoci.layer.indexed import IndexedLayer
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.layer.protocols import ChangeSet
from pyoci.layer.tree import Tree
from pyoci.snapshot.protocols import SnapshotID, Snapshotter, Stacked
from pyoci.store import Store

if TYPE_CHECKING:
    from pyoci.content.arrival import ArrivingContent

__all__ = ["SnapshotChanges", "Trees", "layer_size"]

_JOBS = 3
"""Layers that are downloaded and indexed at once."""


class SnapshotChanges:
    """The kept changes of a RUN as a ChangeSet: bytes come from the upper directory."""

    def __init__(self, snapshotter: Snapshotter, snapshot: SnapshotID) -> None:
        self._snapshotter = snapshotter
        self._snapshot = snapshot
        self._changes = snapshotter.changes(snapshot)

    @property
    def changes(self) -> Sequence[Change]:
        return self._changes

    def open(self, entry: Entry) -> BinaryIO | int:
        return self._snapshotter.open(self._snapshot, entry)


class Trees:
    """Makes and remembers trees for one process. May be used from several threads at once."""

    def __init__(
        self,
        store: Store,
        content: ArrivingContent,
        snapshotter: Snapshotter,
        limits: Callable[[], Limits] = lambda: DEFAULT_LIMITS,
    ) -> None:
        """`limits` is asked when a layer is read, for what it may unpack to."""
        self._limits = limits
        self._store = store
        self._content = content
        self._snapshotter = snapshotter
        self._lock = threading.Lock()
        self._trees: dict[tuple[Stacked, ...], Tree] = {}
        self._making: dict[tuple[Stacked, ...], threading.Lock] = {}
        self._reading: dict[str, threading.Lock] = {}
        """Held by who reads a layer for its index."""
        self._indexed: set[str] = set()
        """Layers whose indexes were found good."""

    def of(self, filesystem: Filesystem) -> Tree:
        """The merged tree of a file system.

        Raises:
            ContentError, LayerError, RegistryError: a layer cannot be had, or is not what its digests say.
        """
        return self.of_stack(filesystem.stack)

    def of_stack(self, stack: tuple[Stacked, ...]) -> Tree:
        """The merged tree of a stack, lowest first. Of several who ask for the same at once, one makes it."""
        known = self._trees.get(stack)
        if known is None:
            with self._lock:
                making = self._making.setdefault(stack, threading.Lock())
            with making:
                known = self._trees.get(stack)
                if known is None:
                    self._read_side_by_side(stack)
                    below = self.of_stack(stack[:-1]) if stack else Tree()
                    known = below.with_changes(self.changes(stack[-1])) if stack else below
                    self._trees[stack] = known
        return known

    def _read_side_by_side(self, stack: Sequence[Stacked]) -> None:
        """Makes the indexes that the store lacks, where there are several: that begins with a download, most often."""
        layers = {element.diff_id: element for element in stack if isinstance(element, Layer)}
        folder = self._store.root / "indexes"
        absent = [layer for diff_id, layer in layers.items() if not (folder / digest_hex(diff_id)).exists()]
        if len(absent) > 1:
            from pyoci.content.workers import Stop, run_all

            run_all([partial(self._index, layer) for layer in absent], jobs=_JOBS, name="index", stop=Stop())

    def changes(self, element: Stacked) -> ChangeSet:
        """What one element of a stack adds."""
        if isinstance(element, Layer):
            return IndexedLayer(
                self._index(element),
                element,
                self._content.open,
                limits=self._limits,
                open_unpacked=self._snapshotter.open_unpacked,
            )
        return SnapshotChanges(self._snapshotter, element)

    def implied(self, stack: Sequence[Stacked]) -> Mapping[LayerPath, Entry]:
        """Directories that the uppermost layer of a stack uses without describing them, as the layers below have
        them.
        """
        layer = stack[-1]
        if len(stack) == 1 or not isinstance(layer, Layer):
            return {}
        index = self._index(layer)
        described = {path for path, code in zip(index.paths, index.codes, strict=True) if code == "d"}
        missing: set[LayerPath] = set()
        for path in (*index.paths, *(f"{directory}/" for directory in index.opaque)):
            parent = path
            while parent:
                parent = parent.rpartition("/")[0]
                if parent in described or parent in missing:
                    break
                missing.add(LayerPath(parent))
        below = self.of_stack(tuple(stack[:-1]))
        found = {path: below.lookup_nofollow(path) for path in missing}
        return {path: entry for path, entry in found.items() if entry is not None and entry.type == "dir"}

    def root(self, stack: Sequence[Stacked]) -> Entry:
        """The root directory of a stack."""
        entry = self.of_stack(tuple(stack)).lookup_nofollow("")
        assert entry is not None
        return entry

    def has_index(self, layer: Layer) -> bool:
        """Whether what is in a layer is known without reading it."""
        return layer.diff_id in self._indexed or self._known(layer) is not None

    @contextmanager
    def indexing(self, layer: Layer) -> Iterator[Callable[[bytes], None] | None]:
        """Keeps others from reading a layer for its index; gives what takes the index, or None where it is there."""
        name = digest_hex(layer.diff_id)
        with self._lock:
            lock = self._reading.setdefault(name, threading.Lock())
        with lock:
            if self.has_index(layer):
                yield None
            else:
                yield lambda data: self._store.write_file("indexes", name, data)

    def _known(self, layer: Layer) -> LayerIndex | None:
        raw = self._store.read_file("indexes", digest_hex(layer.diff_id))
        if raw is not None:
            with suppress(PyociError):  # damaged or of an older version: made again
                index = load_index(raw)
                self._indexed.add(layer.diff_id)
                return index
        return None

    def _index(self, layer: Layer) -> LayerIndex:
        known = self._known(layer)
        if known is not None:
            return known
        with self.indexing(layer) as keep:
            if keep is not None:
                index = self._read(layer)
                keep(dump_index(index))
                return index
        return self._index(layer)

    def _read(self, layer: Layer) -> LayerIndex:
        """The index of a layer, which may still be arriving."""
        compression = media_types.layer_compression(layer.descriptor.media_type)
        try:
            with self._content.follow(layer.descriptor) as arrival, arrival.stream() as stream:
                try:
                    index = index_layer(stream, compression, diff_id=layer.diff_id, limits=self._limits())
                except PyociError:
                    arrival.wait()  # if the bytes were wrong, that is what to say, whatever they were taken for
                    raise
                arrival.wait()
                return index
        except DigestMismatch as error:
            if not error.elsewhere:
                raise
        return self._read(layer)


def layer_size(layer: Layer, store: Store) -> int:
    """Bytes of a layer's files where its index is there, else of its blob."""
    raw = store.read_file("indexes", digest_hex(layer.diff_id))
    if raw is not None:
        with suppress(PyociError):
            return load_index(raw).content_size
    return layer.descriptor.size
