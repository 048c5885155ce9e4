"""Mounts without mounting: files are put into a root directory before a run and taken out of it afterwards.

For chroot mode, where nothing can be mounted. What was at a place is moved aside, outside of the root, and moved
back; the time of the directory around it is put back unless the run changed it too. Every directory that matters is
held open from the beginning: whatever the run makes of the names, taking out leads to no other place. Part of the
worker.
"""

from __future__ import annotations

import _socket
import errno
import os
import stat

from pyoci.sandbox.failure import Attempt, Failure
from pyoci.sandbox.mounting import by_descriptor
from pyoci.sandbox.mounts import check, depth
from pyoci.sandbox.resolve import Place, walk

__all__ = ["Placement"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyoci.sandbox.messages import BindMessage, FileMessage, MountMessage

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))


class Placement:
    """What has been put into one root; `undo` takes it all out again, last first."""

    def __init__(self, root: str) -> None:
        self._root = os.open(root, _DIRECTORY)
        directory, _, name = root.rstrip("/").rpartition("/")
        self._beside = os.open(directory or "/", _DIRECTORY)
        self._aside_name = f"{name}.aside"
        os.mkdir(self._aside_name, 0o700, dir_fd=self._beside)
        self._aside = os.open(self._aside_name, _DIRECTORY, dir_fd=self._beside)
        self._undo: list[Callable[[], None]] = []
        self._times: list[tuple[int, int, int]] = []
        """Directories in which something was placed: their time before, and after everything was placed."""
        self._laid: set[str] = set()
        """Paths of files that the run may make its own."""
        self.sockets: list[int] = []
        """Listening sockets, in the order of their mounts."""

    def seal(self) -> None:
        """Called when everything is in place: what changes a directory from now on is the run."""
        self._times = [(number, before, os.stat(number).st_mtime_ns) for number, before, _ in self._times]

    def undo(self) -> None:
        """Restores the root to what it was, but for what the run did to it elsewhere."""
        changed = {number: os.stat(number).st_mtime_ns for number, _, _ in self._times}
        for step in reversed(self._undo):
            step()
        for number, before, after in reversed(self._times):  # of one directory the oldest time is the right one
            time = before if changed[number] == after else changed[number]
            os.utime(by_descriptor(number), ns=(time, time))
        os.rmdir(self._aside_name, dir_fd=self._beside)

    def devices(self) -> bool:
        """Makes the device nodes that every program expects, where they are missing; whether it could."""
        for name, major, minor in _DEVICES:

            def make(parent: int, name: str, device: int = os.makedev(major, minor)) -> None:
                os.mknod(name, stat.S_IFCHR | 0o600, device, dir_fd=parent)
                os.chmod(name, 0o666, dir_fd=parent)

            try:
                self._place(f"/dev/{name}", make, replace=False)
            except PermissionError:
                return False
        return True

    def mounts(self, mounts: Sequence[MountMessage]) -> None:
        """Stands in for every mount.

        Raises:
            Failure: one cannot be stood in for.
        """
        check(mounts)
        for mount in sorted(mounts, key=lambda mount: depth(mount["target"])):
            with Attempt(f'cannot place "{mount["target"]}"'):
                self._stand_in(mount)

    def _stand_in(self, mount: MountMessage) -> None:
        match mount["kind"]:
            case "tmpfs":
                mode = mount["mode"]
                self._place(mount["target"], lambda parent, name: _make_directory(parent, name, mode))
            case "file" if mount["beneath"]:
                self._lay(mount)
            case "file":
                content, owner = mount["content"], (mount["uid"], mount["gid"], mount["mode"])
                self._place(mount["target"], lambda parent, name: _make_file(parent, name, content, owner))
            case "socket":
                owner = (mount["uid"], mount["gid"], mount["mode"])
                self._place(mount["target"], lambda parent, name: self._make_socket(parent, name, owner))
            case "bind":
                self._stand_in_for_bind(mount)

    def _lay(self, mount: FileMessage) -> None:
        """Lays a file that the run may make its own: it is taken out only if it is still what was laid."""
        place = walk(self._root, mount["target"])
        occupied = place.exists
        if place.path in self._laid or (occupied and not stat.S_ISREG(os.stat(place.descriptor).st_mode)):
            place.close()
            return
        self._laid.add(place.path)
        parent, name = self._parent_of(place)
        aside = str(len(self._undo))
        if occupied:
            os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=self._aside)
        _make_file(parent, name, mount["content"], (mount["uid"], mount["gid"], mount["mode"]))
        laid = _state(parent, name)

        def take_out() -> None:
            if _state(parent, name) == laid:
                os.unlink(name, dir_fd=parent)
                if occupied:
                    os.rename(aside, name, src_dir_fd=self._aside, dst_dir_fd=parent)
            elif occupied:
                os.unlink(aside, dir_fd=self._aside)

        self._undo.append(take_out)

    def _stand_in_for_bind(self, mount: BindMessage) -> None:
        root, base = mount["root"], mount["source"]
        if root is not None and not root["path"]:
            raise Failure(
                "without namespaces a step cannot be shown the files of another stage",
                "copy them with COPY --from, or see `pyoci doctor` for a better mode",
            )
        source = _resolve(base if root is None else root["path"], mount["source_path"])
        owner = mount["owner"]
        if owner is not None and os.path.isdir(source) and not os.listdir(source):
            os.chown(source, owner[0], owner[1])
            os.chmod(source, owner[2])
        if mount["access"] != "read-write":
            self._place(mount["target"], lambda parent, name: _copy(source, f"{by_descriptor(parent)}/{name}"))
            return
        home, _, own = source.rpartition("/")
        held = os.open(home or "/", _DIRECTORY)
        parent, name = self._place(mount["target"], lambda parent, name: _move(held, own, parent, name), remove=False)
        self._undo.append(lambda: _move(parent, name, held, own))

    def _place(
        self, target: str, make: Callable[[int, str], None], *, replace: bool = True, remove: bool = True
    ) -> tuple[int, str]:
        """Makes something at a place, having moved away what is there: the directory (open) and the name.

        With `replace` off only where there is nothing. With `remove` off the caller takes it away itself.
        """
        place = walk(self._root, target)
        occupied = place.exists
        parent, name = self._parent_of(place)
        if occupied and not replace:
            return parent, name
        if occupied:
            aside = str(len(self._undo))
            os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=self._aside)
            self._undo.append(lambda: os.rename(aside, name, src_dir_fd=self._aside, dst_dir_fd=parent))
        make(parent, name)
        if remove:
            self._undo.append(lambda: _remove(parent, name))
        return parent, name

    def _parent_of(self, place: Place) -> tuple[int, str]:
        """The directory of a place, made where it is missing, and the last component. Notes old times."""
        *directories, name = place.components
        place.close()
        parent = os.open(".", _DIRECTORY, dir_fd=self._root)
        for number, component in enumerate(directories):
            if number >= place.existing:
                if number == place.existing:
                    self._times.append((parent, os.stat(parent).st_mtime_ns, 0))
                os.mkdir(component, 0o755, dir_fd=parent)
                self._undo.append(_remover_of_empty(parent, component))
            parent = os.open(component, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        if place.existing >= len(directories):
            self._times.append((parent, os.stat(parent).st_mtime_ns, 0))
        return parent, name

    def _make_socket(self, parent: int, name: str, owner: tuple[int, int, int]) -> None:
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        listener.bind(f"{by_descriptor(parent)}/{name}")  # by descriptor: an address holds 108 bytes
        listener.listen(16)
        os.chown(name, owner[0], owner[1], dir_fd=parent)
        os.chmod(name, owner[2], dir_fd=parent)
        self.sockets.append(listener.detach())


def _resolve(base: str, inside: str) -> str:
    """The path of a mount source, resolved inside `base`."""
    if not inside.strip("/"):
        return base
    root = os.open(base, _DIRECTORY)
    try:
        place = walk(root, inside)
    finally:
        os.close(root)
    place.close()
    if not place.exists:
        raise Failure(f'the mount source "{inside}" does not exist')
    return base + place.path


def _make_directory(parent: int, name: str, mode: int) -> None:
    os.mkdir(name, dir_fd=parent)
    os.chmod(name, mode, dir_fd=parent)


def _make_file(parent: int, name: str, content: bytes, owner: tuple[int, int, int]) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fchown(descriptor, owner[0], owner[1])
        os.fchmod(descriptor, owner[2])
    finally:
        os.close(descriptor)


def _state(parent: int, name: str) -> tuple[int, int, int, int] | None:
    """What tells whether a file was touched; None if it is gone."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _copy(source: str, target: str) -> None:
    """A copy with owners and times, that the run may do with what it likes."""
    import shutil  # needed in this mode only

    def copy(one: str, other: str) -> None:
        shutil.copy2(one, other, follow_symlinks=False)
        status = os.lstat(one)
        os.chown(other, status.st_uid, status.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(other, stat.S_IMODE(status.st_mode))

    if not os.path.isdir(source):
        copy(source, target)
        return
    shutil.copytree(source, target, symlinks=True, copy_function=copy)
    for base, directories, _ in os.walk(source):
        for name in ("", *directories):
            status = os.lstat(os.path.join(base, name))
            if stat.S_ISDIR(status.st_mode):
                copied = os.path.join(target, os.path.relpath(os.path.join(base, name), source))
                os.chown(copied, status.st_uid, status.st_gid)
                os.chmod(copied, stat.S_IMODE(status.st_mode))


def _move(parent: int, name: str, new_parent: int, new_name: str) -> None:
    """Moves a cache into the root and back out; between file systems it is copied."""
    try:
        os.rename(name, new_name, src_dir_fd=parent, dst_dir_fd=new_parent)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(f"{by_descriptor(parent)}/{name}", f"{by_descriptor(new_parent)}/{new_name}")
        _remove(parent, name)


def _remove(parent: int, name: str) -> None:
    """Takes away what was placed, whatever the run made of it."""
    import shutil

    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return


def _remover_of_empty(parent: int, name: str) -> Callable[[], None]:
    def remove() -> None:
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError:
            return  # the run put something into it: it is part of the result

    return remove
