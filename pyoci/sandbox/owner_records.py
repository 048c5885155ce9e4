"""Owners and device nodes that the file system cannot hold, written beside the files; what one process knows of them.

    regular file, directory     attribute `owner_xattr`
    symlink, FIFO, socket       a side table by inode number, saved at the end
    what holds no attributes    (/proc, pipes, terminals) forgotten
    device node                 an empty file with attribute `device_xattr`

Paths are those of a process whose root is the sandbox's and whose directory is the host's /proc (`execute.py`).
Part of the worker.
"""

from __future__ import annotations

import errno
import os
import stat

from pyoci.sandbox import kernel
from pyoci.sandbox.ownership import decode_device, decode_owner, encode_device, encode_owner

__all__ = ["UNCHANGED", "OwnerRecords", "append", "named"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from pyoci.sandbox.messages import RecorderMessage, RootMessage

    Owner: TypeAlias = tuple[int, int]

UNCHANGED = 0xFFFF_FFFF


class OwnerRecords:
    """Of one run."""

    def __init__(self, names: RecorderMessage, root: RootMessage) -> None:
        self.exact = names["emulates"]
        """Whether processes see what is recorded, and mean what they record."""
        self._owner_xattr = names["owner_xattr"]
        self._device_xattr = names["device_xattr"]
        self._table = root["owners"]
        self._saved: dict[int, Owner] = {}
        """Of what cannot have an attribute, by inode number in the directory that takes the writes."""
        self._seen: dict[tuple[int, int], Owner] = {}
        """The same by device and inode as the sandbox sees them."""
        self._written = os.open(root["path"] or root["upper"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def found(self, path: bytes | str, *, follow: bool) -> Owner | None:
        """The owner that is recorded of what is at a path; None for none, and for what cannot be reached."""
        try:
            return decode_owner(os.getxattr(path, self._owner_xattr, follow_symlinks=follow))
        except OSError as error:
            if error.errno != errno.ENODATA or not self._seen:
                return None
        try:
            status = os.stat(path, follow_symlinks=follow)
        except OSError:
            return None
        return self._seen.get((status.st_dev, status.st_ino))

    def device(self, path: bytes | str) -> tuple[str, int, int] | None:
        """What an empty file stands for: c or b, major, minor."""
        try:
            return decode_device(os.getxattr(path, self._device_xattr))
        except OSError:
            return None

    def make_device(self, descriptor: int, kind: str, number: int) -> None:
        """Has an empty file stand for a device node, which belongs to root until somebody gives it away."""
        os.setxattr(descriptor, self._device_xattr, encode_device(kind, os.major(number), os.minor(number)))
        if self.exact:
            os.setxattr(descriptor, self._owner_xattr, encode_owner(0, 0))

    def change(self, descriptor: int, uid: int, gid: int) -> None:
        """Notes a new owner (UNCHANGED keeps a half) of what a descriptor names, as chown(2) changes it."""
        status = os.stat(descriptor)
        if not _touch(descriptor):
            return
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            self._change_attribute(named(descriptor), uid, gid)
        else:
            self._change_inode(descriptor, uid, gid)

    def give(self, descriptor: int, uid: int, gid: int, parent: int) -> None:
        """Notes whose a new file in a directory is: its maker's, but for the group that the directory hands down."""
        if os.stat(parent).st_mode & stat.S_ISGID:
            _, gid = self.found(named(parent), follow=True) or (0, 0)
        status = os.stat(descriptor)
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            self._write(named(descriptor), uid, gid)
        else:
            self._change_inode(descriptor, uid, gid)

    def save(self) -> None:
        """Appends the side table to its file."""
        lines = "exact 0 0\n" if self.exact else ""
        lines += "".join(f"{inode} {uid} {gid}\n" for inode, (uid, gid) in sorted(self._saved.items()))
        if self._table and lines:
            append(self._table, lines)

    def _change_attribute(self, path: str, uid: int, gid: int) -> None:
        known = self.found(path, follow=True)
        if known is None and gid == UNCHANGED:
            gid = self._group_of_directory(path)
        owner = _merge(known, uid, gid)
        if owner is not None:
            self._write(path, *owner)

    def _group_of_directory(self, path: str) -> int:
        """The group that a new file of root's has from its directory, and that nobody has written down yet."""
        parent = os.readlink(path).rpartition("/")[0] or "/"
        try:
            if os.stat(parent).st_mode & stat.S_ISGID:
                return (self.found(parent, follow=True) or (0, 0))[1]
        except OSError:
            pass  # deleted meanwhile, or in another mount
        return UNCHANGED

    def _write(self, path: str, uid: int, gid: int) -> None:
        try:
            os.setxattr(path, self._owner_xattr, encode_owner(uid, gid))
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise
            # A file system without attributes: memory on an old kernel, a cache. It is in no layer.

    def _change_inode(self, descriptor: int, uid: int, gid: int) -> None:
        # The path as the sandbox sees it is the path in the directory that takes the writes, where the call just made
        # sure that the inode is. In any other mount it leads to nothing or to another type of file.
        path = os.readlink(named(descriptor)).lstrip("/")
        try:
            real = os.stat(path, dir_fd=self._written, follow_symlinks=False)
        except OSError:
            return
        status = os.stat(descriptor)
        if stat.S_IFMT(real.st_mode) == stat.S_IFMT(status.st_mode):
            owner = _merge(self._saved.get(real.st_ino), uid, gid)
            if owner is not None:
                self._saved[real.st_ino] = self._seen[status.st_dev, status.st_ino] = owner


def _merge(known: Owner | None, uid: int, gid: int) -> Owner | None:
    """The owner to record for a chown, where one is recorded already or not; None for root's, which needs no record."""
    owner = (
        (known or (0, 0))[0] if uid == UNCHANGED else uid,
        (known or (0, 0))[1] if gid == UNCHANGED else gid,
    )
    return None if known is None and owner == (0, 0) else owner


def named(descriptor: int) -> str:
    """A path for what a descriptor of this process is open at, whose directory is /proc."""
    return f"self/fd/{descriptor}"


def append(path: str, lines: str) -> None:
    """Adds lines to a side table."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, lines.encode())
    finally:
        os.close(descriptor)


def _touch(descriptor: int) -> bool:
    """Gives a file to the owner that it has; False where a file system knows no owners or lets nobody change them.

    That is the real call, to the only owner there is: setuid bits and capabilities fall, the time of change moves, a
    read-only file system refuses.
    """
    try:
        kernel.chown_descriptor(descriptor, 0, 0)
    except OSError as error:
        if error.errno == errno.EROFS:
            raise
        return False
    return True
