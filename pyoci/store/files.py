"""Files that appear whole: written beside, then renamed; and locks that die with the process."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyoci.errors import ContentError

__all__ = ["full_disk_errors", "locked", "storage_errors", "try_lock", "write_atomic"]

_FOREIGN = "the store belongs to somebody else; choose your own with --store or PYOCI_HOME"
_HINTS = {
    errno.ENOSPC: "free some space (see `pyoci prune`), or choose another disk with --store or PYOCI_HOME",
    errno.EDQUOT: "the disk quota is used up; choose another disk with --store or PYOCI_HOME",
    errno.EACCES: _FOREIGN,
    errno.EPERM: _FOREIGN,
    errno.EROFS: "the file system is read-only; choose another place with --store or PYOCI_HOME",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns what the operating system refuses below the store into an error that says where and what to do."""
    try:
        yield
    except OSError as error:
        name = error.filename or path
        raise ContentError(f"cannot write {name}: {error.strerror}", hint=_HINTS.get(error.errno or 0)) from error


@contextmanager
def full_disk_errors(path: Path) -> Iterator[None]:
    """The same for a disk that is full or fails, and for nothing else: inside, others read files of their own."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
            raise
        with storage_errors(path):
            raise


def write_atomic(path: Path, data: bytes, temporary: Path) -> None:
    """Writes a whole file under its final name, replacing an older one; `temporary` is on the same file system."""
    scratch = temporary / f"{path.name}.{os.getpid()}.{id(data):x}"
    try:
        with storage_errors(path):
            scratch.write_bytes(data)
            scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an advisory lock on a file, made if missing; waits for it."""
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock until it is closed, or None if somebody else has it."""
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _open_lock(path: Path) -> int:
    with storage_errors(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
