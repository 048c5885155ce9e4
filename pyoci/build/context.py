"""A directory of this machine as files to copy from: the build context, or a named one.

Entries are read by directory descriptors and never through a symlink, so nothing outside the directory is reached. What
`.dockerignore` excludes is not there. Owners are 0:0 and times are left out: neither is a property of the sources.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from pyoci.build.context_index import ContextIndex, FileStamp
from pyoci.build.files import resolve_path
from pyoci.digest import Digest
from pyoci.errors import BuildError
from pyoci.layer.entry import Entry, EntryType, LayerPath
from pyoci.layer.protocols import OpenContent

__all__ = ["DirectoryContext", "IgnoreRules"]

_CHUNK = 1 << 20


class IgnoreRules(Protocol):
    """What `.dockerignore` says."""

    def excluded(self, path: str) -> bool:
        """Whether the path is left out."""

    def may_reinclude_below(self, path: str) -> bool:
        """Whether something below an excluded directory may be let in again."""


class _OpenDirectory:
    """A directory's descriptor, closed with the last reference to it."""

    __slots__ = ("descriptor", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class DirectoryContext:
    """A `FileView` of a directory. Each directory is listed once, each file read when it is asked for."""

    def __init__(
        self, root: Path, ignore: IgnoreRules | None = None, index: ContextIndex | None = None, *, mtime: int = 0
    ) -> None:
        """`mtime` is the time that every entry is given, in seconds since 1970."""
        self._root = root
        self._mtime = mtime
        self._ignore = ignore
        self._index = index
        self._lock = threading.RLock()
        self._directories: dict[str, dict[str, Entry]] = {}
        self._stamps: dict[str, FileStamp] = {}
        self._digests: dict[str, Digest] = {}
        self._inodes: dict[str, tuple[int, int]] = {}
        self._root_entry = Entry(LayerPath(""), "dir", mode=0o755, mtime=mtime)
        self._last: _OpenDirectory | None = None
        """Where a file was opened last."""

    def lookup_nofollow(self, path: str) -> Entry | None:
        if not path:
            return self._root_entry
        parent, _, name = path.rpartition("/")
        return self._list(parent).get(name)

    def resolve(self, path: str) -> LayerPath:
        return resolve_path(path, self.lookup_nofollow)

    def children(self, path: str) -> Sequence[Entry]:
        return list(self._list(path).values())

    def open_content(self, entry: Entry) -> BinaryIO | int:
        parent, _, name = entry.path.rpartition("/")
        try:
            with self._lock:  # files of one directory are read one after the other
                directory = self._last
                if directory is None or directory.path != parent:
                    directory = self._last = _OpenDirectory(parent, self._open_directory(parent))
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                return os.open(name, flags, dir_fd=directory.descriptor)
        except OSError as error:
            raise BuildError(f"cannot read {self._root / entry.path}: {error.strerror}") from error

    def digest_of(self, entry: Entry) -> Digest:
        known = self._digests.get(entry.path)
        if known is not None:
            return known
        stamp = self._stamps[entry.path]
        digest = self._index.get(entry.path, stamp) if self._index else None
        if digest is None:
            digest = self._read_digest(entry)
            if self._index:
                self._index.put(entry.path, stamp, digest)
        self._digests[entry.path] = digest
        return digest

    def inode(self, entry: Entry) -> Hashable | None:
        return self._inodes.get(entry.path)

    @contextmanager
    def one_pass(self, entries: Iterable[Entry], directory: Path) -> Iterator[OpenContent]:
        yield self.open_content

    @property
    def root(self) -> Path:
        return self._root

    def seen(self) -> Mapping[str, FileStamp]:
        """The stamps of everything that was looked at, by path: as long as they are the same, so is what was found."""
        return self._stamps

    def save_index(self) -> None:
        """Keeps the digests that were computed for the next build."""
        if self._index:
            self._index.save()

    def _read_digest(self, entry: Entry) -> Digest:
        opened = self.open_content(entry)
        assert isinstance(opened, int)
        digest = hashlib.sha256()
        try:
            while data := os.read(opened, _CHUNK):
                digest.update(data)
        finally:
            os.close(opened)
        return Digest("sha256:" + digest.hexdigest())

    def _open_directory(self, path: str) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        directory = os.open(self._root, flags)
        for part in path.split("/") if path else ():
            try:
                below = os.open(part, flags | os.O_NOFOLLOW, dir_fd=directory)
            finally:
                os.close(directory)
            directory = below
        return directory

    def _list(self, path: str) -> dict[str, Entry]:
        with self._lock:
            known = self._directories.get(path)
            if known is None:
                known = self._directories[path] = self._read_directory(path)
            return known

    def _read_directory(self, path: str) -> dict[str, Entry]:
        try:
            directory = self._open_directory(path)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            if error.errno == errno.ELOOP:  # the path is a symlink, which has no children of its own
                return {}
            raise BuildError(f"cannot read {self._root / path}: {error.strerror}") from error
        found: dict[str, Entry] = {}
        try:
            self._stamps.setdefault(path, _stamp(os.fstat(directory)))
            with os.scandir(directory) as listing:
                names = sorted(item.name for item in listing)
            for name in names:
                below = f"{path}/{name}" if path else name
                entry = self._entry(directory, name, below)
                if entry is not None and self._included(entry):
                    found[name] = entry
                elif below not in self._directories:
                    self._stamps.pop(below, None)  # what is left out may change
        except OSError as error:
            raise BuildError(f"cannot read {self._root / path}: {error.strerror}") from error
        finally:
            os.close(directory)
        return found

    def _entry(self, directory: int, name: str, path: str) -> Entry | None:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:  # a socket, which no layer can hold and docker leaves out as well
            return None
        link = os.readlink(name, dir_fd=directory) if kind == "symlink" else ""
        mode = 0o777 if kind == "symlink" else stat.S_IMODE(status.st_mode)
        device = (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in ("char", "block") else (0, 0)
        size = status.st_size if kind == "file" else 0
        self._stamps[path] = _stamp(status)
        if kind == "file" and status.st_nlink > 1:
            self._inodes[path] = (status.st_dev, status.st_ino)
        return Entry(LayerPath(path), kind, mode=mode, size=size, mtime=self._mtime, link=link, device=device)

    def _included(self, entry: Entry) -> bool:
        if self._ignore is None or not self._ignore.excluded(entry.path):
            return True
        if entry.type != "dir" or not self._ignore.may_reinclude_below(entry.path):
            return False
        return bool(self._list(entry.path))


def _stamp(status: os.stat_result) -> FileStamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


_TYPES: dict[int, EntryType] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
