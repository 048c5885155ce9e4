"""How the files of two trees differ: what was added, removed, changed, and what of it changed.

Hard links are the files that they are: two names of one file and two equal files are not told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pyoci.inspection.listing import ListedFile, listed
from pyoci.layer.entry import Entry
from pyoci.layer.paths import tree_key
from pyoci.layer.tree import Tree
from pyoci.values import dataclass

__all__ = ["Aspect", "FileChange", "file_changes"]

Aspect = Literal["type", "mode", "owner", "size", "content", "link", "device", "xattrs", "mtime"]
"""What of a path changed. `size` comes with `content`."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One path that is not the same in both images."""

    path: str
    """Absolute."""
    before: ListedFile | None
    """None where it was added."""
    after: ListedFile | None
    """None where it was removed."""
    changed: tuple[Aspect, ...] = ()
    """Empty for what was added or removed."""

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """What happened to the path."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


def file_changes(before: Tree, after: Tree, *, times: bool = False) -> Iterator[FileChange]:
    """The differences in the order of a walk; with `times`, those of modification times as well.

    Contents are told apart by their digests. Files whose layers know none count as different.
    """
    for old, new in _pairs(before, after):
        left = listed(before, old) if old is not None else None
        right = listed(after, new) if new is not None else None
        if old is None or new is None:
            yield FileChange(left.path if left is not None else right.path if right is not None else "/", left, right)
        elif left is not None and right is not None:
            changed = tuple(_aspects(left, right, times=times))
            if changed:
                yield FileChange(right.path, left, right, changed)


def _pairs(before: Tree, after: Tree) -> Iterator[tuple[Entry | None, Entry | None]]:
    """The entries of two walks by path, in one order."""
    left, right = _walk(before), _walk(after)
    old, new = next(left, None), next(right, None)
    while old is not None or new is not None:
        if new is None or (old is not None and tree_key(old.path) < tree_key(new.path)):
            yield old, None
            old = next(left, None)
        elif old is None or tree_key(new.path) < tree_key(old.path):
            yield None, new
            new = next(right, None)
        else:
            yield old, new
            old, new = next(left, None), next(right, None)


def _walk(tree: Tree) -> Iterator[Entry]:
    root = tree.lookup_nofollow("")
    if root is not None:
        yield root
    yield from tree.walk()


def _aspects(old: ListedFile, new: ListedFile, *, times: bool) -> Iterator[Aspect]:
    if old.type != new.type:
        yield "type"
    if old.mode != new.mode and "symlink" not in (old.type, new.type):
        yield "mode"
    if (old.uid, old.gid) != (new.uid, new.gid):
        yield "owner"
    if old.type == new.type == "file":
        if old.size != new.size:
            yield "size"
        if old.size != new.size or (old.size and (old.digest is None or old.digest != new.digest)):
            yield "content"
    if old.type == new.type and old.link != new.link:
        yield "link"
    if old.type == new.type and old.device != new.device:
        yield "device"
    if dict(old.xattrs) != dict(new.xattrs):
        yield "xattrs"
    if times and old.mtime != new.mtime:
        yield "mtime"
