"""What a step changed where there is no overlay: a listing before, the directory after. Runs in the worker.

The change time of an inode cannot be set, so that it shows what puts the old modification time back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from pyoci.errors import LayerError
from pyoci.layer.changes import as_hardlink, sorted_changes
from pyoci.layer.directories import Directories
from pyoci.layer.entry import Change, Entry, LayerPath, Remove, Upsert
from pyoci.layer.paths import PATH_LIMIT, ROOT, join, parent_of, parents_of
from pyoci.snapshot.diff import UpperChanges, links_among
from pyoci.snapshot.ondisk import FileOnDisk, Owner, OwnerRules, entry_of, read_file, settle_owner

__all__ = ["Listed", "Listing", "compare_directories", "list_tree"]


class Listed(NamedTuple):
    """What is compared of one file."""

    mode: int
    """With the file type."""
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    uid: int
    gid: int
    rdev: int
    owner: Owner
    """With recorded ownership: what is recorded, else root."""
    xattrs: tuple[tuple[str, bytes], ...]


Listing: TypeAlias = Mapping[LayerPath, Listed]
"""A whole tree, by path; the root is the empty one."""


class _Item(NamedTuple):
    path: LayerPath
    name: str
    dir_fd: int
    """Valid until the next item."""
    found: FileOnDisk
    parent: LayerPath


def list_tree(root_fd: int, owners: Mapping[str, Owner] | None = None) -> dict[LayerPath, Listed]:
    """Everything below a directory, and the directory itself. `owners` is what its layers left (`Applied.owners`).

    Raises:
        LayerError: something cannot be read.
    """
    known = owners or {}
    return {
        item.path: _listed(item.found, item.found.recorded or known.get(item.path) or (0, 0)) for item in _walk(root_fd)
    }


def _listed(found: FileOnDisk, owner: Owner) -> Listed:
    status = found.status
    return Listed(
        status.st_mode,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_uid,
        status.st_gid,
        status.st_rdev,
        owner,
        tuple(found.xattrs.items()),
    )


def _walk(root_fd: int) -> Iterator[_Item]:
    """Directories before what is in them; sockets are left out."""
    path = ROOT
    try:
        with Directories(root_fd) as directories:
            root = read_file("", root_fd, os.fstat(root_fd))
            if root is None:
                raise LayerError("the root is no directory")
            yield _Item(ROOT, "", root_fd, root, ROOT)
            waiting = [ROOT]
            while waiting:
                directory = waiting.pop()
                with os.scandir(directories.open(directory)) as listing:
                    names = sorted(entry.name for entry in listing)
                for name in names:
                    path = join(directory, name)
                    if len(path) > PATH_LIMIT // 4 and len(os.fsencode(path)) > PATH_LIMIT:
                        raise LayerError(f'the path "{path[:80]}…" is longer than {PATH_LIMIT} bytes')
                    dir_fd = directories.open(directory)
                    found = read_file(name, dir_fd, os.lstat(name, dir_fd=dir_fd))
                    if found is not None:
                        yield _Item(path, name, dir_fd, found, directory)
                        if found.type == "dir":
                            waiting.append(path)
    except OSError as error:
        raise LayerError(f'cannot read "{path or "/"}": {(error.strerror or str(error)).lower()}') from error


def compare_directories(before: Listing, root_fd: int, rules: OwnerRules) -> UpperChanges:
    """What is other in a directory than in its listing; nobody writes to it meanwhile.

    A directory is a change by its mode, owner and attributes alone, and comes along where something in it changed. With
    recorded ownership the owners that were found are written beside the files.

    Raises:
        LayerError: as `list_tree`.
    """
    entries: dict[LayerPath, Entry] = {}
    changed: dict[LayerPath, Entry] = {}
    gone: dict[LayerPath, Listed] = dict(before)
    owners: dict[str, Owner] = {}
    names: dict[tuple[int, int], list[LayerPath]] = {}
    modes: dict[LayerPath, tuple[FileOnDisk, int]] = {}
    for path, name, dir_fd, found, parent in _walk(root_fd):
        was = gone.pop(path, None)
        same_type = was is not None and stat.S_IFMT(was.mode) == stat.S_IFMT(found.status.st_mode)
        before_owner = was.owner if was is not None and same_type else None
        above, above_gid = modes.get(parent, (None, 0))
        replaced = was is not None and was.inode != found.status.st_ino
        owner = rules.owner(found, rules.before(before_owner, replaced=replaced), above, above_gid)
        if rules.ownership == "record" and not settle_owner(name, dir_fd, found, owner):
            owners[path] = owner
        entry = entry_of(path, found, owner)
        if found.type == "dir":
            entries[path] = entry
            modes[path] = (found, owner[1])
        elif found.status.st_nlink > 1:
            names.setdefault((found.status.st_dev, found.status.st_ino), []).append(path)
        if was is None or _differs(was, _listed(found, owner), rules):
            changed[path] = entry
    changed.pop(ROOT, None)
    return UpperChanges(sorted_changes(_changes(entries, changed, gone, names)), owners)


def _differs(was: Listed, now: Listed, rules: OwnerRules) -> bool:
    if was.mode != now.mode or was.xattrs != now.xattrs:
        return True
    if rules.ownership == "record":
        if was.owner != now.owner:
            return True
    elif (was.uid, was.gid) != (now.uid, now.gid):
        return True
    if stat.S_ISDIR(now.mode):
        return False
    return (was.inode, was.size, was.mtime_ns, was.ctime_ns, was.rdev) != (
        now.inode,
        now.size,
        now.mtime_ns,
        now.ctime_ns,
        now.rdev,
    )


def _changes(
    directories: Mapping[LayerPath, Entry],
    changed: Mapping[LayerPath, Entry],
    gone: Mapping[LayerPath, Listed],
    names: Mapping[tuple[int, int], list[LayerPath]],
) -> Iterator[Change]:
    links = dict(links_among(changed, names.values()))
    removed = [path for path in gone if parent_of(path) in directories]
    for path, entry in changed.items():
        yield Upsert(as_hardlink(entry, path, links[path]) if path in links else entry)
    for path in removed:
        yield Remove(path)
    above = {parent for path in (*changed, *removed) for parent in parents_of(path)}
    for path in above - changed.keys():
        yield Upsert(directories[path])
