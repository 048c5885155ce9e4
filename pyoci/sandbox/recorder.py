"""Answers system calls that need more user IDs than one, by writing beside the file what they would have changed.

In a user namespace with a single ID the kernel refuses chown to any other and setuid to any other; in every user
namespace it refuses device nodes. A seccomp filter hands those calls over (SECCOMP_RET_USER_NOTIF) and this module, in
the monitor, answers: an owner goes into an extended attribute, a device node becomes an empty file with one, a change
of IDs succeeds and changes nothing. It acts only inside the caller's own root, and a path that the caller changes
meanwhile leads it to nothing that the caller could not change itself.

    chown on a file, directory      attribute `owner_xattr`; setuid bits and capabilities fall, as in the kernel
    chown on a symlink, FIFO, …     no attribute possible: a side table by inode number, saved at the end
    chown on what has no attributes (/proc, pipes, terminals) succeeds and is forgotten
    mknod of a device               an empty file with attribute `device_xattr`; 0:0, the kernel's whiteout, is refused
    set*id, setgroups               success

What this does not do: a process that changes its IDs goes on as root, and reads back 0.

Part of the worker. Sources: seccomp_unotify(2), include/uapi/linux/seccomp.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from pyoci.sandbox import kernel
from pyoci.sandbox.caller import Caller
from pyoci.sandbox.mounting import by_descriptor
from pyoci.sandbox.ownership import decode_owner, encode_device, encode_owner
from pyoci.sandbox.syscall_numbers import RECORDED

__all__ = ["Recorder", "append"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.sandbox.messages import RecorderMessage, RootMessage

# struct seccomp_notif: id (8), pid (4), flags (4), struct seccomp_data: nr (4), arch (4), ip (8), args (6 × 8)
_NOTIFICATION_SIZE = 80
_RECEIVE = 0xC050_2100
_SEND = 0xC018_2101
_IS_VALID = 0x4008_2102
_IS_VALID_BEFORE_5_17 = 0x8008_2102

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_EMPTY_PATH = 0x1000
_UNCHANGED = 0xFFFF_FFFF
_CAP_MKNOD = 27


class Recorder:
    """Answers one listener until the last process under its filter is gone."""

    def __init__(self, listener: int, names: RecorderMessage, root: RootMessage) -> None:
        self.listener = listener
        self._owner_xattr = names["owner_xattr"]
        self._device_xattr = names["device_xattr"]
        self._table = root["owners"]
        self._owners: dict[int, tuple[int, int]] = {}
        """Of what cannot have an attribute, by inode number in the directory that takes the writes."""
        self._written = os.open(root["path"] or root["upper"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def answer(self) -> bool:
        """Answers the next call; False when no caller can come any more."""
        notification = bytearray(_NOTIFICATION_SIZE)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, notification)
        except OSError as error:
            return error.errno in (errno.ENOENT, errno.EINTR)  # the caller was killed meanwhile
        identity = bytes(notification[:8])
        process = _number(notification, 8, 4)
        name = RECORDED[_number(notification, 20, 4)].get(_number(notification, 16, 4), "")
        arguments = [_number(notification, 32 + 8 * index, 8) for index in range(6)]
        try:
            caller = Caller(process, lambda: self._is_waiting(identity))
            self._perform(name, caller, arguments)
            code = 0
        except OSError as error:
            code = error.errno or errno.EPERM
        response = identity + bytes(8) + (-code).to_bytes(4, "little", signed=True) + bytes(4)
        try:
            fcntl.ioctl(self.listener, _SEND, response)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        return True

    def save(self) -> None:
        """Appends the side table to its file."""
        if self._table and self._owners:
            append(self._table, "".join(f"{inode} {uid} {gid}\n" for inode, (uid, gid) in sorted(self._owners.items())))

    def _is_waiting(self, identity: bytes) -> bool:
        """Whether the caller still waits; else its process ID may be another's by now."""
        for request in (_IS_VALID, _IS_VALID_BEFORE_5_17):
            try:
                fcntl.ioctl(self.listener, request, identity)
                return True
            except OSError as error:
                if error.errno != errno.EINVAL:
                    return False
        return False

    def _perform(self, name: str, caller: Caller, arguments: list[int]) -> None:
        match name:
            case "chown" | "lchown":
                self._chown(caller, _AT_FDCWD, arguments[0], *arguments[1:3], follow=name == "chown")
            case "fchown":
                self._record(caller.open_descriptor(_signed(arguments[0])), arguments[1], arguments[2], caller)
            case "fchownat":
                directory, path, uid, gid, flags = arguments[:5]
                if flags & _AT_EMPTY_PATH and (not path or not caller.read_string(path)):
                    self._record(caller.open_base(_signed(directory)), uid, gid)
                    return
                self._chown(caller, _signed(directory), path, uid, gid, follow=not flags & _AT_SYMLINK_NOFOLLOW)
            case "mknod":
                self._mknod(caller, _AT_FDCWD, *arguments[:3])
            case "mknodat":
                self._mknod(caller, _signed(arguments[0]), *arguments[1:4])
            case _:
                return  # a change of IDs

    def _chown(self, caller: Caller, directory: int, path: int, uid: int, gid: int, *, follow: bool) -> None:
        self._record(caller.open_path(directory, caller.read_string(path), follow=follow), uid, gid)

    def _record(self, descriptor: int, uid: int, gid: int, caller: Caller | None = None) -> None:
        """Notes an owner for what the descriptor names, and closes it. `caller` has it open as a file itself."""
        uid, gid = uid & _UNCHANGED, gid & _UNCHANGED
        try:
            status = os.stat(descriptor)
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                self._record_attribute(descriptor, uid, gid, caller)
            else:
                self._record_inode(descriptor, uid, gid)
        finally:
            os.close(descriptor)

    def _record_attribute(self, descriptor: int, uid: int, gid: int, caller: Caller | None) -> None:
        path = by_descriptor(descriptor)
        # The real call, to the only owner there is: setuid bits and capabilities fall, the time of change moves, a
        # read-only file system refuses.
        if not _touch(descriptor):
            return
        try:
            known = decode_owner(os.getxattr(path, self._owner_xattr))
        except OSError:
            known = None
        owner = _merge(known, uid, gid)
        if owner is None:
            owner = self._owner_of_original(path, caller) if caller is not None else None
        if owner is None:
            return
        try:
            os.setxattr(path, self._owner_xattr, encode_owner(*owner))
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise
            # A file system without attributes: memory on an old kernel, a cache. It is in no layer.

    def _owner_of_original(self, path: str, caller: Caller) -> tuple[int, int] | None:
        """The owner of the file of which another is the backup, as /etc/shadow- is that of /etc/shadow.

        Who makes a backup has the original open beside it and gives it the owner that it sees there: root, whatever is
        recorded. Its name begins with that of the original.
        """
        directory, _, name = os.readlink(path).rpartition("/")
        for number, other in caller.open_paths():
            at, _, original = other.rpartition("/")
            if at == directory and original and original != name and name.startswith(original):
                descriptor = caller.open_descriptor(number)
                try:
                    return decode_owner(os.getxattr(by_descriptor(descriptor), self._owner_xattr))
                except OSError:
                    continue
                finally:
                    os.close(descriptor)
        return None

    def _record_inode(self, descriptor: int, uid: int, gid: int) -> None:
        if not _touch(descriptor):
            return
        # The path as the sandbox sees it is the path in the directory that takes the writes, where the call just made
        # sure that the inode is. In any other mount it leads to nothing or to another type of file.
        path = os.readlink(by_descriptor(descriptor)).lstrip("/")
        try:
            real = os.stat(path, dir_fd=self._written, follow_symlinks=False)
        except OSError:
            return
        if stat.S_IFMT(real.st_mode) == stat.S_IFMT(os.stat(descriptor).st_mode):
            owner = _merge(self._owners.get(real.st_ino), uid, gid)
            if owner is not None:
                self._owners[real.st_ino] = owner

    def _mknod(self, caller: Caller, directory: int, path: int, mode: int, device: int) -> None:
        mode, number = mode & 0xFFFF_FFFF, device & 0xFFFF_FFFF
        kind = "c" if stat.S_ISCHR(mode) else "b"
        if (kind == "c" and number == 0) or not caller.may(_CAP_MKNOD):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        parent, name = caller.open_parent(directory, caller.read_string(path))
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            made = os.open(name, flags, 0o600, dir_fd=parent)
            try:
                os.fchmod(made, mode & 0o7777 & ~caller.umask())
                os.setxattr(made, self._device_xattr, encode_device(kind, os.major(number), os.minor(number)))
            except OSError:
                os.unlink(name, dir_fd=parent)
                raise
            finally:
                os.close(made)
        finally:
            os.close(parent)


