"""Shows the processes of a sandbox the owners and device nodes that were recorded, where they ask for a file's status.

Most calls end after one look at an attribute that is not there; the kernel then answers them. Where there is one, the
call is made here and its answer put into the caller's memory, with the owner that was meant.

Part of the worker. Sources: stat(2), statx(2); arch/*/include/uapi/asm/stat.h, include/uapi/linux/stat.h.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct

from pyoci.sandbox import kernel
from pyoci.sandbox.owner_records import named

__all__ = ["STAT_PLACES", "STAT_SIZES", "StatusEmulation"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.sandbox.caller import Caller
    from pyoci.sandbox.owner_records import OwnerRecords
    from pyoci.sandbox.process_memory import ProcessMemory

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_EMPTY_PATH = 0x1000
_STATX_SIZE = 256
_OTHERS = (b"/proc/", b"/dev/")
"""Where `self` would be this process."""
STAT_SIZES = {"x86_64": 144, "aarch64": 128}
STAT_PLACES = {"x86_64": (24, 28, 40), "aarch64": (16, 24, 32)}
"""Where st_mode, st_uid with st_gid, and st_rdev are in struct stat."""
_STAT_SIZE = STAT_SIZES.get(kernel.MACHINE, 0)
_STAT_MODE, _STAT_OWNERS, _STAT_DEVICE = STAT_PLACES.get(kernel.MACHINE, (0, 0, 0))


class StatusEmulation:
    """Of one run. Its functions answer system calls: 0, or None to let the kernel answer."""

    def __init__(self, records: OwnerRecords, memory: ProcessMemory) -> None:
        self._records = records
        self._memory = memory
        self._status = ctypes.create_string_buffer(_STATX_SIZE)
        self._top = os.stat("self/root")
        self._has_other_roots = False

    def stat(self, caller: Caller) -> int | None:
        """stat, lstat, fstat, newfstatat: answered only where something is recorded."""
        match caller.name:
            case "newfstatat":
                directory, address, buffer, flags = caller.arguments[:4]
            case "fstat":
                directory, address, buffer, flags = caller.arguments[0], 0, caller.arguments[1], _AT_EMPTY_PATH
            case _:
                directory, address, buffer = _AT_FDCWD, *caller.arguments[:2]
                flags = _AT_SYMLINK_NOFOLLOW if caller.name == "lstat" else 0
        if not _STAT_SIZE:
            return None

        def fill(descriptor: int, uid: int, gid: int) -> None:
            status = self._status
            kernel.syscall("newfstatat", descriptor, b"", status, _AT_EMPTY_PATH)
            struct.pack_into("=II", status, _STAT_OWNERS, uid, gid)
            node = self._device(descriptor, struct.unpack_from("=I", status, _STAT_MODE)[0])
            if node is not None:
                mode, major, minor = node
                struct.pack_into("=I", status, _STAT_MODE, mode)
                struct.pack_into("=Q", status, _STAT_DEVICE, os.makedev(major, minor))
            self._memory.write(caller.process, buffer, status.raw[:_STAT_SIZE])

        return self._answer(caller, _signed(directory), address, flags, fill)

    def statx(self, caller: Caller) -> int | None:
        """As `stat`; one layout for all machines."""
        directory, address, flags, mask, buffer = caller.arguments[:5]

        def fill(descriptor: int, uid: int, gid: int) -> None:
            status = self._status
            kernel.syscall("statx", descriptor, b"", (flags | _AT_EMPTY_PATH) & 0xFFFF_FFFF, mask, status)
            struct.pack_into("=II", status, 20, uid, gid)
            node = self._device(descriptor, struct.unpack_from("=H", status, 28)[0])
            if node is not None:
                mode, major, minor = node
                struct.pack_into("=H", status, 28, mode)
                struct.pack_into("=II", status, 128, major, minor)
            self._memory.write(caller.process, buffer, status.raw)

        return self._answer(caller, _signed(directory), address, flags, fill)

    def _answer(
        self, caller: Caller, directory: int, address: int, flags: int, fill: Callable[[int, int, int], None]
    ) -> int | None:
        follow = not flags & _AT_SYMLINK_NOFOLLOW
        opened = -1
        try:
            path = self._memory.glimpse(caller.process, address) if address else b""
            if not path and not flags & _AT_EMPTY_PATH:
                return None
            if not path:
                path, follow = _base(caller.process, directory), True
            elif path.startswith(_OTHERS) or (self._has_other_roots and self._is_elsewhere(caller)):
                opened = caller.open_path(directory, os.fsdecode(path), follow=follow)
                path, follow = named(opened).encode(), True
            elif not path.startswith(b"/"):
                path = _base(caller.process, directory) + b"/" + path
            owner = self._records.found(path, follow=follow)
            if owner is None:
                return None
            if opened < 0:
                opened = os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
            caller.check()
            fill(opened, *owner)
        except OSError:
            return None  # the kernel says what is wrong
        finally:
            if opened >= 0:
                os.close(opened)
        return 0

    def _device(self, descriptor: int, mode: int) -> tuple[int, int, int] | None:
        """Mode, major and minor of the device node that an empty file stands for."""
        if not stat.S_ISREG(mode):
            return None
        node = self._records.device(named(descriptor))
        if node is None:
            return None
        kind, major, minor = node
        return stat.S_IMODE(mode) | (stat.S_IFCHR if kind == "c" else stat.S_IFBLK), major, minor

    def chroot(self, caller: Caller) -> None:
        """From now on it has to be asked where a path begins."""
        self._has_other_roots = True

    def _is_elsewhere(self, caller: Caller) -> bool:
        root = os.stat(f"{caller.process}/root")
        return (root.st_dev, root.st_ino) != (self._top.st_dev, self._top.st_ino)


def _base(process: int, directory: int) -> bytes:
    """What a relative path starts from: a descriptor, or AT_FDCWD."""
    return b"%d/cwd" % process if directory == _AT_FDCWD else b"%d/fd/%d" % (process, directory)


def _signed(value: int) -> int:
    """A C int from a 64-bit argument."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value
