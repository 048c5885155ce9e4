"""Paths of a root file system, resolved inside it: a symlink in it can lead to no place outside.

Every component is opened by itself, without following, relative to the directory that the one before it named, so that
nobody who changes the tree meanwhile gains anything either. Part of the worker.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from pyoci.sandbox import kernel

__all__ = ["Place", "open_inside", "walk"]

_MAXIMUM_LINKS = 40
_RESOLVE_IN_ROOT = 0x10
_RESOLVE_NO_MAGICLINKS = 0x02
_O_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Place:
    """Where a path leads: a canonical path inside the root, and how much of it exists."""

    __slots__ = ("components", "descriptor", "existing")

    def __init__(self, components: list[str], existing: int, descriptor: int) -> None:
        self.components = components
        """Without symlinks, `.` and `..`."""
        self.existing = existing
        """How many of them exist."""
        self.descriptor = descriptor
        """Open (O_PATH) at the last one that exists; closed by `close`."""

    @property
    def exists(self) -> bool:
        return self.existing == len(self.components)

    @property
    def path(self) -> str:
        """With a leading slash."""
        return "/" + "/".join(self.components)

    def create(self, *, directory: bool) -> None:
        """Makes what is missing, directories on the way and a directory or an empty file at the end.

        Raises:
            OSError: somebody was faster, or it may not be written there.
        """
        for name in self.components[self.existing :]:
            if directory or self.existing < len(self.components) - 1:
                os.mkdir(name, 0o755, dir_fd=self.descriptor)
            else:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(name, flags, 0o644, dir_fd=self.descriptor))
            made = os.open(name, _O_PATH, dir_fd=self.descriptor)
            os.close(self.descriptor)
            self.descriptor = made
            self.existing += 1
            if stat.S_ISLNK(os.stat(made).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self.path)

    def close(self) -> None:
        os.close(self.descriptor)


def walk(root: int, path: str) -> Place:
    """Where `path` leads in the tree whose root directory `root` is open at, missing components included.

    What a symlink names need not exist. `..` above the root stays there, as after chroot(2).

    Raises:
        OSError: ENOTDIR when a component that exists is no directory, ELOOP after 40 symlinks.
    """
    todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    components: list[str] = []
    opened = [os.open(".", _O_PATH | os.O_DIRECTORY, dir_fd=root)]  # opened[n] is the directory after n components
    links = 0
    try:
        while todo:
            part = todo.pop()
            if part == "..":
                if components:
                    components.pop()
                    if len(opened) > len(components) + 1:
                        os.close(opened.pop())
                continue
            if len(opened) <= len(components):  # already beyond what exists
                components.append(part)
                continue
            found, target = _look(opened[-1], part)
            if target is None:
                components.append(part)
                if found >= 0:
                    opened.append(found)
                continue
            links += 1
            if links > _MAXIMUM_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                components.clear()
                while len(opened) > 1:
                    os.close(opened.pop())
            todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        return Place(components, len(opened) - 1, opened.pop())
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _look(directory: int, name: str) -> tuple[int, str | None]:
    """What a name in a directory is: a descriptor, the target of a symlink, or neither (-1, None)."""
    try:
        found = os.open(name, _O_PATH, dir_fd=directory)
    except FileNotFoundError:
        return -1, None
    if not stat.S_ISLNK(os.stat(found).st_mode):
        return found, None
    try:
        return -1, os.readlink("", dir_fd=found)
    except FileNotFoundError:
        return -1, None  # /proc/self, seen by a process that this /proc does not have
    finally:
        os.close(found)


def open_inside(root: int, path: str, *, follow: bool) -> int:
    """A descriptor (O_PATH) of what exists at `path` inside `root`; `follow` is about the last component.

    Raises:
        OSError: as openat2(2) with RESOLVE_IN_ROOT; ELOOP also for links of /proc that lead elsewhere.
    """
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    how = (ctypes.c_uint64 * 3)(flags, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    try:
        return kernel.syscall("openat2", root, os.fsencode(path) or b".", ctypes.byref(how), 24)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    parent, _, name = path.rstrip("/").rpartition("/")
    place = walk(root, path if follow or name in ("", ".", "..") else parent)
    if not place.exists:
        place.close()
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    if follow or name in ("", ".", ".."):
        return place.descriptor
    try:
        return os.open(name, _O_PATH, dir_fd=place.descriptor)
    finally:
        place.close()
