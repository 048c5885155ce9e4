"""The flattened root file system of an image as a directory on this machine.

Owners are not applied: everything belongs to who runs pyoci, as with docker's local exporter. Modes, times, links and
what extended attributes the file system takes are. The destination may hold anything: no symbolic link in it is
followed, and a file appears under its name when it is whole.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO

from pyoci.errors import Cancelled, ContentError, LayerError
from pyoci.layer.entry import Entry, Upsert
from pyoci.layer.protocols import OpenContent
from pyoci.layer.tree import Tree, flatten
from pyoci.progress import Reporter

__all__ = ["remove_others", "write_root_directory"]

_CHUNK = 1 << 19
"""See `content/layout.py`."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER = 0o700


def write_root_directory(
    tree: Tree,
    directory: Path,
    *,
    scratch: Path,
    delete: bool = False,
    reporter: Reporter | None = None,
    cancelled: threading.Event | None = None,
) -> None:
    """Writes the whole tree into `directory`, which is made if it is not there.

    What is there under the same names is replaced, a directory by a file too; what has other names stays, unless
    `delete`. Device nodes are left out with a warning. Files that must wait for their turn are kept without a name in
    `scratch`.

    Raises:
        LayerError, ContentError, RegistryError: from the tree's layers.
        ContentError: the directory cannot be written.
        Cancelled: `cancelled` was set.
    """
    entries = [change.entry for change in flatten(tree) if isinstance(change, Upsert)]
    with _writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    writer = _Writer(root, directory)
    try:
        with tree.one_pass(entries, scratch) as open_content:
            for entry in entries:
                if cancelled is not None and cancelled.is_set():
                    raise Cancelled
                writer.write(entry, open_content)
        writer.finish(entries, delete=delete)
    finally:
        writer.close()
    _warn(writer, directory, reporter or Reporter())


def _warn(writer: _Writer, directory: Path, reporter: Reporter) -> None:
    if writer.devices:
        reporter.warning(f"left out of {directory}, where device nodes are not made: {_some(writer.devices)}")
    if writer.without_attributes:
        reporter.warning(
            f"written to {directory} without extended attributes that are not allowed there: "
            + _some(writer.without_attributes)
        )


def _some(paths: list[str]) -> str:
    shown = ", ".join(paths[:3])
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"


@contextmanager
def _writing(where: Path) -> Iterator[None]:
    """For the steps that write alone: what reading a layer raises is not the destination's fault."""
    try:
        yield
    except OSError as error:
        raise ContentError(f"cannot write {where}: {error.strerror}") from error


