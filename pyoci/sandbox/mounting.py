"""Mount calls: the descriptor-based ones of Linux 5.2 and later, and mount(2) where those are missing or filtered.

Part of the worker. Sources: fsopen(2), fsconfig(2), move_mount(2), open_tree(2), mount_setattr(2), mount(2),
Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import ctypes
import os

from pyoci.sandbox import kernel
from pyoci.sandbox.failure import Failure, reason_of

__all__ = [
    "MAXIMUM_LOWERS",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_REMOUNT",
    "MS_SLAVE",
    "attach",
    "bind",
    "by_descriptor",
    "clone",
    "mount",
    "mount_id",
    "mount_overlay",
    "open_path",
    "pivot",
    "set_attributes",
    "unmount",
]

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
_MNT_DETACH = 2

_MOUNT_ATTR_IDMAP = 0x10_0000
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_CLONE_FLAGS = 1 | os.O_CLOEXEC | _AT_EMPTY_PATH | _AT_RECURSIVE  # OPEN_TREE_CLONE
_FSOPEN_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_FSMOUNT_CLOEXEC = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOVE_MOUNT_T_EMPTY_PATH = 0x40

_ENOSYS = 38
_EPERM = 1
_EINVAL = 22
MAXIMUM_LOWERS = 500
"""Of one overlay (kernel: fs/overlayfs, OVL_MAX_STACK)."""


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """Mounts the old way. Data over a page would be cut silently by the kernel and is refused here."""
    encoded = os.fsencode(data)
    if len(encoded) >= 4096:
        raise OSError(7, os.strerror(7), target)
    result = kernel.libc.mount(
        None if source is None else os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        encoded or None,
    )
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def unmount(target: str) -> None:
    """Detaches a mount and everything mounted in it."""
    if kernel.libc.umount2(os.fsencode(target), ctypes.c_int(_MNT_DETACH)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def by_descriptor(descriptor: int) -> str:
    """A path for what a descriptor of this process is open at."""
    return f"/proc/self/fd/{descriptor}"


def open_path(path: str, *, directory: int | None = None, follow: bool = True) -> int:
    """A descriptor that only names what is at `path`."""
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    return os.open(path, flags, dir_fd=directory)


def pivot(root: str) -> None:
    """Makes the mount at `root` the root of this mount namespace and lets go of the old one."""
    os.chdir(root)
    kernel.syscall("pivot_root", b".", b".")
    # The old root now lies over the new one. It must not take its mounts in the outer namespace with it.
    mount(None, ".", None, MS_SLAVE | MS_REC)
    unmount(".")
    os.chdir("/")
    # What was shown of the outer namespace would follow it.
    mount(None, "/", None, MS_PRIVATE | MS_REC)


def set_attributes(descriptor: int, attributes: int, *, recursive: bool, namespace: int = 0) -> None:
    """Adds attributes (MOUNT_ATTR_RDONLY 1, NOSUID 2, NODEV 4, NOEXEC 8, IDMAP 0x100000) to the mount that a descriptor
    is open in. `namespace` is a descriptor of the user namespace by which IDMAP maps.
    """
    values = (ctypes.c_uint64 * 4)(attributes, 0, 0, namespace)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    kernel.syscall("mount_setattr", descriptor, b"", flags, ctypes.byref(values), 32)


def bind(source: int, target: int, target_path: str, *, read_only: bool, attributes: int = 0, owners: int = -1) -> bool:
    """Shows the tree that `source` is open at (with what is mounted in it) at the place that `target` is open at.

    `target_path` is a path to the same place without symlinks, for kernels that need one. `owners` is a user namespace
    by which the owners of files are mapped; returns whether that could be done, if it was asked for.
    """
    attributes |= MS_RDONLY if read_only else 0
    tree = clone(source, attributes)
    if tree is None:
        _bind_by_path(source, target_path, attributes)
        return owners < 0
    try:
        mapped = owners < 0 or _map_owners(tree, owners)
        attach(tree, target)
        return mapped
    finally:
        os.close(tree)


def _map_owners(tree: int, namespace: int) -> bool:
    """Linux 5.12 and later, and as each file system allows."""
    try:
        set_attributes(tree, _MOUNT_ATTR_IDMAP, recursive=True, namespace=namespace)
    except OSError as error:
        if error.errno not in (_EINVAL, _EPERM):
            raise
        return False
    return True


def clone(source: int, attributes: int = 0) -> int | None:
    """A descriptor of a detached copy of the mount tree at `source`; None for kernels that have none (before 5.12)."""
    tree = -1
    try:
        tree = kernel.syscall("open_tree", source, b"", _CLONE_FLAGS)
        if attributes:
            set_attributes(tree, attributes, recursive=True)
        return tree
    except OSError as error:
        if tree >= 0:
            os.close(tree)
        # A container's filter answers EPERM to the first call; the second is refused only for a reason.
        if error.errno == _ENOSYS or (error.errno == _EPERM and tree < 0):
            return None
        raise


def attach(tree: int, target: int) -> None:
    """Mounts a detached tree at the place that `target` is open at."""
    kernel.syscall("move_mount", tree, b"", target, b"", _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH)


def mount_id(descriptor: int) -> int:
    """The number of the mount that a descriptor is open in."""
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as stream:
        for line in stream:
            if line.startswith(b"mnt_id:"):
                return int(line[7:])
    raise OSError(2, os.strerror(2), "mnt_id")


def _bind_by_path(source: int, target: str, attributes: int) -> None:
    """For kernels before 5.12. Attributes reach one mount: where there are any, nothing mounted in it is shown."""
    recursive = 0 if attributes & MS_RDONLY else MS_REC
    mount(by_descriptor(source), target, None, MS_BIND | recursive)
    if attributes:
        kept = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
        mount(None, target, None, MS_REMOUNT | MS_BIND | attributes | kept)


def mount_overlay(
    lowers: list[int], upper: int | None, work: int | None, target: str, *, user: bool, attributes: int = 0
) -> None:
    """Mounts directories, uppermost first and given by descriptors, stacked at `target`.

    `user` is for mounts inside a user namespace, which keep their marks in `user.overlay.*`. The upper directory is not
    synchronised to disk (`volatile`) where the kernel allows it, and never holds redirects or metadata-only copies, so
    that it can be read back as a layer.

    Raises:
        Failure: with the kernel's own words where it gave some.
    """
    if len(lowers) > MAXIMUM_LOWERS:
        raise Failure(
            f"a root file system of more than {2 * MAXIMUM_LOWERS - 1} layers",
            "flatten the base image, or join RUN instructions",
        )
    try:
        _mount_overlay_by_descriptor(lowers, upper, work, target, user=user, attributes=attributes)
    except OSError as error:
        if error.errno not in (_ENOSYS, _EPERM, _EINVAL):
            raise Failure(f"cannot mount the root file system: {reason_of(error)}") from error
        try:
            _mount_overlay_by_path(lowers, upper, work, target, user=user, attributes=attributes)
        except OSError as second:
            said = f"; {error.filename}" if error.errno == second.errno and error.filename else ""
            raise Failure(f"cannot mount the root file system: {reason_of(second)}{said}") from error


def _mount_overlay_by_descriptor(
    lowers: list[int], upper: int | None, work: int | None, target: str, *, user: bool, attributes: int
) -> None:
    context = kernel.syscall("fsopen", b"overlay", _FSOPEN_CLOEXEC)
    try:
        for lower in lowers:
            # One option for each, Linux 6.5. By descriptor because a string may have 255 bytes only.
            _configure(context, b"lowerdir+", by_descriptor(lower).encode())
        if upper is not None and work is not None:
            _configure(context, b"upperdir", by_descriptor(upper).encode())
            _configure(context, b"workdir", by_descriptor(work).encode())
            try:
                _configure(context, b"volatile", None)
            except OSError as error:
                if error.errno != _EINVAL:
                    raise
        if user:
            _configure(context, b"userxattr", None)
        else:
            _configure(context, b"redirect_dir", b"off")
            _configure(context, b"metacopy", b"off")
        try:
            kernel.syscall("fsconfig", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        except OSError as error:
            error.filename = _message_of(context)
            raise
        mounted = kernel.syscall("fsmount", context, _FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)
    try:
        kernel.syscall("move_mount", mounted, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(mounted)


def _configure(context: int, key: bytes, value: bytes | None) -> None:
    kind = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
    kernel.syscall("fsconfig", context, kind, key, value, 0)


def _message_of(context: int) -> str:
    """What the kernel says in the log of a file system context: `e overlay: …`."""
    try:
        return os.read(context, 1024).decode("utf-8", "replace").strip().removeprefix("e ")
    except OSError:
        return ""


def _mount_overlay_by_path(
    lowers: list[int], upper: int | None, work: int | None, target: str, *, user: bool, attributes: int
) -> None:
    """mount(2) takes a string of a page at most: its names are descriptor numbers, relative to /proc/self/fd."""
    options = ["lowerdir=" + ":".join(str(lower) for lower in lowers)]
    if upper is not None and work is not None:
        options += [f"upperdir={upper}", f"workdir={work}"]
    options += ["userxattr"] if user else ["redirect_dir=off", "metacopy=off"]
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir("/proc/self/fd")
        for more in ([",volatile"] if upper is not None else []) + [""]:
            try:
                mount("overlay", target, "overlay", attributes, ",".join(options) + more)
                return
            except OSError as error:
                if error.errno != _EINVAL or not more:
                    raise
    finally:
        os.fchdir(before)
        os.close(before)
