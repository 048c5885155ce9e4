"""Random stacks of layers as tars, clashes and whiteouts included, and what is to be seen of them."""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from pyoci.image import Descriptor, Layer
from pyoci.image.media_types import LAYER
from pyoci.layer.entry import LayerPath
from pyoci.layer.index import index_layer
from pyoci.layer.indexed import IndexedLayer
from pyoci.layer.tree import Tree
from tests.unit.layer.tars import END, block, padded

__all__ = ["FILE_THEN_BELOW_IT", "STACKS", "TarEntry", "seen_in_tree", "seen_on_disk", "tars_of", "tree_of_tars"]

_NAMES = st.sampled_from(["a", "b", "ab", "a-b"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One entry of a tar, of which hypothesis shows the fields and not the bytes."""

    kind: str
    path: str
    target: str = ""
    content: bytes = b""
    mode: int = 0o755

    @property
    def data(self) -> bytes:
        directory, slash, name = self.path.rpartition("/")
        mode = b"%07o\0" % self.mode
        match self.kind:
            case "file":
                size = b"%011o\0" % len(self.content)
                return padded(block(self.path.encode(), size=size, mode=mode) + self.content)
            case "dir":
                return block(self.path.encode() + b"/", flag=b"5", mode=mode)
            case "symlink":
                return block(self.path.encode(), flag=b"2", link=self.target.encode())
            case "hardlink":
                return block(self.path.encode(), flag=b"1", link=self.target.encode())
            case "removed":
                return block(f"{directory}{slash}.wh.{name}".encode())
            case _:
                return block(f"{self.path}/.wh..wh..opq".encode())


_ENTRIES = st.builds(
    TarEntry,
    st.sampled_from(["file", "file", "file", "dir", "dir", "symlink", "hardlink", "removed", "opaque"]),
    _PATHS,
    _PATHS,
    st.binary(max_size=3),
    st.sampled_from([0o755, 0o700, 0o711]),
)
STACKS: st.SearchStrategy[list[list[TarEntry]]] = st.lists(st.lists(_ENTRIES, max_size=8), min_size=1, max_size=4)
"""The entries of one to four layers, lowest first."""

FILE_THEN_BELOW_IT = [
    [TarEntry("dir", "a", mode=0o700), TarEntry("file", "a/b")],
    [TarEntry("file", "a"), TarEntry("file", "a/c")],
]
"""A directory of a lower layer becomes a file, which becomes a directory because something is in it: a new one."""


def tars_of(stack: list[list[TarEntry]]) -> list[bytes]:
    """The layers as uncompressed tars."""
    return [b"".join(entry.data for entry in layer) + END for layer in stack]


def tree_of_tars(tars: list[bytes]) -> Tree:
    """The merged view of layers, by their indexes."""
    layers = []
    for data in tars:
        index = index_layer(io.BytesIO(data), "none", diff_id=None)
        layer = Layer(Descriptor(LAYER, index.diff_id, len(data)), index.diff_id)
        layers.append(IndexedLayer(index, layer, lambda _, data=data: io.BytesIO(data)))  # type: ignore[misc]
    return Tree(layers)


def seen_in_tree(tree: Tree) -> dict[str, str]:
    """Every path with its type, mode, and content or target."""
    found: dict[str, str] = {}
    for entry in tree.walk():
        what = entry.link if entry.type == "symlink" else ""
        if entry.type == "file":
            what = tree.open(entry).read().hex()
        found[entry.path] = f"{entry.type} {what}" if entry.type == "symlink" else f"{entry.type} {entry.mode:o} {what}"
    return found


def seen_on_disk(root: Path) -> dict[str, str]:
    """The same of a directory."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        name = LayerPath(path.relative_to(root).as_posix())
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # overlayfs lists a whiteout by name where only one layer has the directory
        if stat.S_ISLNK(status.st_mode):
            found[name] = f"symlink {path.readlink()}"
        elif stat.S_ISDIR(status.st_mode):
            found[name] = f"dir {stat.S_IMODE(status.st_mode):o} "
        else:
            found[name] = f"file {stat.S_IMODE(status.st_mode):o} {path.read_bytes().hex()}"
    return found
