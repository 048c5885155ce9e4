"""Tries what each mode needs, each thing in a process of its own that is thrown away afterwards. Part of the worker.

A trial answers with the number of the error that the kernel gave, 0 when it gave none, -1 when there was no answer in
time.
"""

from __future__ import annotations

import os
import select
import shutil

from pyoci.sandbox import kernel, mounting, namespaces
from pyoci.sandbox.failure import Failure

__all__ = ["probe"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from pyoci.sandbox.messages import PrivilegeMessage, ProbeReply, ProbeRequest

    Trial: TypeAlias = Callable[[], None]

_TRIAL_MILLISECONDS = 5000
_ALL_NAMESPACES = (
    kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWNET
)
_ALLOW_EVERYTHING = bytes([0x06, 0, 0, 0, 0, 0, 0xFF, 0x7F])
_SYSCTLS = (
    "user/max_user_namespaces",
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
)


def probe(request: ProbeRequest, descriptors: list[int]) -> ProbeReply:
    """What this machine lets the user do. `storage` is an existing directory of the store's file system."""
    scratch = f"{request['storage']}/probe-{os.getpid()}"
    os.makedirs(scratch, 0o700)
    try:
        privileges = request["privileges"]
        works = {privilege["mode"]: _try_privilege(privilege) for privilege in privileges}
        best = next((privilege for privilege in privileges if not works[privilege["mode"]]), None)
        return {
            "status": _status(),
            "uid_map": _read("/proc/self/uid_map"),
            "sysctls": {name: _read(f"/proc/sys/{name}").strip() for name in _SYSCTLS},
            "works": works,
            "user_namespace": _try(lambda: kernel.unshare(kernel.CLONE_NEWUSER)),
            "namespaces": _try(lambda: _separate(best)) if best else 1,
            "overlay": _try(lambda: _overlay(best, scratch)) if best else 1,
            "overlay_in_memory": _try(lambda: _overlay_in_memory(best, scratch)) if best else 1,
            "fresh_proc": _try(lambda: _fresh_proc(best, scratch)) if best else 1,
            "listener": _try(lambda: _listener(best)) if best else 1,
            "user_xattr": _try(lambda: _user_xattr(scratch)),
            "chroot": _try(lambda: os.chroot("/")),
            "fuse": _try(lambda: os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))),
            "landlock": kernel.landlock_abi(),
        }
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _try(trial: Trial) -> int:
    """Makes one trial in a child."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    own = os.getpid()
    child = os.fork()
    if child == 0:
        number = 255
        try:
            kernel.die_with_parent(own)
            trial()
            number = 0
        except OSError as error:
            number = error.errno or 255
        except Failure as failure:
            cause = failure.__cause__
            number = (cause.errno or 255) if isinstance(cause, OSError) else 255
        finally:
            os.write(writer, bytes([min(number, 255)]))
            os._exit(0)
    os.close(writer)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    answer = os.read(reader, 1) if poll.poll(_TRIAL_MILLISECONDS) else b""
    os.close(reader)
    os.kill(child, kernel.SIGKILL)
    os.waitpid(child, 0)
    return answer[0] if answer else -1


def _try_privilege(privilege: PrivilegeMessage) -> str:
    """Enters a mode as a worker would; what was refused, or nothing."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    own = os.getpid()
    child = os.fork()
    if child == 0:
        said = b"it did not answer"
        try:
            kernel.die_with_parent(own)
            namespaces.enter(privilege)
            said = b""
        except Failure as failure:
            said = failure.message.encode("utf-8", "replace")
        finally:
            os.write(writer, b"=" + said[:1000])
            os._exit(0)
    os.close(writer)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    answer = os.read(reader, 2000) if poll.poll(_TRIAL_MILLISECONDS) else b"=it did not answer in time"
    os.close(reader)
    os.kill(child, kernel.SIGKILL)
    os.waitpid(child, 0)
    return answer[1:].decode("utf-8", "replace")


def _separate(privilege: PrivilegeMessage) -> None:
    namespaces.enter(privilege)
    kernel.unshare(_ALL_NAMESPACES)


def _overlay(privilege: PrivilegeMessage, scratch: str) -> None:
    namespaces.enter(privilege)
    kernel.unshare(kernel.CLONE_NEWNS)
    _stack(f"{scratch}/overlay", user=privilege["mode"] != "root")


def _overlay_in_memory(privilege: PrivilegeMessage, scratch: str) -> None:
    namespaces.enter(privilege)
    kernel.unshare(kernel.CLONE_NEWNS)
    mounting.mount("pyoci", scratch, "tmpfs", 0)
    _stack(f"{scratch}/overlay", user=privilege["mode"] != "root")


def _stack(base: str, *, user: bool) -> None:
    """Stacks directories and replaces one of the lower's; the mark that this leaves fails where attributes fail."""
    for path in ("", "/lower", "/lower/directory", "/upper", "/work", "/merged"):
        os.mkdir(base + path)
    os.mkdir(base + "/lower/directory/old")
    lower, upper, work = (mounting.open_path(f"{base}/{name}") for name in ("lower", "upper", "work"))
    mounting.mount_overlay([lower], upper, work, base + "/merged", user=user)
    os.rmdir(base + "/merged/directory/old")
    os.rmdir(base + "/merged/directory")
    os.mkdir(base + "/merged/directory")
    os.getxattr(base + "/upper/directory", ("user" if user else "trusted") + ".overlay.opaque")
    if os.listdir(base + "/merged/directory"):
        raise OSError(22, os.strerror(22))


def _fresh_proc(privilege: PrivilegeMessage, scratch: str) -> None:
    namespaces.enter(privilege)
    kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWNS)
    child = os.fork()
    if child == 0:  # PID 1 of the new namespace
        number = 255
        try:
            mounting.mount("proc", scratch, "proc", 0)
            number = 0
        except OSError as error:
            number = error.errno or 255
        finally:
            os._exit(min(number, 255))
    number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if number:
        raise OSError(number, os.strerror(number))


def _listener(privilege: PrivilegeMessage) -> None:
    namespaces.enter(privilege)
    os.close(kernel.install_filter(_ALLOW_EVERYTHING, listener=True))


def _user_xattr(scratch: str) -> None:
    path = scratch + "/attribute"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    os.setxattr(path, "user.pyoci.probe", b"1")


def _status() -> dict[str, str]:
    """Fields of /proc/self/status."""
    lines = [line.partition(":") for line in _read("/proc/self/status").splitlines()]
    return {name: value.strip() for name, _, value in lines if name in ("CapEff", "NoNewPrivs", "Seccomp")}


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
