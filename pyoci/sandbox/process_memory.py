"""Reads and writes the memory of another process. Part of the worker.

Sources: process_vm_readv(2), proc(5) for /proc/PID/mem.
"""

from __future__ import annotations

import ctypes
import errno
import os

from pyoci.sandbox.kernel import libc

__all__ = ["ProcessMemory"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE = 4096
_MAXIMUM_PATH = 4096
_GLIMPSE = 192
_KEPT_OPEN = 64
_ADDRESS = (1 << 56) - 1  # aarch64 ignores the uppermost byte of an address


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class ProcessMemory:
    """Buffers that are made once; the directory is /proc, for machines that filter process_vm_readv away."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(_PAGE + 1)
        self._address = ctypes.addressof(self._buffer)
        self._local = _Vector(self._address, _PAGE)
        self._remote = _Vector(0, 0)
        self._here = ctypes.byref(self._local)
        self._there = ctypes.byref(self._remote)
        self._count = ctypes.c_ulong(1)
        self._none = ctypes.c_ulong(0)
        self._opened: dict[int, int] = {}
        self._read = libc.process_vm_readv
        self._write = libc.process_vm_writev
        self._read.restype = self._write.restype = ctypes.c_ssize_t

    def path(self, process: int, address: int) -> bytes:
        """The path at an address.

        Raises:
            OSError: EFAULT, ENAMETOOLONG.
        """
        address &= _ADDRESS
        data = b""
        while len(data) < _MAXIMUM_PATH:
            size = _PAGE - address % _PAGE
            got = self._fill(process, address, size)
            self._buffer[got] = b"\0"
            part = ctypes.string_at(self._address)
            data += part
            if len(part) < got:
                return data
            address += got
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))

    def glimpse(self, process: int, address: int) -> bytes:
        """The path at an address, for questions that do no harm when the answer is another process's.

        The memory is kept open: that of a program that has ended reads as nothing. `forget` when it executes another.

        Raises:
            OSError: EFAULT, ENAMETOOLONG.
        """
        address &= _ADDRESS
        opened = self._opened.get(process)
        if opened is None:
            if len(self._opened) >= _KEPT_OPEN:
                self.forget(next(iter(self._opened)))
            opened = self._opened[process] = os.open(f"{process}/mem", os.O_RDONLY | os.O_CLOEXEC)
        data = os.pread(opened, _GLIMPSE, address)
        end = data.find(b"\0")
        if end >= 0:
            return data[:end]
        if not data:
            self.forget(process)
        return self.path(process, address)

    def forget(self, process: int) -> None:
        """Closes what `glimpse` has kept open of a process."""
        opened = self._opened.pop(process, None)
        if opened is not None:
            os.close(opened)

    def read(self, process: int, address: int, size: int) -> bytes:
        """Bytes at an address.

        Raises:
            OSError: EFAULT.
        """
        data = b""
        address &= _ADDRESS
        while len(data) < size:
            got = self._fill(process, address + len(data), min(size - len(data), _PAGE))
            data += self._buffer.raw[:got]
        return data

    def write(self, process: int, address: int, data: bytes) -> None:
        """Puts at most a page of bytes at an address.

        Raises:
            OSError: EFAULT.
        """
        address &= _ADDRESS
        ctypes.memmove(self._address, data, len(data))
        self._local.length = len(data)
        self._remote.base, self._remote.length = address, len(data)
        if self._write(process, self._here, self._count, self._there, self._count, self._none) == len(data):
            return
        self._by_file(process, os.O_WRONLY, lambda memory: os.pwrite(memory, data, address))

    def _fill(self, process: int, address: int, size: int) -> int:
        self._local.length = size
        self._remote.base, self._remote.length = address, size
        got: int = self._read(process, self._here, self._count, self._there, self._count, self._none)
        if got > 0:
            return got
        data = b""

        def read(memory: int) -> int:
            nonlocal data
            data = os.pread(memory, size, address)
            return len(data)

        got = self._by_file(process, os.O_RDONLY, read)
        ctypes.memmove(self._address, data, got)
        return got

    def _by_file(self, process: int, flags: int, use: Callable[[int], int]) -> int:
        fault = OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        if ctypes.get_errno() == errno.EFAULT:
            raise fault
        try:
            memory = os.open(f"{process}/mem", flags | os.O_CLOEXEC)
            try:
                done = use(memory)
            finally:
                os.close(memory)
        except OSError:
            raise fault from None
        if not done:
            raise fault
        return done
