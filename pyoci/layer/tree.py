"""A stack of layers as one file system, by metadata alone: what overlayfs would show, without unpacking or mounting
anything.

A lookup goes from the uppermost layer down and stops where the path is decided, one component after the other, so
that a deep stack costs only the layers that have something in the directory at hand. Directories that no layer
describes are root's, mode 0755.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from pyoci.digest import Digest
from pyoci.errors import LayerError
from pyoci.layer.changes import as_hardlink, implied_directory
from pyoci.layer.entry import Change, Entry, LayerPath, Upsert
from pyoci.layer.index import REMOVED
from pyoci.layer.indexed import IndexedLayer, OnePass
from pyoci.layer.level import Level
from pyoci.layer.paths import ROOT, join, parents_of
from pyoci.layer.protocols import ChangeSet, OpenContent
from pyoci.values import replace

__all__ = ["LINK_LIMIT", "Tree", "flatten"]

LINK_LIMIT = 40
"""Symbolic links that one lookup follows, as in Linux."""
_CACHE_LIMIT = 100_000


class _Found(NamedTuple):
    """What a path is: its entry, and the layer and path that hold it (for a hard link, what it points to)."""

    entry: Entry
    level: int
    holder: LayerPath
    stack: tuple[int, ...]
    """For a directory: the layers that have something in it, uppermost first."""


class Tree:
    """The merged view of a stack of ChangeSets, lowest first. Immutable; may be used from several threads.

    Entries that it gives describe what is at a path: a hard link is given as the file that it is, under its own path.
    """

    def __init__(self, layers: Iterable[ChangeSet] = ()) -> None:
        self._levels = tuple(Level(layer) for layer in layers)
        self._cache: dict[str, _Found | None] = {}
        self._shared: set[tuple[int, str]] | None = None

    def with_changes(self, changes: ChangeSet) -> Tree:
        """The same tree with one more layer on top. Cheap: the layers below are shared."""
        return self._of((*self._levels, Level(changes)))

    @classmethod
    def _of(cls, levels: tuple[Level, ...]) -> Tree:
        tree = cls()
        tree._levels = levels
        return tree

    @property
    def layers(self) -> tuple[ChangeSet, ...]:
        """Lowest first."""
        return tuple(level.source for level in self._levels)

    def lookup(self, path: str) -> Entry | None:
        """What is at a path, symbolic links followed inside the root (`..` of the root is the root); None if nothing
        is.

        The entry's `path` is where it really is.

        Raises:
            LayerError: more than 40 symbolic links on the way.
        """
        found = self._find(path, follow_last=True)
        return found.entry if found else None

    def lookup_nofollow(self, path: str) -> Entry | None:
        """As `lookup`, without following the last component."""
        found = self._find(path, follow_last=False)
        return found.entry if found else None

    def resolve(self, path: str) -> LayerPath:
        """The path without symbolic links and `..`. From the first component on that does not exist it is as it is
        written.

        Raises:
            LayerError: more than 40 symbolic links on the way.
        """
        return self._resolve(path, follow_last=True)

    def children(self, path: str) -> list[Entry]:
        """What is in a directory, sorted by name; nothing if it is none.

        Raises:
            LayerError: as `lookup`.
        """
        found = self._find(path, follow_last=True)
        return [child.entry for child in self._children(found)] if found else []

    def walk(self, path: str = "") -> Iterator[Entry]:
        """Everything below a directory, depth first, sorted, directories before what is in them; links are not
        followed.

        Raises:
            LayerError: as `lookup`, for `path` itself.
        """
        found = self._find(path, follow_last=True)
        if found:
            for below in self._walk(found):
                yield below.entry

    def open(self, target: Entry | str) -> BinaryIO:
        """The content of a file by its entry, or by its path with symbolic links followed.

        Raises:
            LayerError: it is no file of this tree. Reading raises what its layer raises.
        """
        entry = target if isinstance(target, Entry) else self.lookup(target)
        if entry is None:
            raise LayerError(f'there is no file "{target}"')
        source = self.open_content(entry)
        return cast("BinaryIO", io.FileIO(source, closefd=True)) if isinstance(source, int) else source

    def open_content(self, entry: Entry) -> BinaryIO | int:
        """The content of a file of this tree: an `OpenContent`.

        Raises:
            LayerError: it is no file of this tree.
        """
        level, held = self._held(entry)
        return self._levels[level].source.open(held)

    def digest_of(self, target: Entry | str) -> Digest | None:
        """The sha256 digest of a file's content, if its layer knows it without reading the file; None also for what
        is no file.
        """
        entry = target if isinstance(target, Entry) else self.lookup(target)
        if entry is None or entry.type != "file":
            return None
        level, held = self._held(entry)
        digest_of = self._levels[level].digest_of
        return digest_of(held) if digest_of else None

    def layer_of(self, target: Entry | str) -> int:
        """Which of `layers` describes a path, counted from 0; of a hard link, the one that has the file. -1 for a
        directory that no layer describes, and for what is not there.
        """
        found = self._at(self.resolve(target) if isinstance(target, str) else target.path)
        return found.level if found else -1

    @contextmanager
    def one_pass(self, entries: Iterable[Entry], directory: Path) -> Iterator[OpenContent]:
        """An `OpenContent` for these files that reads each blob once, whatever the order in which they are opened.

        What has to wait for its turn is kept in unnamed files in `directory`. For one thread; a stream must be read
        before the next one is opened.
        """
        wanted: dict[int, list[Entry]] = {}
        for entry in entries:
            if entry.type == "file":
                level, held = self._held(entry)
                wanted.setdefault(level, []).append(held)
        with ExitStack() as stack:
            passes: dict[int, Callable[[Entry], BinaryIO | int]] = {}
            for level, files in wanted.items():
                source = self._levels[level].source
                one = (
                    stack.enter_context(OnePass(source, files, directory))
                    if isinstance(source, IndexedLayer)
                    else source
                )
                passes[level] = one.open

            def open_content(entry: Entry) -> BinaryIO | int:
                level, held = self._held(entry)
                return passes.get(level, self._levels[level].source.open)(held)

            yield open_content

    def inode(self, entry: Entry) -> Hashable | None:
        """What the names of one file have in common; None for what has but one name."""
        found = self._at(entry.path)
        if found is None or found.entry.type == "dir":
            return None
        if self._shared is None:
            self._shared = self._linked()
        held = (found.level, str(found.holder))
        return held if held in self._shared else None

    def _held(self, entry: Entry) -> tuple[int, Entry]:
        """The layer that has a file's bytes, and the entry by which it knows them."""
        found = self._at(entry.path)
        if found is None or found.entry.type != "file":
            raise LayerError(f'"{entry.path}" is not a file of the tree')
        return found.level, self._levels[found.level].origin(found.holder)

    def _find(self, path: str, *, follow_last: bool) -> _Found | None:
        return self._at(self._resolve(path, follow_last=follow_last))

    def _resolve(self, path: str, *, follow_last: bool) -> LayerPath:
        waiting = path.split("/")[::-1]
        here = ROOT
        links = 0
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = LayerPath(here.rpartition("/")[0])
                continue
            step = join(here, part)
            found = self._at(step)
            if found is None or found.entry.type != "symlink" or not (waiting or follow_last):
                here = step
                continue
            links += 1
            if links > LINK_LIMIT:
                raise LayerError(f'"{path}" leads through more than {LINK_LIMIT} symbolic links')
            target = found.entry.link
            if target.startswith("/"):
                here = ROOT
            waiting += target.split("/")[::-1]
        return here

    def _at(self, path: LayerPath) -> _Found | None:
        """What is at a path whose parents are taken as they are: below anything but a directory there is nothing."""
        try:
            return self._cache[path]
        except KeyError:
            pass
        if path:
            above = LayerPath(path.rpartition("/")[0])
            if above not in self._cache:
                for directory in parents_of(above):  # from the root down: paths nest deeper than Python calls
                    self._at(directory)
            parent = self._at(above)
            found = self._step(parent.stack, path) if parent is not None and parent.stack else None
        else:
            found = self._step(tuple(range(len(self._levels) - 1, -1, -1)), ROOT) or _Found(
                implied_directory(ROOT), -1, ROOT, ()
            )
        if len(self._cache) > _CACHE_LIMIT:
            self._cache.clear()
        self._cache[path] = found
        return found

    def _step(self, stack: tuple[int, ...], path: LayerPath) -> _Found | None:
        """What the layers of a directory make of one path in it, uppermost first, down to the one that decides."""
        contributing: list[int] = []
        described = -1
        hidden = False
        for number in stack:
            level = self._levels[number]
            code = level.code(path)
            if code == "d":
                if not hidden:
                    contributing.append(number)
                if described < 0:
                    described = number
            elif code == REMOVED:
                break
            elif code:
                if not contributing:
                    return self._resolved(number, level.entry(path))
                break
            elif not hidden and level.implies(path):
                contributing.append(number)
            hidden = hidden or path in level.opaque
            if hidden and described >= 0:
                break  # below an opaque marker only the directory's own attributes are still looked for
        if not contributing:
            return None
        entry = self._levels[described].entry(path) if described >= 0 else implied_directory(path)
        return _Found(entry, described, path, tuple(contributing))

    def _resolved(self, number: int, entry: Entry) -> _Found:
        """An entry that is no directory, a hard link as what it points to."""
        if entry.type != "hardlink":
            return _Found(entry, number, entry.path, ())
        target = self._levels[number].entry(LayerPath(entry.link))
        return _Found(replace(target, path=entry.path), number, target.path, ())

    def _linked(self) -> set[tuple[int, str]]:
        """Layer and path of everything that hard links point to."""
        return {(number, target) for number, level in enumerate(self._levels) for target in level.linked}

    def _children(self, directory: _Found) -> Iterator[_Found]:
        """What is in a directory, sorted by name."""
        stack = directory.stack
        if not stack:
            return
        names = {name for number in stack for name in self._levels[number].names(directory.entry.path)}
        for name in sorted(names):
            found = self._step(stack, join(directory.entry.path, name))
            if found is not None:
                yield found

    def _walk(self, directory: _Found) -> Iterator[_Found]:
        waiting = [self._children(directory)]
        while waiting:
            for found in waiting[-1]:
                yield found
                if found.stack:
                    waiting.append(self._children(found))
                    break
            else:
                waiting.pop()

    def _flattened(self) -> Iterator[Change]:
        linked = self._linked()
        first: dict[tuple[int, str], LayerPath] = {}
        root = self._at(ROOT)
        for found in self._walk(root) if root else ():
            entry = found.entry
            held = (found.level, found.holder)
            if held in linked and entry.type != "dir":
                holder = first.setdefault(held, entry.path)
                if holder != entry.path:
                    entry = as_hardlink(entry, entry.path, holder)
            yield Upsert(entry)


def flatten(tree: Tree) -> Iterator[Change]:
    """The whole tree as the changes of a single layer, in order, without the root itself; `tree.open_content` opens
    its files.

    Hard links stay hard links: the first name in order is the file.
    """
    return tree._flattened()
