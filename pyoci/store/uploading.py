"""Uploads under way: where a registry takes the rest of a blob, for the command that goes on after one was stopped.

A file of one line, the upload's address, locked by whoever sends. One that nobody locks was left by a command that is
gone. The address is no credential (the registry still asks who one is), but nobody else's business: only its owner may
read it, and `prune` removes it. Where the disk takes no such file, nothing is remembered, and nothing else is lost.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from pyoci.digest import digest_hex, sha256_digest
from pyoci.image.descriptor import Descriptor
from pyoci.store.arriving import WORTH_KEEPING_BYTES

__all__ = ["StoredUpload", "take_upload"]

_LONGEST = 16 * 1024
"""Of an address; registries put their state into it."""


class StoredUpload:
    """The place of one upload, locked until it is closed."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        text = os.pread(descriptor, _LONGEST, 0).decode("ascii", "replace")
        self.location = text.removesuffix("\n") if text.endswith("\n") else ""
        """What was kept last; empty where nothing was, or not all of it."""

    def keep(self, location: str) -> None:
        """Remembers where the upload goes on; empty for nowhere."""
        line = f"{location}\n".encode("ascii", "replace")
        if len(line) > _LONGEST:
            line = b""
        self.location = ""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            if os.pwrite(self._descriptor, line, 0) == len(line):
                self.location = location if line else ""

    def discard(self) -> None:
        """Removes the file: there is nothing to go on from."""
        with suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Gives it back: for the next command, unless it was discarded or nothing was kept."""
        if self._descriptor >= 0:
            if not self.location:
                self.discard()
            os.close(self._descriptor)
            self._descriptor = -1


def take_upload(temporary: Path, unique: str, repository: str, blob: Descriptor) -> StoredUpload | None:
    """The place of the upload of a blob to a repository, as an earlier command left it or empty; None for a blob that
    is sent again sooner than it is found, and where the file cannot be made.
    """
    if blob.size < WORTH_KEEPING_BYTES:
        return None
    key = digest_hex(sha256_digest(f"{repository}\0{blob.digest}".encode()))[:32]
    for path in sorted(temporary.glob(f"uploading.{key}.*")):
        descriptor = _locked(path)
        if descriptor is None:
            continue
        found = StoredUpload(descriptor, path)
        if found.location:
            return found
        found.discard()
        found.close()
    path, made = temporary / f"uploading.{key}.{unique}", temporary / f"upload.{unique}"
    try:
        descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        made.replace(path)
    except OSError:
        os.close(descriptor)
        with suppress(OSError):
            made.unlink()
        return None
    return StoredUpload(descriptor, path)


def _locked(path: Path) -> int | None:
    """A descriptor of a file that nobody else has; None if somebody does, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None
