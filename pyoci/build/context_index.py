"""Remembers the digests of a context's files, so that an unchanged context is walked but not read.

As git's index does: a file whose size, times and inode are as they were has the digest that it had. A file that changed
so shortly before it was read that its times could not tell a second change ("racy") is not remembered.
"""

from __future__ import annotations

import marshal
import os
from contextlib import suppress
from typing import TypeAlias

from pyoci.digest import Digest, digest_hex, sha256_digest
from pyoci.errors import ContentError
from pyoci.store import Store

__all__ = ["RACY_NANOSECONDS", "ContextIndex", "FileStamp", "store_clock"]

FileStamp: TypeAlias = "tuple[int, int, int, int]"
"""Size in bytes, modification and change time in nanoseconds, inode."""

RACY_NANOSECONDS = 50_000_000
"""What was changed so shortly before it was looked at could be changed once more without a trace in its times."""

_VERSION = 1


def store_clock(store: Store) -> int:
    """Now, in nanoseconds, by the clock that stamps files; 0 if no file can be made."""
    path = store.temporary_path("stamp")
    with suppress(OSError):
        path.touch()
        now = path.stat().st_mtime_ns
        path.unlink()
        return now
    return 0


class ContextIndex:
    """The index of one directory. Not thread-safe by itself: a dict is, for what it does."""

    def __init__(self, store: Store, directory: str) -> None:
        """The index of `directory` (a real path), as it was saved last; empty when there is none or it is damaged."""
        self._store = store
        self._name = f"context-{digest_hex(sha256_digest(os.fsencode(directory)))[:32]}"
        self._known: dict[str, tuple[FileStamp, str]] = {}
        self._seen: dict[str, tuple[FileStamp, str]] = {}
        self._changed = False
        self._started = store_clock(store)
        raw = store.read_file("indexes", self._name)
        if raw is not None:
            with suppress(ValueError, EOFError, TypeError):
                version, known = marshal.loads(raw)
                if version == _VERSION and isinstance(known, dict):
                    self._known = known

    def get(self, path: str, stamp: FileStamp) -> Digest | None:
        """The digest of the file's bytes if it is unchanged since it was last read."""
        entry = self._known.get(path)
        if entry is None or entry[0] != stamp:
            return None
        self._seen[path] = entry
        return Digest("sha256:" + entry[1])

    def put(self, path: str, stamp: FileStamp, digest: Digest) -> None:
        """Remembers what was read. `stamp` is from before the reading began."""
        if max(stamp[1], stamp[2]) < self._started - RACY_NANOSECONDS:
            self._seen[path] = (stamp, digest_hex(digest))
            self._changed = True

    def save(self) -> None:
        """Writes what was seen, if anything is new. A full disk here is no error: the index only saves time."""
        if self._changed:
            with suppress(ContentError):
                self._store.write_file("indexes", self._name, marshal.dumps((_VERSION, {**self._known, **self._seen})))