class _Writer:
    """Writes entries in the order of a walk; keeps the directories from the root to the last one open."""

    def __init__(self, root: int, directory: Path) -> None:
        self._open: list[tuple[str, int]] = [("", root)]
        self._directory = directory
        self._names: dict[str, set[str]] = {"": set()}
        self.devices: list[str] = []
        self.without_attributes: list[str] = []

    def close(self) -> None:
        for _, descriptor in self._open:
            os.close(descriptor)
        self._open = []

    def _folder(self, path: str) -> int:
        """A descriptor of a directory that was written before. Those that are not above it are closed."""
        while self._open[-1][0] and not f"{path}/".startswith(f"{self._open[-1][0]}/"):
            os.close(self._open.pop()[1])
        while self._open[-1][0] != path:
            above, descriptor = self._open[-1]
            name = path[len(above) :].lstrip("/").partition("/")[0]
            found = os.open(name, _DIRECTORY, dir_fd=descriptor)
            self._open.append((f"{above}/{name}".lstrip("/"), found))
        return self._open[-1][1]

    def write(self, entry: Entry, open_content: OpenContent) -> None:
        folder, _, name = entry.path.rpartition("/")
        if entry.type in ("char", "block") or (entry.type == "hardlink" and entry.link in self.devices):
            self.devices.append(entry.path)
            return
        where = self._directory / entry.path
        self._names[folder].add(name)
        with _writing(where):
            parent = self._folder(folder)
        if entry.type == "file":
            self._file(entry, parent, name, open_content(entry))
            return
        with _writing(where):
            if entry.type == "dir":
                self._names[entry.path] = set()
                _make_directory(parent, name)
                return
            with _replacing(parent, name) as partial:
                if entry.type == "symlink":
                    os.symlink(entry.link, partial, dir_fd=parent)
                elif entry.type == "hardlink":
                    self._hardlink(entry.link, parent, partial)
                    return
                else:
                    os.mkfifo(partial, dir_fd=parent)
                    _chmod(parent, partial, entry.mode)
                os.utime(partial, (entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _file(self, entry: Entry, parent: int, name: str, content: BinaryIO | int) -> None:
        where = self._directory / entry.path
        with closing(_Pieces(content)) as pieces, _replacing(parent, name, where) as partial:
            with _writing(where):
                out = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
            try:
                size = 0
                while data := pieces.next():
                    size += len(data)
                    with _writing(where):
                        _write_all(out, data)
                if size != entry.size:
                    raise LayerError(f'"{entry.path}" has {size} bytes, its layer says {entry.size}')
                with _writing(where):
                    self._attributes(entry, out)
            finally:
                os.close(out)

    def _attributes(self, entry: Entry, descriptor: int) -> None:
        for name, value in entry.xattrs.items():
            try:
                os.setxattr(descriptor, name, value)
            except OSError:
                self.without_attributes.append(entry.path)
                break
        os.fchmod(descriptor, entry.mode)
        os.utime(descriptor, (entry.mtime, entry.mtime))

    def _hardlink(self, target: str, parent: int, partial: str) -> None:
        """Another name of a file that was written before; a copy of it where the file system makes no second name."""
        folder, _, name = target.rpartition("/")
        with ExitStack() as stack:
            descriptor = self._open[0][1]
            for step in folder.split("/") if folder else ():
                descriptor = os.open(step, _DIRECTORY, dir_fd=descriptor)
                stack.callback(os.close, descriptor)
            try:
                os.link(name, partial, src_dir_fd=descriptor, dst_dir_fd=parent, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                    raise
                _copy(name, descriptor, partial, parent)

    def finish(self, entries: list[Entry], *, delete: bool) -> None:
        """Gives directories their modes and times, deepest first, now that nothing more is written into them."""
        for entry in reversed(entries):
            if entry.type == "dir":
                with _writing(self._directory / entry.path):
                    descriptor = self._folder(entry.path)
                    if delete:
                        _delete_others(descriptor, self._names[entry.path])
                    self._attributes(entry, descriptor)
        if delete:
            with _writing(self._directory):
                _delete_others(self._open[0][1], self._names[""])


class _Pieces:
    """The bytes of a file, from a stream or a descriptor."""

    def __init__(self, content: BinaryIO | int) -> None:
        self._content = content

    def next(self) -> bytes:
        if isinstance(self._content, int):
            return os.read(self._content, _CHUNK)
        return self._content.read(_CHUNK)

    def close(self) -> None:
        if isinstance(self._content, int):
            os.close(self._content)
        else:
            self._content.close()


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


@contextmanager
def _replacing(parent: int, name: str, where: Path | None = None) -> Iterator[str]:
    """A name for something to be made, which replaces `name` when the block ends well and is gone when it does not."""
    partial = f".partial-{os.urandom(8).hex()}"
    try:
        yield partial
        with _writing(where) if where else nullcontext():
            try:
                os.rename(partial, name, src_dir_fd=parent, dst_dir_fd=parent)
            except IsADirectoryError:
                rmtree(name, dir_fd=parent)
                os.rename(partial, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial, dir_fd=parent)
        raise


def _make_directory(parent: int, name: str) -> None:
    """A directory that its owner can write into; one that is there is taken, whatever else is there is replaced."""
    try:
        os.mkdir(name, _OWNER, dir_fd=parent)
        return
    except FileExistsError:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
        os.mkdir(name, _OWNER, dir_fd=parent)
    elif status.st_mode & _OWNER != _OWNER:
        _chmod(parent, name, stat.S_IMODE(status.st_mode) | _OWNER)


def _chmod(parent: int, name: str, mode: int) -> None:
    """Changes a mode without following a link and without opening what might wait for a reader."""
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{found}").chmod(mode)
    finally:
        os.close(found)


def _copy(name: str, source: int, target: str, parent: int) -> None:
    found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        status = os.fstat(found)
        out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
        try:
            while data := os.read(found, _CHUNK):
                _write_all(out, data)
            os.fchmod(out, stat.S_IMODE(status.st_mode))
            os.utime(out, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(out)
    finally:
        os.close(found)


def remove_others(directory: Path, names: set[str]) -> None:
    """Removes what is in a directory under other names.

    Raises:
        ContentError: it cannot be removed.
    """
    with _writing(directory):
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _delete_others(folder, names)
        finally:
            os.close(folder)


def _delete_others(folder: int, names: set[str]) -> None:
    for name in os.listdir(folder):
        if name not in names:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                rmtree(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
