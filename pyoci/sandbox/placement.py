"""Mounts without mounting: files are put into a root directory before a run and taken out of it afterwards.

For chroot mode, where nothing can be mounted. What was at a place is moved aside, outside of the root, and moved back;
the time of the directory around it is put back unless the run changed it too. Part of the worker.
"""

from __future__ import annotations

import _socket
import os
import stat

from pyoci.sandbox.failure import Attempt, Failure
from pyoci.sandbox.mounts import check, depth
from pyoci.sandbox.resolve import walk

__all__ = ["Placement"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyoci.sandbox.messages import BindMessage, MountMessage

_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))


class Placement:
    """What has been put into one root; `undo` takes it all out again, last first."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._aside = f"{root.rstrip('/')}.aside"
        self._undo: list[Callable[[], None]] = []
        self._times: dict[str, tuple[int, int]] = {}
        """Directories in which something was placed: their time before, and after everything was placed."""
        self.sockets: list[int] = []
        """Listening sockets, in the order of their mounts."""
        os.mkdir(self._aside, 0o700)

    def seal(self) -> None:
        """Called when everything is in place: what changes a directory from now on is the run."""
        self._times = {path: (before, os.stat(path).st_mtime_ns) for path, (before, _) in self._times.items()}

    def undo(self) -> None:
        """Restores the root to what it was, but for what the run did to it elsewhere."""
        times = {}
        for path, (before, after) in self._times.items():
            if os.path.isdir(path):
                now = os.stat(path).st_mtime_ns
                times[path] = before if now == after else now
        for step in reversed(self._undo):
            step()
        for path, time in times.items():
            if os.path.isdir(path):  # else it was placed too
                os.utime(path, ns=(time, time))
        os.rmdir(self._aside)

    def devices(self) -> bool:
        """Makes the device nodes that every program expects, where they are missing; whether it could."""
        self._place("/dev", lambda path: os.mkdir(path, 0o755), replace=False)
        for name, major, minor in _DEVICES:

            def make(path: str, major: int = major, minor: int = minor) -> None:
                os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(major, minor))
                os.chmod(path, 0o666)

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
        target = mount["target"]
        match mount["kind"]:
            case "tmpfs":
                mode = mount["mode"]
                self._place(target, lambda path: _make_directory(path, mode))
            case "file":
                content, owner = mount["content"], (mount["uid"], mount["gid"], mount["mode"])
                self._place(target, lambda path: _make_file(path, content, owner))
            case "socket":
                owner = (mount["uid"], mount["gid"], mount["mode"])
                self._place(target, lambda path: self.sockets.append(_make_socket(path, owner)))
            case "bind":
                self._stand_in_for_bind(target, mount)

    def _stand_in_for_bind(self, target: str, mount: BindMessage) -> None:
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
            self._place(target, lambda path: _copy(source, path))
            return
        path = self._place(target, lambda path: _move(source, path), remove=False)
        self._undo.append(lambda: _move(path, source))

    def _place(self, target: str, make: Callable[[str], object], *, replace: bool = True, remove: bool = True) -> str:
        """Makes something at a place, having moved away what is there; its path.

        With `replace` off only where there is nothing. With `remove` off the caller takes it away itself.
        """
        root = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            place = walk(root, target)
        finally:
            os.close(root)
        place.close()
        path = self._root + place.path
        if place.exists and not replace:
            return path
        directory = self._root + "/" + "/".join(place.components[: min(place.existing, len(place.components) - 1)])
        self._times.setdefault(directory, (os.stat(directory).st_mtime_ns, 0))
        for length in range(place.existing + 1, len(place.components)):
            parent = self._root + "/" + "/".join(place.components[:length])
            os.mkdir(parent, 0o755)
            self._undo.append(_remover_of_empty(parent))
        if place.exists:
            aside = f"{self._aside}/{len(self._undo)}"
            os.rename(path, aside)
            self._undo.append(lambda: os.rename(aside, path))
        make(path)
        if remove:
            self._undo.append(lambda: _remove(path))
        return path


def _resolve(base: str, inside: str) -> str:
    """The path of a mount source, resolved inside `base`."""
    if not inside.strip("/"):
        return base
    root = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        place = walk(root, inside)
    finally:
        os.close(root)
    place.close()
    if not place.exists:
        raise Failure(f'the mount source "{inside}" does not exist')
    return base + place.path


def _make_directory(path: str, mode: int) -> None:
    os.mkdir(path)
    os.chmod(path, mode)


def _make_file(path: str, content: bytes, owner: tuple[int, int, int]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fchown(descriptor, owner[0], owner[1])
        os.fchmod(descriptor, owner[2])
    finally:
        os.close(descriptor)


def _make_socket(path: str, owner: tuple[int, int, int]) -> int:
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    directory, _, name = path.rpartition("/")
    opened = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener.bind(f"/proc/self/fd/{opened}/{name}")
    os.close(opened)
    listener.listen(16)
    os.chown(path, owner[0], owner[1])
    os.chmod(path, owner[2])
    return listener.detach()


def _copy(source: str, target: str) -> None:
    """A copy with owners and times, that the run may do with what it likes."""
    import shutil  # needed in this mode only

    def copy(one: str, other: str) -> None:
        shutil.copy2(one, other, follow_symlinks=False)
        status = os.lstat(one)
        os.chown(other, status.st_uid, status.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(other, stat.S_IMODE(status.st_mode))

    if os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True, copy_function=copy)
        for base, directories, _ in os.walk(source):
            for name in ("", *directories):
                status = os.lstat(os.path.join(base, name))
                if stat.S_ISDIR(status.st_mode):
                    copied = os.path.join(target, os.path.relpath(os.path.join(base, name), source))
                    os.chown(copied, status.st_uid, status.st_gid)
                    os.chmod(copied, stat.S_IMODE(status.st_mode))
    else:
        copy(source, target)


def _move(source: str, target: str) -> None:
    """Moves a cache into the root and back out; between file systems it is copied."""
    import errno
    import shutil

    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(source, target)
        shutil.rmtree(source) if os.path.isdir(source) else os.unlink(source)


def _remove(path: str) -> None:
    """Takes away what was placed, whatever the run made of it."""
    import shutil

    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        return


def _remover_of_empty(path: str) -> Callable[[], None]:
    def remove() -> None:
        try:
            os.rmdir(path)
        except OSError:
            return  # the run put something into it: it is part of the result

    return remove
