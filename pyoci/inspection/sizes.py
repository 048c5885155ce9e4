"""Where the bytes of an image are: by layer, by directory, by file, and those that nobody sees any more.

Every byte of a file in a layer is either in sight in the merged tree or hidden by a later layer that replaces or
removes the file, so the layers' bytes are the image's bytes and the wasted ones together. A file with several names
counts once, under the first of them in order. Holes of sparse files count, as they do for docker.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Literal

from pyoci.digest import DiffID, Digest
from pyoci.image import Image
from pyoci.inspection.history import LayerBytes, history_rows
from pyoci.layer.entry import Entry
from pyoci.layer.index import REMOVED, LayerIndex
from pyoci.layer.indexed import IndexedLayer
from pyoci.layer.tree import Tree
from pyoci.values import dataclass

__all__ = ["FileSize", "ImageSize", "LayerSize", "WastedFile", "measure"]


@dataclass(frozen=True, slots=True)
class FileSize:
    """One file that is in sight."""

    path: str
    """Absolute."""
    size: int
    """Bytes of content."""
    layer: int
    """Which layer has it, counted from 0."""


@dataclass(frozen=True, slots=True)
class WastedFile:
    """One file of a layer that a later layer hides."""

    path: str
    """Absolute."""
    size: int
    layer: int
    """Which layer has it."""
    hidden_by: int
    """Which later layer hides it."""
    how: Literal["rewritten", "removed"]


@dataclass(frozen=True, slots=True)
class LayerSize:
    """One layer, lowest first in a list of them."""

    number: int
    digest: Digest
    """Of the blob."""
    diff_id: DiffID
    created_by: str
    compressed_size: int
    """Bytes of the blob: what is pushed and pulled."""
    size: int
    """Bytes of its files."""
    files: int
    wasted_size: int
    """Bytes of its files that later layers hide."""


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Where the bytes of an image are."""

    name: str
    digest: Digest
    """Of the manifest."""
    layers: tuple[LayerSize, ...]
    files: tuple[FileSize, ...]
    """In sight, with at least one byte, in the order of a walk."""
    wasted: tuple[WastedFile, ...]
    """The largest first."""

    @property
    def compressed_size(self) -> int:
        """Bytes of the layers' blobs."""
        return sum(layer.compressed_size for layer in self.layers)

    @property
    def size(self) -> int:
        """Bytes of the files of all layers: what docker calls the image's size."""
        return sum(layer.size for layer in self.layers)

    @property
    def visible_size(self) -> int:
        """Bytes of the files that a container sees."""
        return sum(file.size for file in self.files)

    @property
    def wasted_size(self) -> int:
        """Bytes of the files that nothing sees."""
        return sum(file.size for file in self.wasted)

    @property
    def efficiency(self) -> float:
        """The part of the bytes that a container sees: 1.0 where nothing is wasted."""
        return self.visible_size / self.size if self.size else 1.0

    def directories(self) -> dict[str, int]:
        """Bytes below each directory that has any, by absolute path, in the order of a walk."""
        sizes: dict[str, int] = {"/": 0}
        for file in self.files:
            sizes["/"] += file.size
            at = file.path.find("/", 1)
            while at > 0:
                directory = file.path[:at]
                sizes[directory] = sizes.get(directory, 0) + file.size
                at = file.path.find("/", at + 1)
        return sizes


def measure(name: str, image: Image, tree: Tree) -> ImageSize:
    """Where the bytes of an image are. Cost: one walk of the tree; no blob is read.

    `tree` is of the image's layers, which are IndexedLayers.
    """
    indexes = [_index(tree, number) for number in range(len(image.layers))]
    files: list[FileSize] = []
    seen: set[Hashable] = set()
    for entry in tree.walk():
        if entry.type == "file" and entry.size:
            held = _held(tree, entry)
            if held not in seen:
                seen.add(held)
                files.append(FileSize(f"/{entry.path}", entry.size, tree.layer_of(entry)))
    wasted = sorted(_wasted(indexes, seen), key=lambda file: (-file.size, file.path, file.layer))
    by = {row.layer: row.created_by for row in history_rows(image, lambda _: LayerBytes(0)) if row.layer >= 0}
    layers = []
    for number, (layer, index) in enumerate(zip(image.layers, indexes, strict=True)):
        layers.append(
            LayerSize(
                number,
                layer.descriptor.digest,
                layer.diff_id,
                by.get(number, ""),
                layer.descriptor.size,
                index.content_size,
                index.codes.count("f"),
                sum(file.size for file in wasted if file.layer == number),
            )
        )
    return ImageSize(name, image.digest, tuple(layers), tuple(files), tuple(wasted))


def _index(tree: Tree, number: int) -> LayerIndex:
    changes = tree.layers[number]
    assert isinstance(changes, IndexedLayer), "an image's layers are read by their indexes"
    return changes.index


def _held(tree: Tree, entry: Entry) -> Hashable:
    """Layer and path of what a path shows: the same for all names of one file."""
    inode = tree.inode(entry)
    return (tree.layer_of(entry), str(entry.path)) if inode is None else inode


def _wasted(indexes: Sequence[LayerIndex], seen: set[Hashable]) -> Iterator[WastedFile]:
    """Files of the layers of which no name is in sight."""
    layers = [_Hiding(index) for index in indexes]
    for number, index in enumerate(indexes):
        names = _other_names(index)
        for position, code in enumerate(index.codes):
            path, size = index.paths[position], index.sizes[position]
            if code != "f" or not size or (number, path) in seen:
                continue
            hidden_by, last = max(
                (next(above for above in range(number + 1, len(layers)) if layers[above].hides(name)), name)
                for name in (path, *names.get(path, ()))
            )
            is_rewritten = layers[hidden_by].replaces(last)
            yield WastedFile(f"/{path}", size, number, hidden_by, "rewritten" if is_rewritten else "removed")


def _other_names(index: LayerIndex) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for position, target in index.links.items():
        if index.codes[position] == "h":
            names.setdefault(target, []).append(index.paths[position])
    return names


class _Hiding:
    """What one layer hides of those below it."""

    def __init__(self, index: LayerIndex) -> None:
        self._index = index
        self._directories: set[str] | None = None

    def hides(self, path: str) -> bool:
        """Whether the layer replaces or removes a file, or something that it lies in."""
        index = self._index
        if path in index.positions or path in self._implied():
            return True
        while path:
            path = path.rpartition("/")[0]
            position = index.positions.get(path)
            if path in index.opaque or (position is not None and index.codes[position] != "d"):
                return True
        return False

    def replaces(self, path: str) -> bool:
        """Whether the layer has something else than a directory at a path."""
        position = self._index.positions.get(path)
        return position is not None and self._index.codes[position] not in (REMOVED, "d")

    def _implied(self) -> set[str]:
        """Directories that are there because the layer has something in them, or marks them."""
        if self._directories is None:
            found = set(self._index.opaque)
            for path in self._index.paths:
                parent = path.rpartition("/")[0]
                while parent and parent not in found:
                    found.add(parent)
                    parent = parent.rpartition("/")[0]
            self._directories = found
        return self._directories
