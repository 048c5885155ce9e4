"""What a step changed: an overlay's upper directory as the changes of a layer. Runs in the worker, in its namespaces.

Follows BuildKit's overlay differ (util/overlay): a file that was copied up but is as it was, by mode, owner,
capability, size and time (and by content, where both times have no fraction of a second), is no change; nor is a
directory whose mode, owner and capability are the same, unless something in it changed, when it comes along with its
new time. Sockets are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pyoci.errors import LayerError
from pyoci.layer.changes import as_hardlink, sorted_changes
from pyoci.layer.directories import Directories
from pyoci.layer.entry import Change, Entry, LayerPath, Remove, Upsert
from pyoci.layer.paths import PATH_LIMIT, ROOT, join, parents_of, tree_key
from pyoci.snapshot.lowers import Before, Lower, Lowers, is_opaque, is_whiteout
from pyoci.snapshot.ondisk import FileOnDisk, Owner, OwnerRules, entry_of, read_file, settle_owner
from pyoci.values import dataclass

__all__ = ["UpperChanges", "links_among", "read_upper"]

_COMPARE = 1 << 16


@dataclass(frozen=True, slots=True)
class UpperChanges:
    """What a step changed, and what a later one must know to build on it."""

    changes: tuple[Change, ...]
    """In normal form."""
    owners: Mapping[str, Owner]
    """With recorded ownership: of what can hold no attribute, by path; goes into `Lower.owners`."""


class _Directory(NamedTuple):
    """A directory of the upper one that is to be looked at."""

    path: LayerPath
    found: FileOnDisk
    gid: int
    stack: tuple[int, ...]
    hidden: tuple[int, ...] = ()
    """Lower directories whose contents are here no more: the step removed the directory and made it again."""


def read_upper(upper_fd: int, lowers: Sequence[Lower], rules: OwnerRules) -> UpperChanges:
    """The changes in an upper directory over `lowers` (uppermost first), none of which anybody writes to meanwhile.

    With recorded ownership the owners that were found are written beside the files, so that a later step sees them.

    Raises:
        LayerError: a path is longer than a layer may have, or a file cannot be read.
    """
    with Directories(upper_fd) as directories, Lowers(lowers) as below:
        reading = _Reading(directories, below, rules)
        try:
            reading.run()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise LayerError(f'cannot read "{reading.path or "/"}" after the step: {reason}') from error
    return UpperChanges(sorted_changes(reading.changes()), reading.owners)


class _Reading:
    """One run of `read_upper`."""

    def __init__(self, directories: Directories, below: Lowers, rules: OwnerRules) -> None:
        self._upper = directories
        self._below = below
        self._rules = rules
        self._changed: dict[LayerPath, Entry] = {}
        self._same: dict[LayerPath, Entry] = {}
        """Directories that did not change themselves."""
        self._markers: list[Remove] = []
        self._names: dict[tuple[int, int], list[LayerPath]] = {}
        self.owners: dict[str, Owner] = {}
        self.path = ROOT

    def run(self) -> None:
        """Goes through the upper directory."""
        root = self._upper.open(ROOT)
        found = read_file("", root, os.fstat(root))
        if found is None:
            raise LayerError("the upper directory is no directory")
        before = self._below.root_directory()
        gid = self._settle(ROOT, "", root, found, before, None)
        hides_all = is_opaque(root)
        below = self._below.root()
        waiting = [_Directory(ROOT, found, gid, () if hides_all else below, below if hides_all else ())]
        while waiting:
            waiting += self._read_directory(waiting.pop())

    def _read_directory(self, directory: _Directory) -> Iterator[_Directory]:
        with os.scandir(self._upper.open(directory.path)) as listing:
            names = sorted(entry.name for entry in listing)
        present: set[str] = set()
        for name in names:
            self.path = path = join(directory.path, name)
            if len(path) > PATH_LIMIT // 4 and len(os.fsencode(path)) > PATH_LIMIT:
                raise LayerError(f'the path "{path[:80]}…" is longer than the {PATH_LIMIT} bytes that a layer may have')
            parent = self._upper.open(directory.path)
            status = os.lstat(name, dir_fd=parent)
            before = self._below.child(directory.stack, path) if directory.stack else None
            if is_whiteout(status):
                if before is not None:
                    self._markers.append(Remove(path))
                continue
            found = read_file(name, self._upper.open(directory.path), status)
            if found is None:
                continue
            present.add(name)
            gid = self._settle(path, name, self._upper.open(directory.path), found, before, directory)
            if found.type == "dir":
                yield self._enter(path, found, gid, before, directory.hidden)
            elif status.st_nlink > 1:
                self._names.setdefault((status.st_dev, status.st_ino), []).append(path)
        self._remove_hidden(directory, present)

    def _enter(
        self, path: LayerPath, found: FileOnDisk, gid: int, before: Before | None, hidden: tuple[int, ...]
    ) -> _Directory:
        stack = before.stack if before is not None else ()
        if stack and is_opaque(self._upper.open(path)):
            return _Directory(path, found, gid, (), stack)
        below = self._below.child(hidden, path) if hidden else None
        return _Directory(path, found, gid, stack, below.stack if below is not None else ())

    def _remove_hidden(self, directory: _Directory, present: set[str]) -> None:
        """Says of everything that a directory made again hides that it is gone (image-spec layer.md: explicit whiteouts
        are to be preferred to opaque ones).
        """
        if directory.hidden:
            for name in self._below.names(directory.hidden, directory.path) - present:
                path = join(directory.path, name)
                if self._below.child(directory.hidden, path) is not None:
                    self._markers.append(Remove(path))

    def _settle(
        self,
        path: LayerPath,
        name: str,
        dir_fd: int,
        found: FileOnDisk,
        before: Before | None,
        directory: _Directory | None,
    ) -> int:
        """Notes what a path is and whether that is a change; returns the owning group, for what is made in it."""
        recording = self._rules.ownership == "record"
        before_owner: Owner | None = None
        if before is not None and before.found.type == found.type:
            status = before.found.status
            before_owner = before.owner if recording else (status.st_uid, status.st_gid)
        parent, parent_gid = (directory.found, directory.gid) if directory else (None, 0)
        # A file that overlayfs copied up has its attribute; a directory that a stub covered may not.
        replaced = found.type == "file" or (
            found.type == "dir" and path != ROOT and self._rules.exact and is_opaque(self._upper.open(path))
        )
        owner = self._rules.owner(found, self._rules.before(before_owner, replaced=replaced), parent, parent_gid)
        if recording and not settle_owner(name, dir_fd, found, owner):
            self.owners[path] = owner
        entry = entry_of(path, found, owner)
        if before is None or owner != before_owner or not self._is_same(path, found, before):
            self._changed[path] = entry
        elif found.type == "dir":
            self._same[path] = entry
        return owner[1]

    def _is_same(self, path: LayerPath, found: FileOnDisk, before: Before) -> bool:
        """Whether two files of one owner and type are equal for all that a layer could say of them."""
        old = before.found
        if found.mode != old.mode or found.device != old.device or found.xattrs != old.xattrs:
            return False
        if found.type == "dir":
            return True
        new_time, old_time = found.status.st_mtime_ns, old.status.st_mtime_ns
        if found.status.st_size != old.status.st_size or found.link != old.link or new_time != old_time:
            return False
        # A time without fractions may have come from a tar: a change within that second would not show.
        if new_time % 1_000_000_000 or found.type != "file" or not found.status.st_size:
            return True
        return self._same_content(path, before.lower)

    def _same_content(self, path: LayerPath, lower: int) -> bool:
        directory, _, name = path.rpartition("/")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        new = os.open(name, flags, dir_fd=self._upper.open(LayerPath(directory)))
        try:
            old = os.open(name, flags, dir_fd=self._below.directory(lower, LayerPath(directory)))
            try:
                while True:
                    left, right = os.read(new, _COMPARE), os.read(old, _COMPARE)
                    if left != right or not left:
                        return left == right
            finally:
                os.close(old)
        finally:
            os.close(new)

    def changes(self) -> Iterator[Change]:
        """What was found, with the directories above every change."""
        self._changed.pop(ROOT, None)  # the root's own attributes are the image's, not a step's (as BuildKit has it)
        links = dict(links_among(self._changed, self._names.values()))
        for path, entry in self._changed.items():
            yield Upsert(as_hardlink(entry, path, links[path]) if path in links else entry)
        yield from self._markers
        paths = (*self._changed, *(marker.path for marker in self._markers))
        touched = {parent for path in paths for parent in parents_of(path)}
        for path, entry in self._same.items():
            if path in touched:
                yield Upsert(entry)


def links_among(
    entries: Mapping[LayerPath, Entry], groups: Iterable[Sequence[LayerPath]]
) -> Iterator[tuple[LayerPath, LayerPath]]:
    """Of groups of paths with one inode, each path that is a further name, with the first one that is among the
    entries.
    """
    for group in groups:
        first, *others = sorted((path for path in group if path in entries), key=tree_key) or [ROOT]
        for path in others:
            yield path, first
