"""What a process was promised at certain paths: binds, caches, memory, files, sockets. Part of the worker."""

from __future__ import annotations

import _socket
import os
import stat

from pyoci.sandbox import mounting
from pyoci.sandbox.failure import Attempt, Failure, reason_of
from pyoci.sandbox.mounting import MS_NODEV, MS_NOEXEC, MS_NOSUID
from pyoci.sandbox.resolve import walk
from pyoci.sandbox.rootfs import stack

__all__ = ["check", "depth", "laid_content", "mount_all", "open_sources", "wants_directory"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.sandbox.messages import BindMessage, FileMessage, MountMessage, SocketMessage, TmpfsMessage
    from pyoci.sandbox.rootfs import Stage

_FORBIDDEN = ("/proc", "/sys")
_NOT_MAPPED = "the file system of this machine's own directories lets steps read what only root may read of them"


def depth(target: str) -> int:
    """How many components a path has."""
    return sum(part not in ("", ".") for part in target.split("/"))


def check(mounts: Sequence[MountMessage]) -> None:
    """Refuses mount points that no process may be given.

    Raises:
        Failure: one is the root, relative, or in /proc or /sys.
    """
    for mount in mounts:
        target = mount["target"]
        if not target.startswith("/") or not depth(target):
            raise Failure(f'the mount point "{target}" is not an absolute path below the root')
        for path in _FORBIDDEN:
            if target == path or target.startswith(path + "/"):
                raise Failure(f'the mount point "{target}" lies in {path}, which is the kernel\'s')


def open_sources(stage: Stage, mounts: Sequence[MountMessage]) -> list[int]:
    """What each bind shows, opened (O_PATH); -1 for other mounts. Stacks that are sources are mounted for it.

    Raises:
        Failure: a source is not there.
    """
    sources = []
    for mount in mounts:
        source = -1
        if mount["kind"] == "bind":
            root, path = mount["root"], mount["source"]
            if root is not None:
                path = stack(root, stage, access=mount["access"])
            source = _open_source(path, mount["source_path"])
        sources.append(source)
    return sources


def wants_directory(mount: MountMessage, source: int) -> bool:
    """Whether its mount point must be a directory."""
    if mount["kind"] == "bind":
        return stat.S_ISDIR(os.stat(source).st_mode)
    return mount["kind"] == "tmpfs"


def laid_content(mount: MountMessage) -> bytes | None:
    """What a file that lies beneath the writes holds; None for other mounts."""
    return mount["content"] if mount["kind"] == "file" and mount["beneath"] else None


def mount_all(stage: Stage, mounts: Sequence[MountMessage], sources: Sequence[int]) -> list[int]:
    """Makes every mount, in the order given; the listening sockets of those that are sockets, in the same order.

    Raises:
        Failure: a target is of the wrong type, or the kernel refuses.
    """
    listening: list[int] = []
    for mount, source in zip(mounts, sources, strict=True):
        match mount["kind"]:
            case "bind":
                _mount_bind(stage, mount, source)
            case "tmpfs":
                _mount_tmpfs(stage, mount)
            case "file" if mount["beneath"]:
                _lay_file(stage, mount)
            case "file":
                _mount_file(stage, mount)
            case "socket":
                listening.append(_mount_socket(stage, mount))
    return listening


def _open_source(base: str, inside: str) -> int:
    with Attempt(f'cannot open the mount source "{inside or base}"'):
        root = mounting.open_path(base)
        if not inside.strip("/"):
            return root
        try:
            place = walk(root, inside)
        finally:
            os.close(root)
        if not place.exists:
            place.close()
            raise Failure(f'the mount source "{inside}" does not exist')
        return place.descriptor


def _mount_bind(stage: Stage, mount: BindMessage, source: int) -> None:
    access = mount["access"]
    kind = stat.S_IFMT(os.stat(source).st_mode)
    if mount["owner"] is not None and kind == stat.S_IFDIR:
        _give(source, mount["owner"])
    if access == "discard" and mount["root"] is None and kind in (stat.S_IFDIR, stat.S_IFREG):
        source = _throwaway_copy(stage, source, directory=kind == stat.S_IFDIR)
    target, path = stage.place(mount["target"], directory=kind == stat.S_IFDIR)
    with Attempt(f'cannot mount "{mount["target"]}"'):
        owners = stage.nobody() if mount["public"] else -1
        attributes = stage.attributes | (MS_NOSUID if mount["public"] else 0)
        if not mounting.bind(
            source, target, path, read_only=access == "read-only", attributes=attributes, owners=owners
        ):
            stage.notes.append(_NOT_MAPPED)
    os.close(source)
    os.close(target)


def _give(directory: int, owner: tuple[int, int, int]) -> None:
    """Gives an empty directory to its user; one that holds something was given away before."""
    uid, gid, mode = owner
    path = mounting.by_descriptor(directory)
    if os.listdir(path):
        return
    try:
        os.chown(path, uid, gid)
    except OSError as error:
        if error.errno != 22:
            raise Failure(f"cannot give the mount source to {uid}:{gid}: {reason_of(error)}") from error
        # EINVAL: the namespace has no such ID. In single mode whoever runs owns every file anyway.
    os.chmod(path, mode)


def _throwaway_copy(stage: Stage, source: int, *, directory: bool) -> int:
    """What looks like the source and may be written to without changing it."""
    if directory:
        upper, work = stage.throwaway_directories()
        status = os.stat(source)
        os.chmod(mounting.by_descriptor(upper), stat.S_IMODE(status.st_mode))
        try:
            os.chown(mounting.by_descriptor(upper), status.st_uid, status.st_gid)
        except OSError:
            pass  # an owner from outside the namespace: nobody's to the process either way
        target = stage.fresh_directory()
        mounting.mount_overlay([source], upper, work, target, user=stage.user, attributes=stage.attributes)
        return mounting.open_path(target)
    path = stage.fresh_file()
    with Attempt("cannot copy the mount source"):
        reader = os.open(mounting.by_descriptor(source), os.O_RDONLY | os.O_CLOEXEC)
        writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        while data := os.read(reader, 1 << 20):
            os.write(writer, data)
        os.fchmod(writer, stat.S_IMODE(os.fstat(reader).st_mode))
        os.close(reader)
        os.close(writer)
    return mounting.open_path(path)


def _mount_tmpfs(stage: Stage, mount: TmpfsMessage) -> None:
    target, _ = stage.place(mount["target"], directory=True)
    size = f",size={mount['size_bytes']}" if mount["size_bytes"] else ""
    with Attempt(f'cannot mount memory at "{mount["target"]}"'):
        mounting.mount(
            "tmpfs", mounting.by_descriptor(target), "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mount['mode']:o}{size}"
        )
    os.close(target)


def _mount_file(stage: Stage, mount: FileMessage) -> None:
    path = stage.fresh_file()
    with Attempt(f'cannot make the file for "{mount["target"]}"'):
        writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        content = memoryview(mount["content"])
        while content:
            content = content[os.write(writer, content) :]
        os.close(writer)
    _show(stage, path, mount, attributes=MS_NOSUID | MS_NODEV | (0 if mount["mode"] & 0o111 else MS_NOEXEC))


def _lay_file(stage: Stage, mount: FileMessage) -> None:
    """Mounts a file that could not be laid beneath, being in another mount or in a root that is no stack."""
    if mount["target"] in stage.laid:
        return
    try:
        _mount_file(stage, mount)
    except Failure:
        stage.notes.append(f"{mount['target']} is not shown to a step: something else is mounted there")


def _mount_socket(stage: Stage, mount: SocketMessage) -> int:
    path = stage.fresh_file()
    with Attempt(f'cannot make the socket for "{mount["target"]}"'):
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        # By descriptor: an address holds 108 bytes.
        directory, _, name = path.rpartition("/")
        opened = mounting.open_path(directory)
        listener.bind(f"{mounting.by_descriptor(opened)}/{name}")
        os.close(opened)
        listener.listen(16)
    _show(stage, path, mount, attributes=0)
    return listener.detach()


def _show(stage: Stage, path: str, mount: FileMessage | SocketMessage, *, attributes: int) -> None:
    """Binds a file in memory to its target, with the owner and mode that were asked for."""
    with Attempt(f'cannot mount "{mount["target"]}"'):
        os.chmod(path, mount["mode"])
        try:
            os.chown(path, mount["uid"], mount["gid"])
        except OSError as error:
            if error.errno != 22:
                raise
            # EINVAL: the namespace has no such ID; whoever runs in single mode owns every file.
        source = mounting.open_path(path)
        target, place = stage.place(mount["target"], directory=False)
        read_only = mount["kind"] == "file" and not mount["writable"]
        mounting.bind(source, target, place, read_only=read_only, attributes=attributes)
        os.close(source)
        os.close(target)
