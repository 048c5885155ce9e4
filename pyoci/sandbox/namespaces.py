"""How the worker enters the user and mount namespace of its mode, once.

Part of the worker. Sources: user_namespaces(7), mount_namespaces(7), newuidmap(1).
"""

from __future__ import annotations

import os

from pyoci.sandbox import kernel, mounting
from pyoci.sandbox.failure import Attempt, Failure, reason_of
from pyoci.sandbox.wire import Closed, socketpair

__all__ = ["become_single", "enter", "map_single", "mount_scratch", "namespace_of_nobody"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.sandbox.messages import IDRange, PrivilegeMessage


_NO_FILE_HAS = 0xFFFF_FFFD


def enter(privilege: PrivilegeMessage) -> None:
    """Enters what the mode needs; afterwards this process may mount (not in chroot mode).

    Raises:
        Failure: the kernel or newuidmap refused; the process is unusable then.
    """
    match privilege["mode"]:
        case "root":
            with Attempt("cannot make a mount namespace", "this container withholds CAP_SYS_ADMIN from root"):
                kernel.unshare(kernel.CLONE_NEWNS)
        case "subuid":
            _enter_mapped(privilege)
        case "single":
            become_single(0, 0, privilege["uid"], privilege["gid"], kernel.CLONE_NEWNS)
        case _:
            return
    with Attempt("cannot separate the mount namespace"):
        # Not private: what is mounted or unmounted outside later, is here too.
        mounting.mount(None, "/", None, mounting.MS_REC | mounting.MS_SLAVE)


def become_single(uid: int, gid: int, outer_uid: int, outer_gid: int, more_flags: int = 0) -> None:
    """Makes a user namespace in which this process's own user and group, and nobody else, are `uid` and `gid`."""
    with Attempt("cannot make a user namespace", "`pyoci doctor` says why and what to change"):
        kernel.unshare(kernel.CLONE_NEWUSER | more_flags)
    map_single("self", uid, gid, outer_uid, outer_gid)


def map_single(process: str, uid: int, gid: int, outer_uid: int, outer_gid: int) -> None:
    """Writes the maps of one user and one group for a process that is alone in a new user namespace."""
    with Attempt("cannot map the user into its namespace", "`pyoci doctor` says why and what to change"):
        _write(f"/proc/{process}/setgroups", "deny")
        _write(f"/proc/{process}/uid_map", f"{uid} {outer_uid} 1")
        _write(f"/proc/{process}/gid_map", f"{gid} {outer_gid} 1")


def namespace_of_nobody() -> int:
    """A descriptor of a user namespace that no file's owner is in: files mapped by it belong to nobody. For root.

    Raises:
        Failure: the kernel refused.
    """
    ours, theirs = socketpair()
    process = os.fork()
    if process == 0:
        try:
            os.setresgid(0, 0, 0)
            become_single(_NO_FILE_HAS, _NO_FILE_HAS, 0, 0)  # the kernel wants one line in a map
            theirs.send((), [os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC)])
        finally:
            os._exit(0)
    theirs.close()
    try:
        (descriptor,) = ours.receive()[1]
    except Closed:
        raise Failure("cannot make a user namespace for files that belong to nobody") from None
    finally:
        ours.close()
        os.waitpid(process, 0)
    return descriptor


def mount_scratch(mountpoint: str) -> None:
    """Covers a directory by memory for this worker and all its children; gone when the worker ends."""
    with Attempt(f'cannot mount memory over "{mountpoint}"'):
        mounting.mount("pyoci", mountpoint, "tmpfs", mounting.MS_NOSUID | mounting.MS_NODEV, "mode=0700")


def _enter_mapped(privilege: PrivilegeMessage) -> None:
    """A user namespace with many IDs. The maps are written by a child that stayed outside."""
    go_reader, go_writer = os.pipe2(os.O_CLOEXEC)
    done_reader, done_writer = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    mapper = os.fork()
    if mapper == 0:
        try:
            os.close(go_writer)
            message = ""
            if os.read(go_reader, 1):
                message = _write_maps(parent, privilege)
            os.write(done_writer, message.encode("utf-8", "replace"))
        finally:
            os._exit(0)
    os.close(done_writer)
    os.close(go_reader)
    try:
        with Attempt("cannot make a user namespace", "`pyoci doctor` says why and what to change"):
            kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
        os.write(go_writer, b"g")
        message = os.read(done_reader, 4096).decode("utf-8", "replace")
    finally:
        os.close(go_writer)
        os.close(done_reader)
        os.waitpid(mapper, 0)
    if message:
        raise Failure(message, "`pyoci doctor` says why; `--isolation=single` needs no range of subordinate IDs")
    with Attempt("cannot become root of the user namespace"):
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


def _write_maps(process: int, privilege: PrivilegeMessage) -> str:
    """Writes both maps of a process; what went wrong, or nothing."""
    for tool, name, ranges in (
        (privilege["newuidmap"], "uid_map", privilege["uid_ranges"]),
        (privilege["newgidmap"], "gid_map", privilege["gid_ranges"]),
    ):
        try:
            if tool:
                message = _run_mapper(tool, process, ranges)
                if message:
                    return message
            else:
                _write(f"/proc/{process}/{name}", "\n".join("{} {} {}".format(*line) for line in ranges))
        except OSError as error:
            return f"cannot write {name}: {reason_of(error)}"
    return ""


def _run_mapper(tool: str, process: int, ranges: Sequence[IDRange]) -> str:
    """Runs newuidmap or newgidmap; its complaint, or nothing."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    arguments = [tool, str(process), *(str(number) for line in ranges for number in line)]
    actions = [(os.POSIX_SPAWN_DUP2, writer, 2), (os.POSIX_SPAWN_DUP2, writer, 1)]
    child = os.posix_spawn(tool, arguments, {}, file_actions=actions)
    os.close(writer)
    with open(reader, "rb") as stream:
        complaint = stream.read(4096).decode("utf-8", "replace").strip()
    _, status = os.waitpid(child, 0)
    if status == 0:
        return ""
    return complaint or f"{tool} ended with status {os.waitstatus_to_exitcode(status)}"


def _write(path: str, text: str) -> None:
    # Not open(): its buffered writer would raise the kernel's refusal in a destructor, where it is lost.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
