"""A process that waits in a system call: its memory, its working directory, its root. Part of the worker.

Everything is reached through PID/… in the host's /proc, which is the monitor's working directory, and resolved inside
the root of that very process, which may have changed it (chroot).
"""

from __future__ import annotations

import ctypes
import errno
import os

from pyoci.sandbox import kernel
from pyoci.sandbox.resolve import open_inside, walk

__all__ = ["Caller"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.sandbox.process_memory import ProcessMemory

_AT_FDCWD = -100
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08


class Caller:
    """One waiting call and its process. Not kept beyond the answer."""

    __slots__ = ("_base", "_is_waiting", "_memory", "arguments", "cookie", "name", "number", "process")

    def __init__(
        self,
        process: int,
        call: tuple[str, int, tuple[int, ...], bytes],
        memory: ProcessMemory,
        is_waiting: Callable[[bytes], bool],
    ) -> None:
        self.process = process
        self.name, self.number, self.arguments, self.cookie = call
        """Of the system call: its name, its number, its arguments as the registers have them, what the kernel knows it
        by."""
        self._memory = memory
        self._base = str(process)
        self._is_waiting = is_waiting

    def _open(self, name: str, flags: int) -> int:
        """Opens something of the process; certain to be its own, not that of a successor with its ID."""
        descriptor = os.open(f"{self._base}/{name}", flags | os.O_CLOEXEC)
        try:
            self.check()
        except ProcessLookupError:
            os.close(descriptor)
            raise
        return descriptor

    def read_string(self, address: int) -> str:
        """The path at an address of the process.

        Raises:
            OSError: EFAULT, ENAMETOOLONG.
        """
        path = self._memory.path(self.process, address)
        self.check()
        return os.fsdecode(path)

    def check(self) -> None:
        """Makes sure that what was read or opened by the process's ID was the process's.

        Raises:
            ProcessLookupError: it may have been that of a successor.
        """
        if not self._is_waiting(self.cookie):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

    def umask(self) -> int:
        """The process's file mode creation mask."""
        return int(self._status("Umask"), 8)

    def may(self, capability: int) -> bool:
        """Whether the process has a capability in effect. The monitor, which acts for it, has all of them."""
        return bool(int(self._status("CapEff"), 16) >> capability & 1)

    def _status(self, name: str) -> str:
        """One field of /proc/PID/status."""
        descriptor = self._open("status", os.O_RDONLY)
        try:
            text = os.read(descriptor, 1 << 14).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
        for line in text.splitlines():
            field, _, value = line.partition(":")
            if field == name:
                return value.strip()
        raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))

    def open_descriptor(self, number: int) -> int:
        """What one of the process's own descriptors is open at (O_PATH)."""
        try:
            return self._open(f"fd/{number}", os.O_PATH)
        except FileNotFoundError:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None

    def open_base(self, directory: int) -> int:
        """What a relative path starts from: a descriptor, or AT_FDCWD."""
        return self._open("cwd", os.O_PATH) if directory == _AT_FDCWD else self.open_descriptor(directory)

    def open_path(self, directory: int, path: str, *, follow: bool) -> int:
        """What a path names to the process (O_PATH).

        Raises:
            OSError: as the kernel would for the call.
        """
        if not path:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        own = self._own_descriptor(path) if follow else None
        if own is not None:
            return self.open_descriptor(own)
        for link, number in (("/proc/self", 0), ("/proc/thread-self", 1)):
            if path == link or path.startswith(link + "/"):
                path = f"/proc/{self._numbers()[number]}{path[len(link) :]}"
        base = self._open("root", os.O_PATH) if path.startswith("/") else self.open_base(directory)
        try:
            flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
            how = (ctypes.c_uint64 * 3)(flags, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH)
            relative = os.fsencode(path.lstrip("/")) or b"."
            try:
                return kernel.syscall("openat2", base, relative, ctypes.byref(how), 24)
            except OSError as error:
                # A symlink on the way, or `..`: then from the root, and absolute links lead back to it.
                if error.errno not in (errno.ELOOP, errno.EXDEV, errno.ENOSYS):
                    raise
            return self._open_from_root(base, path, follow=follow)
        finally:
            os.close(base)

    def _open_from_root(self, base: int, path: str, *, follow: bool) -> int:
        root = self._open("root", os.O_PATH)
        try:
            if not path.startswith("/"):
                # Both as seen from the top of the process's mount namespace.
                top = os.readlink(f"self/fd/{root}").rstrip("/")
                start = os.readlink(f"self/fd/{base}")
                if start != top and not start.startswith(top + "/"):
                    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # outside of its own root
                path = f"{start[len(top) :]}/{path}"
            try:
                return open_inside(root, path, follow=follow)
            except OSError as error:
                # A link such as /var/log/app.log -> /dev/stdout, which ends in /proc/self/fd.
                if not follow or error.errno not in (errno.ENOENT, errno.ELOOP):
                    raise
                place = walk(root, path)
                place.close()
                own = self._own_descriptor(place.path)
                if own is None:
                    raise
            return self.open_descriptor(own)
        finally:
            os.close(root)

    def open_parent(self, directory: int, path: str) -> tuple[int, str]:
        """The directory (O_PATH) in which a path would be made, and its last component."""
        parent, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        if not parent:
            parent = "/" if path.startswith("/") else "."
        return self.open_path(directory, parent, follow=True), name

    def _own_descriptor(self, path: str) -> int | None:
        """The descriptor that a path through /proc/self/fd means; to the monitor `self` would be itself."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        match parts if path.startswith("/") else []:
            case ["proc", "self" | "thread-self", "fd", number] if number.isdigit():
                return int(number)
            case ["proc", process, "fd", number] if number.isdigit() and process in self._numbers():
                return int(number)
        return None

    def _numbers(self) -> tuple[str, ...]:
        """The process's IDs as it knows them: process and thread, in the innermost PID namespace."""
        return self._status("NStgid").split()[-1], self._status("NSpid").split()[-1]
