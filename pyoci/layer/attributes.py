"""Owner, mode, times and extended attributes of one file on disk, and what to do where the disk refuses."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import Literal

from pyoci.errors import LayerError
from pyoci.layer.changes import CAPABILITY
from pyoci.layer.entry import Entry
from pyoci.layer.recorded import OWNER_XATTR, RESERVED_XATTRS, encode_owner
from pyoci.values import dataclass

__all__ = ["Attributes", "Skipped", "seconds"]

_REFUSALS = frozenset((errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.ERANGE, errno.E2BIG, errno.ENOSPC))
_TIME_LIMIT = (1 << 63) // 10**9
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK_REASON = "only files and directories can have it"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something of a layer that is not on the disk."""

    what: str
    """The extended attribute's name."""
    reason: str
    path: str
    """The first path that lacks it."""
    count: int
    """How many do."""


class Attributes:
    """Sets attributes, and remembers what could not be set."""

    def __init__(self, ownership: Literal["chown", "record"], *, always_chown: bool) -> None:
        self._chown = ownership == "chown"
        self._always_chown = always_chown
        self._skipped: dict[tuple[str, str], tuple[str, int]] = {}
        self.owners: dict[str, tuple[int, int]] = {}
        """Of what can hold no attribute, by path."""

    def skipped(self) -> tuple[Skipped, ...]:
        """Each reason once."""
        return tuple(
            Skipped(what, reason, path, count) for (what, reason), (path, count) in sorted(self._skipped.items())
        )

    def set(self, descriptor: int, entry: Entry) -> None:
        """Everything of a file or directory but its content. Writing to it afterwards would undo some.

        Raises:
            LayerError: the owner does not exist here.
            OSError: from changing mode or times.
        """
        if entry.uid or entry.gid or self._always_chown:
            if self._chown:
                self._set_owner(entry, descriptor, None)
            elif entry.uid or entry.gid:
                self._record_owner(descriptor, entry)
        if self.owners and not (entry.uid or entry.gid):
            self.owners.pop(entry.path, None)
        if entry.xattrs:
            for key, value in entry.xattrs.items():
                self._set_xattr(descriptor, entry.path, key, value)
        os.fchmod(descriptor, entry.mode)
        mtime = seconds(entry.mtime)
        os.utime(descriptor, (mtime, mtime))

    def set_by_name(self, name: str, dir_fd: int, entry: Entry) -> None:
        """As `set`, of a symbolic link, FIFO or device, which is not opened."""
        if self._chown:
            if entry.uid or entry.gid or self._always_chown:
                self._set_owner(entry, name, dir_fd)
        elif entry.uid or entry.gid:
            self.owners[entry.path] = (entry.uid, entry.gid)
        else:
            self.owners.pop(entry.path, None)
        for key in entry.xattrs:
            self._skip(key, _LINK_REASON, entry.path)
        if entry.type != "symlink":
            os.chmod(name, entry.mode, dir_fd=dir_fd)
        mtime = seconds(entry.mtime)
        os.utime(name, (mtime, mtime), dir_fd=dir_fd, follow_symlinks=False)

    def set_again(self, name: str, dir_fd: int, link: Entry, found: os.stat_result) -> None:
        """As `set`, of a file that has attributes already, as the entry of a hard link at this name says (as in
        containerd and docker).

        Raises:
            LayerError, OSError: as `set`.
        """
        if not stat.S_ISREG(found.st_mode):
            self._set_special_again(name, dir_fd, link, found)
            return
        try:
            descriptor = os.open(name, _OLD_FILE, dir_fd=dir_fd)
        except PermissionError:
            os.chmod(name, 0o600, dir_fd=dir_fd)
            descriptor = os.open(name, _OLD_FILE, dir_fd=dir_fd)
        try:
            if self._chown:
                self._set_owner(link, descriptor, None)
            else:
                self._record_owner(descriptor, link)
            with suppress(OSError):  # mostly there is none; giving the file away would have removed it
                os.removexattr(descriptor, CAPABILITY)
            self.set(descriptor, link)
        finally:
            os.close(descriptor)

    def _set_special_again(self, name: str, dir_fd: int, link: Entry, found: os.stat_result) -> None:
        if self._chown:
            self._set_owner(link, name, dir_fd)
        elif link.uid or link.gid:
            self.owners[link.path] = self.owners[link.link] = (link.uid, link.gid)
        else:
            self.owners.pop(link.path, None)
            self.owners.pop(link.link, None)
        for key in link.xattrs:
            self._skip(key, _LINK_REASON, link.path)
        if not stat.S_ISLNK(found.st_mode):
            os.chmod(name, link.mode, dir_fd=dir_fd)
        mtime = seconds(link.mtime)
        os.utime(name, (mtime, mtime), dir_fd=dir_fd, follow_symlinks=False)

    def _set_owner(self, entry: Entry, target: int | str, dir_fd: int | None) -> None:
        try:
            os.chown(target, entry.uid, entry.gid, dir_fd=dir_fd, follow_symlinks=isinstance(target, int))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM):
                raise
            raise LayerError(
                f'"{entry.path}" belongs to {entry.uid}:{entry.gid}, which this user cannot give files to',
                hint="widen the ranges in /etc/subuid and /etc/subgid (65536 IDs are usual)",
            ) from error

    def _record_owner(self, descriptor: int, entry: Entry) -> None:
        try:
            os.setxattr(descriptor, OWNER_XATTR, encode_owner(entry.uid, entry.gid))
            self.owners.pop(entry.path, None)
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            self.owners[entry.path] = (entry.uid, entry.gid)

    def _set_xattr(self, descriptor: int, path: str, key: str, value: bytes) -> None:
        if key.startswith(RESERVED_XATTRS):
            self._skip(key, "the name is reserved", path)
        elif key.startswith("security.") and key != "security.capability":
            self._skip(key, "it belongs to the host's security module", path)
        elif key.startswith("trusted.") and not self._chown:
            self._skip(key, "only root can set it", path)
        else:
            try:
                os.setxattr(descriptor, key, value)
            except OSError as error:
                if error.errno not in _REFUSALS:
                    raise
                self._skip(key, (error.strerror or "refused").lower(), path)

    def _skip(self, what: str, reason: str, path: str) -> None:
        first, count = self._skipped.get((what, reason), (path, 0))
        self._skipped[what, reason] = (first, count + 1)


def seconds(mtime: int) -> int:
    """The time as file systems take it: what they cannot hold becomes 0, as in docker."""
    return mtime if 0 <= mtime <= _TIME_LIMIT else 0
