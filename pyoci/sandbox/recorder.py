"""Answers system calls that need more user IDs than one, by writing beside the file what they would have changed.

In a user namespace with a single ID the kernel refuses chown to any other and setuid to any other; in every user
namespace it refuses device nodes. A seccomp filter hands those calls over (SECCOMP_RET_USER_NOTIF) and this module, in
the monitor, answers: an owner goes into an extended attribute or a table, a device node becomes an empty file
(`owner_records.py`), a change of IDs is remembered for the process and its children (`identity.py`). The calls that
would show what came of it are answered too (`emulation.py`, `status_emulation.py`), so that programs find what they
did. It acts only inside the caller's own root, and a path that the caller changes meanwhile leads it to nothing that
the caller could not change itself.

    chown on a file, directory      setuid bits and capabilities fall, as in the kernel
    chown on what has no owner      (/proc, pipes, terminals) succeeds and is forgotten
    mknod of a device               0:0, the kernel's whiteout, is refused

Part of the worker. Sources: seccomp_unotify(2), include/uapi/linux/seccomp.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

from pyoci.sandbox.caller import Caller
from pyoci.sandbox.emulation import ANSWERED, Emulation
from pyoci.sandbox.owner_records import UNCHANGED, OwnerRecords
from pyoci.sandbox.process_memory import ProcessMemory
from pyoci.sandbox.status_emulation import StatusEmulation
from pyoci.sandbox.syscall_numbers import EMULATED, RECORDED

__all__ = ["Recorder"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from pyoci.sandbox.messages import RecorderMessage

    Answer: TypeAlias = Callable[[Caller], int | None]

# struct seccomp_notif: id, pid, flags, struct seccomp_data: nr, arch, instruction pointer, arguments
_NOTIFICATION = struct.Struct("=8sIIiIQ6Q")
# struct seccomp_notif_resp: id, val, error, flags
_RESPONSE = struct.Struct("=8sqiI")
_RECEIVE = 0xC050_2100
_SEND = 0xC018_2101
_IS_VALID = 0x4008_2102
_IS_VALID_BEFORE_5_17 = 0x8008_2102
_SET_FLAGS = 0x4008_2104
_SYNCHRONOUS_WAKE_UP = 1
_CONTINUE = 1

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_EMPTY_PATH = 0x1000
_CAP_MKNOD = 27


class Recorder:
    """Answers one listener until the last process under its filter is gone.

    Made and used while the root of this process is the sandbox's and its directory the host's /proc.
    """

    def __init__(self, listener: int, names: RecorderMessage, records: OwnerRecords) -> None:
        self.listener = listener
        self._records = records
        self._memory = ProcessMemory()
        self._emulation = Emulation(records, self._memory, tuple(names["groups"])) if names["emulates"] else None
        self._answers = self._recording()
        if self._emulation is not None:
            self._answers.update(self._emulating(self._emulation, StatusEmulation(records, self._memory)))
        self._calls = {
            architecture: {
                number: (name, self._answers[name])
                for number, name in {**EMULATED[architecture], **recorded}.items()
                if name in self._answers
            }
            for architecture, recorded in RECORDED.items()
        }
        try:
            fcntl.ioctl(listener, _SET_FLAGS, _SYNCHRONOUS_WAKE_UP)
        except OSError:
            pass  # before Linux 6.6: slower

    def answer(self) -> bool:
        """Answers the next call; False when no caller can come any more."""
        notification = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, notification)
        except OSError as error:
            return error.errno in (errno.ENOENT, errno.EINTR)  # the caller was killed meanwhile
        cookie, process, _, number, architecture, _, *arguments = _NOTIFICATION.unpack(notification)
        try:
            name, perform = self._calls[architecture][number]
            caller = Caller(process, (name, number, tuple(arguments), cookie), self._memory, self._is_waiting)
            value = perform(caller)
            if value == ANSWERED:
                return True
            response = _RESPONSE.pack(cookie, value or 0, 0, _CONTINUE if value is None else 0)
        except OSError as error:
            response = _RESPONSE.pack(cookie, 0, -(error.errno or errno.EPERM), 0)
        try:
            fcntl.ioctl(self.listener, _SEND, response)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        return True

    def save(self) -> None:
        """Keeps what is not in attributes."""
        self._records.save()

    def _recording(self) -> dict[str, Answer]:
        """What answers each call by name."""
        return {
            **dict.fromkeys(("chown", "lchown", "fchown", "fchownat"), self._chown),
            **dict.fromkeys(("mknod", "mknodat"), self._mknod),
        }

    def _emulating(self, emulation: Emulation, status: StatusEmulation) -> dict[str, Answer]:
        changing = ("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid")
        return {
            **dict.fromkeys(changing, emulation.set_id),
            **dict.fromkeys(("setfsuid", "setfsgid"), emulation.set_filesystem_id),
            "setgroups": emulation.set_groups,
            **dict.fromkeys(("getuid", "geteuid", "getgid", "getegid"), emulation.get_id),
            **dict.fromkeys(("getresuid", "getresgid"), emulation.get_ids),
            "getgroups": emulation.get_groups,
            **dict.fromkeys(("stat", "lstat", "fstat", "newfstatat"), status.stat),
            "statx": status.statx,
            "chroot": status.chroot,
            "prctl": emulation.keep_privileges,
            **dict.fromkeys(("execve", "execveat"), emulation.execute),
            **dict.fromkeys(("open", "creat", "openat"), lambda caller: emulation.create(caller, self.listener)),
            **dict.fromkeys(("mkdir", "mkdirat"), emulation.make_directory),
            **dict.fromkeys(("symlink", "symlinkat"), emulation.make_link),
        }

    def _is_waiting(self, cookie: bytes) -> bool:
        """Whether the caller still waits; else its process ID may be another's by now."""
        for request in (_IS_VALID, _IS_VALID_BEFORE_5_17):
            try:
                fcntl.ioctl(self.listener, request, cookie)
                return True
            except OSError as error:
                if error.errno != errno.EINVAL:
                    return False
        return False

    def _chown(self, caller: Caller) -> int:
        match caller.name:
            case "fchown":
                opened = caller.open_descriptor(_signed(caller.arguments[0]))
                uid, gid = caller.arguments[1:3]
            case "fchownat":
                directory, path, uid, gid, flags = caller.arguments[:5]
                if flags & _AT_EMPTY_PATH and (not path or not caller.read_string(path)):
                    opened = caller.open_base(_signed(directory))
                else:
                    follow = not flags & _AT_SYMLINK_NOFOLLOW
                    opened = caller.open_path(_signed(directory), caller.read_string(path), follow=follow)
            case _:
                path, uid, gid = caller.arguments[:3]
                follow = caller.name == "chown"
                opened = caller.open_path(_AT_FDCWD, caller.read_string(path), follow=follow)
        try:
            uid, gid = uid & UNCHANGED, gid & UNCHANGED
            if self._emulation is not None:
                self._emulation.check_giving(caller, opened, uid, gid)
            self._records.change(opened, uid, gid)
        finally:
            os.close(opened)
        return 0

    def _mknod(self, caller: Caller) -> int | None:
        directory, path, mode, device = (
            (_AT_FDCWD, *caller.arguments[:3]) if caller.name == "mknod" else caller.arguments[:4]
        )
        mode, number = mode & 0xFFFF_FFFF, device & 0xFFFF_FFFF
        maker = self._emulation.maker(caller) if self._emulation is not None else None
        if not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
            if self._emulation is None or maker is None:
                return None
            return self._emulation.make_node(caller, maker, directory, path, mode)
        kind = "c" if stat.S_ISCHR(mode) else "b"
        if (kind == "c" and number == 0) or not caller.may(_CAP_MKNOD) or (maker is not None and maker.uid):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        parent, name = caller.open_parent(_signed(directory), caller.read_string(path))
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            made = os.open(name, flags, 0o600, dir_fd=parent)
            try:
                os.fchmod(made, mode & 0o7777 & ~caller.umask())
                self._records.make_device(made, kind, number)
            except OSError:
                os.unlink(name, dir_fd=parent)
                raise
            finally:
                os.close(made)
        finally:
            os.close(parent)
        return 0


def _signed(value: int) -> int:
    """A C int from a 64-bit argument."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value
