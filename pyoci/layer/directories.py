"""Directories on disk by descriptor, one component after the other: how paths of a hostile layer meet the host's file
system.

No path is ever joined: a name is opened, made or removed in the directory that an earlier step opened, and a symbolic
link is never followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from pyoci.layer.entry import LayerPath
from pyoci.layer.paths import parents_of

__all__ = ["Directories", "make_accessible", "open_directory", "remove_tree"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CACHED = 64


def open_directory(name: str, dir_fd: int) -> int:
    """A descriptor of a directory that may be unreadable even for its owner, whose mode is then changed to 0700.

    Raises:
        NotADirectoryError: it is something else, a symbolic link included.
        OSError: it does not exist, or may not be opened or changed.
    """
    try:
        return os.open(name, _DIRECTORY, dir_fd=dir_fd)
    except PermissionError:
        make_accessible(name, dir_fd)
        return os.open(name, _DIRECTORY, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from error
        raise


def make_accessible(name: str, dir_fd: int) -> None:
    """Gives the owner of a directory all rights in it.

    Goes through a descriptor, since chmod by name would follow a symbolic link.
    """
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        Path(f"/proc/self/fd/{handle}").chmod(mode | 0o700)
    finally:
        os.close(handle)


class Directories:
    """Descriptors of directories below a root. Use as a context manager; the root's descriptor stays the caller's.

    `on_made(path, replaced)` hears of each directory that was made on the way, and whether something else had to go
    for it.
    """

    def __init__(self, root_fd: int) -> None:
        self._root = root_fd
        self.on_made: Callable[[LayerPath, bool], None] | None = None
        self.on_opened: Callable[[LayerPath, int, int], None] | None = None
        """Hears the path of each directory that was there, its descriptor and the mode that it had."""
        self._open: dict[str, int] = {}

    def __enter__(self) -> Directories:
        return self

    def __exit__(self, *exception: object) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def open(self, path: LayerPath, *, make: bool = False) -> int:
        """The descriptor of a directory, valid until the next call. `make` makes what is missing, and replaces what
        is none.

        Raises:
            OSError: without `make`, it does not exist or is no directory.
        """
        if not path:
            return self._root
        cached = self._open.get(path)
        if cached is not None:
            return cached
        steps = [*parents_of(path), path]
        known = len(steps) - 1
        while known and steps[known - 1] not in self._open:
            known -= 1
        here = self._open[steps[known - 1]] if known else self._root
        for step in steps[known:]:
            here = self._enter(here, step, make=make)
            self._remember(step, here)
        return here

    def _enter(self, parent: int, path: LayerPath, *, make: bool) -> int:
        name = path.rpartition("/")[2]
        replaced = made = False
        while True:
            try:
                if not self.on_opened or made:
                    return open_directory(name, parent)
                mode = stat.S_IMODE(os.lstat(name, dir_fd=parent).st_mode)
                descriptor = open_directory(name, parent)
                self.on_opened(path, descriptor, mode)
                return descriptor
            except FileNotFoundError:
                if not make:
                    raise
                os.mkdir(name, 0o700, dir_fd=parent)
                made = True
                if self.on_made:
                    self.on_made(path, replaced)
            except NotADirectoryError:
                if not make:
                    raise
                os.unlink(name, dir_fd=parent)
                replaced = True

    def _remember(self, path: LayerPath, descriptor: int) -> None:
        if len(self._open) >= _CACHED:
            oldest = next(iter(self._open))
            os.close(self._open.pop(oldest))
        self._open[path] = descriptor

    def forget(self, path: LayerPath) -> None:
        """Closes what is open at and below a path that is about to go."""
        below = f"{path}/"
        for name in [name for name in self._open if name == path or name.startswith(below)]:
            os.close(self._open.pop(name))


def remove_tree(name: str, dir_fd: int) -> None:
    """Removes whatever is at a name, with all below it, modes notwithstanding and links not followed. Nothing there
    is fine.

    Directories are moved up into the first one before they are emptied, so that neither depth nor descriptors run out.

    Raises:
        OSError: something may not be removed.
    """
    try:
        os.unlink(name, dir_fd=dir_fd)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=dir_fd).st_mode):
            raise
    top = open_directory(name, dir_fd)
    try:
        waiting = _empty(top, None, set())
        taken = set(waiting)
        while waiting:
            child = waiting.pop()
            directory = open_directory(child, top)
            try:
                waiting += _empty(directory, top, taken)
            finally:
                os.close(directory)
            _remove_directory(child, top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=dir_fd)


def _remove_directory(name: str, top: int) -> None:
    try:
        os.rmdir(name, dir_fd=top)
    except PermissionError:
        os.fchmod(top, 0o700)
        os.rmdir(name, dir_fd=top)


def _empty(directory: int, top: int | None, taken: set[str]) -> list[str]:
    """Removes the files of a directory; its directories are moved to `top`, under names not taken. Returns those
    names.
    """
    with os.scandir(directory) as listing:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
    found = []
    for name, is_directory in entries:
        if not is_directory:
            try:
                os.unlink(name, dir_fd=directory)
            except PermissionError:
                os.fchmod(directory, 0o700)
                os.unlink(name, dir_fd=directory)
        elif top is None:
            found.append(name)
        else:
            target = f"removed-{len(taken)}"
            while target in taken:
                target += "+"
            taken.add(target)
            try:
                os.rename(name, target, src_dir_fd=directory, dst_dir_fd=top)
            except PermissionError:  # the directory that is left, the one that moves, or the one that takes it
                os.fchmod(directory, 0o700)
                os.fchmod(top, 0o700)
                make_accessible(name, directory)
                os.rename(name, target, src_dir_fd=directory, dst_dir_fd=top)
            found.append(target)
    return found
