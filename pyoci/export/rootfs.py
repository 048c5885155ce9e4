"""The flattened root file system of an image as a tar; as a directory, it is written by `directory`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from pyoci.export.directory import write_root_directory
from pyoci.layer.entry import Change, Entry, LayerPath, Upsert
from pyoci.layer.protocols import OpenContent
from pyoci.layer.tree import Tree, flatten
from pyoci.layer.writer import write_layer
from pyoci.values import replace

__all__ = ["write_platform_tar", "write_root_directory", "write_root_tar"]

_NO_LIMIT = 1 << 62


def write_root_tar(tree: Tree, out: BinaryIO, *, scratch: Path, mtime_limit: int = _NO_LIMIT) -> None:
    """Writes the whole tree, owners, devices and extended attributes included, as one uncompressed tar.

    No time in it is later than `mtime_limit` (epoch seconds). Files that must wait for their turn are kept without a
    name in `scratch`.

    Raises:
        LayerError, ContentError, RegistryError: from the tree's layers.
        OSError: from `out`.
    """
    write_platform_tar({"": tree}, out, scratch=scratch, mtime_limit=mtime_limit)


def write_platform_tar(
    trees: Mapping[str, Tree], out: BinaryIO, *, scratch: Path, mtime_limit: int = _NO_LIMIT
) -> None:
    """As `write_root_tar`, for several platforms: each tree below a directory of the name given (`linux_amd64`)."""
    changes: list[Change] = []
    with ExitStack() as stack:
        openers: dict[str, OpenContent] = {}
        for folder, tree in trees.items():
            entries = [change.entry for change in flatten(tree) if isinstance(change, Upsert)]
            openers[folder] = stack.enter_context(tree.one_pass(entries, scratch))
            if folder:
                changes.append(Upsert(Entry(LayerPath(folder), "dir", 0o755)))
            changes += [Upsert(_below(folder, entry)) for entry in entries]

        def open_content(entry: Entry) -> BinaryIO | int:
            if "" in openers:
                return openers[""](entry)
            folder, _, path = entry.path.partition("/")
            return openers[folder](replace(entry, path=LayerPath(path)))

        write_layer(changes, open_content, out, compression="none", mtime_limit=mtime_limit)


def _below(folder: str, entry: Entry) -> Entry:
    if not folder:
        return entry
    link = f"{folder}/{entry.link}" if entry.type == "hardlink" else entry.link
    return replace(entry, path=LayerPath(f"{folder}/{entry.path}"), link=link)
