"""Lets the processes of a sandbox be other users where the kernel knows one: their IDs, and whose their new files are.

A process that has changed its IDs reads them back, and so do its children; it may give away and make what that user
might, and what it makes belongs to that user. It may still read and write everything, as root: the kernel knows one
user here, and no file is in the way of it.

Each function answers one system call: a number for its result, None to let the kernel answer, ANSWERED when the caller
has its answer already.

Part of the worker. Sources: the manual pages of the calls; seccomp_unotify(2) for handing over descriptors.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from pyoci.sandbox.identity import UNCHANGED, Identities, Identity, changed
from pyoci.sandbox.owner_records import named

__all__ = ["ANSWERED", "Emulation"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.sandbox.caller import Caller
    from pyoci.sandbox.owner_records import OwnerRecords
    from pyoci.sandbox.process_memory import ProcessMemory

ANSWERED = -1
_AT_FDCWD = -100
_O_TMPFILE = 0o20000000
_OLD_SETGROUPS = 81  # of 32-bit programs, with IDs of 16 bits
_MAXIMUM_GROUPS = 65536


class Emulation:
    """Of one run."""

    def __init__(self, records: OwnerRecords, memory: ProcessMemory, groups: tuple[int, ...]) -> None:
        self.identities = Identities(tuple(sorted(groups)))
        self._records = records
        self._memory = memory

    # IDs

    def get_id(self, caller: Caller) -> int | None:
        """getuid, geteuid, getgid, getegid."""
        if not self.identities.several:
            return None
        identity = self.identities.of(caller.process)
        return (identity.uids if caller.name.endswith("uid") else identity.gids)[caller.name.startswith("gete")]

    def get_ids(self, caller: Caller) -> int | None:
        """getresuid, getresgid."""
        if not self.identities.several:
            return None
        identity = self.identities.of(caller.process)
        for address, value in zip(
            caller.arguments, identity.uids if caller.name == "getresuid" else identity.gids, strict=False
        ):
            self._memory.write(caller.process, address, value.to_bytes(4, "little"))
        return 0

    def get_groups(self, caller: Caller) -> int:
        """getgroups: never those of the builder's user."""
        groups = self.identities.of(caller.process).groups
        size = _signed(caller.arguments[0])
        if size and size < len(groups):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if size and groups:
            caller.check()
            for start in range(0, len(groups), 1024):
                part = b"".join(group.to_bytes(4, "little") for group in groups[start : start + 1024])
                self._memory.write(caller.process, caller.arguments[1] + 4 * start, part)
        return len(groups)

    def set_id(self, caller: Caller) -> int:
        """setuid, setreuid, setresuid and their like for groups."""
        before = self.identities.of(caller.process)
        self._become(caller, before, changed(caller.name, before, caller.arguments))
        return 0

    def set_filesystem_id(self, caller: Caller) -> int:
        """setfsuid, setfsgid: the old one, which stays."""
        identity = self.identities.of(caller.process)
        return identity.uid if caller.name == "setfsuid" else identity.gid

    def set_groups(self, caller: Caller) -> int:
        """The call setgroups."""
        before = self.identities.of(caller.process)
        if not before.may_change:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        size = caller.arguments[0] & UNCHANGED
        if size > _MAXIMUM_GROUPS:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        width = 2 if caller.number == _OLD_SETGROUPS else 4
        data = self._memory.read(caller.process, caller.arguments[1], size * width)
        numbers = (int.from_bytes(data[start : start + width], "little") for start in range(0, size * width, width))
        self._become(caller, before, before.replace(groups=tuple(sorted(numbers))))
        return 0

    def keep_privileges(self, caller: Caller) -> None:
        """prctl(PR_SET_KEEPCAPS), which the kernel carries out too."""
        before = self.identities.of(caller.process)
        self._become(caller, before, before.replace(keeps=bool(caller.arguments[1]) and before.may_change))

    def execute(self, caller: Caller) -> None:
        """execve, execveat: setuid and setgid bits, and the saved IDs, of a process that is not root any more."""
        self._memory.forget(caller.process)
        if not self.identities.several:
            return
        before = self.identities.of(caller.process)
        if before.uids == (0, 0, 0) and before.gids == (0, 0, 0) and not before.keeps:
            return
        try:
            directory, address = (
                (_AT_FDCWD, caller.arguments[0])
                if caller.name == "execve"
                else (_signed(caller.arguments[0]), caller.arguments[1])
            )
            path = caller.read_string(address)
            program = caller.open_path(directory, path, follow=True) if path else caller.open_base(directory)
        except OSError:
            return
        try:
            mode = os.stat(program).st_mode
            owner = self._records.found(named(program), follow=True) or (0, 0)
        finally:
            os.close(program)
        if not stat.S_ISREG(mode):
            return
        uid = owner[0] if mode & stat.S_ISUID else before.uid
        gid = owner[1] if mode & stat.S_ISGID and mode & stat.S_IXGRP else before.gid
        uids, gids = (before.uids[0], uid, uid), (before.gids[0], gid, gid)
        self._become(caller, before, before.replace(uids=uids, gids=gids, keeps=False))

    def _become(self, caller: Caller, before: Identity, after: Identity) -> None:
        if after.key != before.key:
            caller.check()
            self.identities.give(caller.process, after)

    # whose files are

    def check_giving(self, caller: Caller, descriptor: int, uid: int, gid: int) -> None:
        """Refuses a chown as the kernel does it for users.

        Raises:
            OSError: EPERM.
        """
        identity = self.identities.of(caller.process)
        if not identity.uid:
            return
        owner, group = self._records.found(named(descriptor), follow=True) or (0, 0)
        allowed = (UNCHANGED, group, identity.gid, *identity.groups)
        if owner != identity.uid or uid not in (UNCHANGED, owner) or gid not in allowed:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def maker(self, caller: Caller) -> Identity | None:
        """Whose the files are that a process makes; None when they are root's, and need no record."""
        if not self.identities.several:
            return None
        identity = self.identities.of(caller.process)
        return None if identity.is_root else identity

    def create(self, caller: Caller, listener: int) -> int | None:
        """open, creat, openat with O_CREAT or O_TMPFILE."""
        identity = self.maker(caller)
        if identity is None:
            return None
        match caller.name:
            case "open":
                directory, (address, flags, mode) = _AT_FDCWD, caller.arguments[:3]
            case "creat":
                directory, (address, mode) = _AT_FDCWD, caller.arguments[:2]
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            case _:
                directory, address, flags, mode = caller.arguments[:4]
        flags = (flags & 0xFFFF_FFFF) | os.O_CLOEXEC
        path = caller.read_string(address)
        mode = mode & 0o7777 & ~caller.umask()
        if flags & _O_TMPFILE and not flags & os.O_CREAT:
            parent = caller.open_path(_signed(directory), path, follow=True)
            target, where = named(parent), None
        else:
            if path.rstrip("/").rpartition("/")[2] in ("", ".", "..") or path.endswith("/"):
                return None
            parent, target = caller.open_parent(_signed(directory), path)
            where = parent
            flags |= os.O_EXCL
        try:
            made = os.open(target, flags, mode, dir_fd=where)
        except FileExistsError:
            return None
        else:
            try:
                self._records.give(made, identity.uid, identity.gid, parent)
                return _hand_over(listener, caller, made)
            finally:
                os.close(made)
        finally:
            os.close(parent)

    def make_directory(self, caller: Caller) -> int | None:
        """mkdir, mkdirat."""
        identity = self.maker(caller)
        if identity is None:
            return None
        directory, address, mode = (
            (_AT_FDCWD, *caller.arguments[:2]) if caller.name == "mkdir" else caller.arguments[:3]
        )

        def make(target: str, parent: int) -> None:
            os.mkdir(target, mode & 0o1777 & ~caller.umask(), dir_fd=parent)

        return self._make(caller, identity, directory, address, make)

    def make_link(self, caller: Caller) -> int | None:
        """symlink, symlinkat."""
        identity = self.maker(caller)
        if identity is None:
            return None
        value, directory, address = (
            (caller.arguments[0], _AT_FDCWD, caller.arguments[1]) if caller.name == "symlink" else caller.arguments[:3]
        )
        text = caller.read_string(value)

        def make(target: str, parent: int) -> None:
            os.symlink(text, target, dir_fd=parent)

        return self._make(caller, identity, directory, address, make)

    def make_node(self, caller: Caller, identity: Identity, directory: int, address: int, mode: int) -> int:
        """mknod, mknodat of what is no device."""

        def make(target: str, parent: int) -> None:
            os.mknod(target, stat.S_IFMT(mode) | (mode & 0o7777 & ~caller.umask()), dir_fd=parent)

        return self._make(caller, identity, directory, address, make)

    def _make(
        self, caller: Caller, identity: Identity, directory: int, address: int, make: Callable[[str, int], None]
    ) -> int:
        parent, target = caller.open_parent(_signed(directory), caller.read_string(address))
        try:
            make(target, parent)
            made = os.open(target, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                self._records.give(made, identity.uid, identity.gid, parent)
            finally:
                os.close(made)
        finally:
            os.close(parent)
        return 0


_ADD_DESCRIPTOR = 0x4018_2103
_SEND = 2  # SECCOMP_ADDFD_FLAG_SEND, Linux 5.14


def _hand_over(listener: int, caller: Caller, made: int) -> int:
    """Gives the caller the descriptor as its own, as the result of its call."""
    flags = {"open": caller.arguments[1], "openat": caller.arguments[2]}.get(caller.name, 0)
    inherited = (flags & os.O_CLOEXEC).to_bytes(4, "little")

    def add(how: int) -> int:
        # struct seccomp_notif_addfd: id, flags, srcfd, newfd, newfd_flags
        request = bytearray(
            caller.cookie + how.to_bytes(4, "little") + made.to_bytes(4, "little") + bytes(4) + inherited
        )
        return int(fcntl.ioctl(listener, _ADD_DESCRIPTOR, request))

    try:
        add(_SEND)
        return ANSWERED
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return add(0)


def _signed(value: int) -> int:
    """A C int from a 64-bit argument."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value