def _merge(known: tuple[int, int] | None, uid: int, gid: int) -> tuple[int, int] | None:
    """The owner to record for a chown, where one is recorded already or not; None for none.

    Root is not recorded where nothing is. Whoever replaces a file (passwd, useradd, sed -i) gives the new one the
    owner that it saw on the old one, which is root whatever is recorded; the reader of the changes then gives it the
    owner that the path had. A file that has a record belongs to root from then on.
    """
    owner = (
        (known or (0, 0))[0] if uid == _UNCHANGED else uid,
        (known or (0, 0))[1] if gid == _UNCHANGED else gid,
    )
    return None if known is None and owner == (0, 0) else owner


def append(path: str, lines: str) -> None:
    """Adds lines to a side table."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, lines.encode())
    finally:
        os.close(descriptor)


def _touch(descriptor: int) -> bool:
    """Gives a file to the owner that it has; False where a file system knows no owners or lets nobody change them."""
    try:
        kernel.chown_descriptor(descriptor, 0, 0)
    except OSError as error:
        if error.errno == errno.EROFS:
            raise
        return False
    return True


def _number(data: bytearray, offset: int, size: int) -> int:
    return int.from_bytes(data[offset : offset + size], "little")


def _signed(value: int) -> int:
    """A C int from a 64-bit argument."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value
