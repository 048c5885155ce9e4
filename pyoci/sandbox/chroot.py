"""What runs a command where root may not make namespaces, as in a container: chroot(2), and no isolation worth the
name.

The *leader* stands where PID 1 stands otherwise (container.py), speaks the same language with the monitor, and does by
hand what a PID namespace does: it adopts every orphan below it and kills them all at the end. It cannot be killed
itself without leaving things behind, so it ends on SIGUSR2, which it also gets when the monitor dies.

Without /proc, without mounts (placement.py), with the host's network, processes and devices. The command has two
capabilities fewer than elsewhere (sys_chroot, with which it could leave, and mknod), no_new_privs and the filters.

Part of the worker.
"""

from __future__ import annotations

import fcntl
import os

from pyoci.sandbox import cgroups, kernel, launch
from pyoci.sandbox.failure import Attempt, Failure, failure_of
from pyoci.sandbox.placement import Placement
from pyoci.sandbox.processes import kill_descendants
from pyoci.sandbox.wire import Channel, Closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import NoReturn

    from pyoci.sandbox.messages import RunRequest
else:
    import _signal

__all__ = ["END", "main"]

END = _signal.SIGUSR2
"""Tells the leader to kill everything, put the root back as it was, and end."""

_TIOCSPTLCK = 0x4004_5431
_TIOCSWINSZ = 0x5414
_TIOCGPTPEER = 0x5441


class _Ended(Exception):
    """END has come."""


def main(request: RunRequest, link: Channel, stdio: list[int]) -> NoReturn:
    """Never returns. Ends with the status of the command, as `container.main`."""
    status = 137
    placement: Placement | None = None
    try:
        _signal.signal(END, _end)
        kernel.prctl(1, END)  # PR_SET_PDEATHSIG
        if link.ended():
            os._exit(1)
        kernel.set_subreaper()
        if cgroups.wanted(request["limits"]):
            link.receive()  # as in container.main
        root = _check(request)
        placement = Placement(root)
        if not placement.devices():
            link.send(("note", "device nodes cannot be made here: the step has no /dev/null"))
        placement.mounts(request["mounts"])
        if placement.sockets:
            link.send(("sockets",), placement.sockets)
            for descriptor in placement.sockets:
                os.close(descriptor)
        if request["stdio"] == "terminal":
            stdio = _open_terminal(request, link)
        status = _run(request, link, stdio, root, placement)
    except (_Ended, Closed):
        pass
    except BaseException as error:  # as in container.main
        failure = failure_of(error)
        link.send(("error", failure.message, failure.hint))
        status = 125
    finally:
        _clean(link, placement)
        os._exit(status)


def _end(*_: object) -> None:
    raise _Ended


def _check(request: RunRequest) -> str:
    root = request["root"]
    if not root["path"]:
        raise Failure("without namespaces a root of stacked directories cannot be mounted")
    if request["network"] == "none":
        raise Failure(
            "without namespaces a step cannot be kept from the network",
            "leave --network=none out, or see `pyoci doctor` for a better mode",
        )
    return root["path"]


def _run(request: RunRequest, link: Channel, stdio: list[int], root: str, placement: Placement) -> int:
    leader = os.getpid()
    placement.seal()
    command = os.fork()
    if command == 0:
        try:
            _signal.signal(END, _signal.SIG_DFL)
            kernel.die_with_parent(leader)
            _become_command(request, stdio, root)
        except BaseException as error:  # as in container.main
            failure = failure_of(error)
            link.send(("error", failure.message, failure.hint))
        finally:
            os._exit(125)
    for descriptor in set(stdio):
        os.close(descriptor)
    _signal.signal(_signal.SIGTERM, lambda *_: _forward(command))
    while True:
        process, status = os.waitpid(-1, 0)
        if process == command:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _become_command(request: RunRequest, stdio: list[int], root: str) -> NoReturn:
    if request["stdio"] == "captured":
        stdio = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), stdio[0], stdio[0]]
    with Attempt("cannot enter the root file system", "chroot(2) needs CAP_SYS_CHROOT"):
        os.chroot(root)
        os.chdir("/")
    if not os.path.isdir(request["cwd"]):
        with Attempt(f'cannot make the working directory "{request["cwd"]}"'):
            os.makedirs(request["cwd"], 0o755, exist_ok=True)
    if not request["insecure"]:
        kernel.keep_no_new_privileges()
    launch.prepare(request, stdio, separate=lambda: None, announce=lambda listener: None)
    launch.execute(request)


def _open_terminal(request: RunRequest, link: Channel) -> list[int]:
    with Attempt("cannot open a terminal"):
        ours = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        fcntl.ioctl(ours, _TIOCSPTLCK, bytes(4))
        theirs: int = fcntl.ioctl(ours, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        size = b"".join(value.to_bytes(2, "little") for value in (*request["window"], 0, 0))
        fcntl.ioctl(theirs, _TIOCSWINSZ, size)
    link.send(("terminal",), [ours])
    os.close(ours)
    return [theirs, theirs, theirs]


def _forward(command: int) -> None:
    for send in (os.killpg, os.kill):
        try:
            send(command, _signal.SIGTERM)
            return
        except ProcessLookupError:
            continue


def _clean(link: Channel, placement: Placement | None) -> None:
    """Nothing may interrupt this: a second END would leave processes behind."""
    _signal.signal(END, _signal.SIG_IGN)
    _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
    kill_descendants(os.getpid())
    if placement is not None:
        try:
            placement.undo()
        except OSError as error:
            failure = failure_of(error)
            try:
                link.send(("error", f"cannot put the root file system back: {failure.message}", ""))
            except Closed:
                return
