"""PID 1 of a sandbox: builds the root, enters it, starts the command, reaps orphans, ends with the command's status.

Forked by the monitor (`execute.py`) into a new PID namespace; when it ends the kernel kills everything in there. What
the monitor must know goes over the link between them:

    ("error", message, hint)                      the command does not run
    ("made", [...])                               mount points made in the root itself, to be taken away afterwards
    ("sockets",) + descriptors                    listening sockets of SocketMounts, in order
    ("terminal",) + descriptor                    the terminal's other end
    ("listener", in use) + descriptors            of the recorder's filter, and of the root

Part of the worker.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import resource

from pyoci.sandbox import cgroups, kernel, launch, mounting, mounts, namespaces, system_mounts
from pyoci.sandbox.failure import Attempt, failure_of
from pyoci.sandbox.rootfs import Stage
from pyoci.sandbox.wire import Channel, Closed

__all__ = ["main"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import NoReturn

    from pyoci.sandbox.messages import RunRequest
    from pyoci.sandbox.rootfs import Target
else:
    import _signal


_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_TIOCSPTLCK = 0x4004_5431
_TIOCGPTN = 0x8004_5430
_TIOCSWINSZ = 0x5414


def main(request: RunRequest, link: Channel, stdio: list[int]) -> NoReturn:
    """Never returns. Ends with the status of the command: 0..255, 128 + the number of the signal that killed it."""
    try:
        kernel.die_with_parent(0)
        if link.ended():
            os._exit(1)  # the monitor died before it could be the parent to die with
        if cgroups.wanted(request["limits"]):
            link.receive()  # sent once this process is in its cgroup
        status = _run(request, link, stdio)
    except Closed:
        status = 125
    except BaseException as error:  # nobody else can say what went wrong in here
        failure = failure_of(error)
        link.send(("error", failure.message, failure.hint))
        status = 125
    finally:
        os._exit(status)


def _run(request: RunRequest, link: Channel, stdio: list[int]) -> int:
    _separate(request, link)
    sockets, made, notes = _build_root(request)
    if made:
        link.send(("made", made))
    for note in sorted(set(notes)):
        link.send(("note", note))
    if sockets:
        link.send(("sockets",), sockets)
        for descriptor in sockets:
            os.close(descriptor)
    if not request["insecure"]:
        system_mounts.mask()
    if not os.path.isdir(request["cwd"]):
        with Attempt(f'cannot make the working directory "{request["cwd"]}"'):
            os.makedirs(request["cwd"], 0o755, exist_ok=True)
    if request["stdio"] == "terminal":
        stdio = _open_terminal(request, link)
    kernel.set_dumpable(dumpable=False)
    command = os.fork()
    if command == 0:
        _become_command(request, link, stdio)
    _forward_termination(command)
    for descriptor in set(stdio):
        os.close(descriptor)
    return _reap(command)


def _separate(request: RunRequest, link: Channel) -> None:
    flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    if request["network"] == "none":
        flags |= kernel.CLONE_NEWNET
    with Attempt("cannot make the namespaces of the sandbox"):
        kernel.unshare(flags)
        try:
            kernel.unshare(kernel.CLONE_NEWCGROUP)
        except OSError as error:
            if error.errno != 22:  # EINVAL: a kernel without cgroups
                raise
    try:
        _socket.sethostname(request["hostname"])
    except PermissionError:
        # podman's filter lets root of a user namespace mount but not name.
        link.send(("note", "the host name of the container shows in steps: its filter forbids another"))
    if request["network"] == "none":
        with Attempt("cannot raise the loopback interface"):
            _raise_loopback()


def _raise_loopback() -> None:
    control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    request = bytearray(40)  # struct ifreq: name (16 bytes), flags (2 bytes)
    request[:2] = b"lo"
    fcntl.ioctl(control.fileno(), _SIOCGIFFLAGS, request)
    request[16] |= _IFF_UP  # little endian on every machine that is supported
    fcntl.ioctl(control.fileno(), _SIOCSIFFLAGS, bytes(request))
    control.close()


def _build_root(request: RunRequest) -> tuple[list[int], list[object], list[str]]:
    """Builds the root and enters it: the listening sockets, what was made in the root for the mounts, and notes."""
    user = request["mode"] != "root"
    wanted = sorted(request["mounts"], key=lambda mount: mounts.depth(mount["target"]))
    mounts.check(wanted)
    attributes = 0 if request["insecure"] else mounting.MS_NODEV
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # one for each layer, for a moment
    stage = Stage(request["root"], user=user, attributes=attributes)
    sources = mounts.open_sources(stage, wanted)
    targets: list[Target] = [(path, True, None) for path in system_mounts.SYSTEM_DIRECTORIES]
    targets += [
        (mount["target"], mounts.wants_directory(mount, source), mounts.laid_content(mount))
        for mount, source in zip(wanted, sources, strict=True)
    ]
    stage.mount_root(targets)
    system_mounts.mount_system(
        stage,
        shm_bytes=request["limits"]["shm_bytes"],
        terminal_group=request["mode"] != "single",
        own_network=request["network"] == "none",
        writable=request["insecure"],
    )
    sockets = mounts.mount_all(stage, wanted, sources)
    with Attempt("cannot enter the root file system"):
        mounting.pivot(stage.path)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return sockets, list(stage.made), stage.notes


def _open_terminal(request: RunRequest, link: Channel) -> list[int]:
    with Attempt("cannot open a terminal"):
        ours = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        fcntl.ioctl(ours, _TIOCSPTLCK, bytes(4))
        number = int.from_bytes(fcntl.ioctl(ours, _TIOCGPTN, bytes(4)), "little")
        path = f"/dev/pts/{number}"
        theirs = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        rows, columns = request["window"]
        size = b"".join(value.to_bytes(2, "little") for value in (rows, columns, 0, 0))
        fcntl.ioctl(theirs, _TIOCSWINSZ, size)
        if request["uid"] and request["mode"] != "single":
            os.fchown(theirs, request["uid"], -1)
        os.close(os.open("/dev/console", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        source, target = mounting.open_path(path), mounting.open_path("/dev/console")
        mounting.bind(source, target, "/dev/console", read_only=False)
        os.close(source)
        os.close(target)
    link.send(("terminal",), [ours])
    os.close(ours)
    return [theirs, theirs, theirs]


def _become_command(request: RunRequest, link: Channel, stdio: list[int]) -> NoReturn:
    def separate() -> None:
        if request["mode"] == "single" and request["uid"]:
            kernel.set_dumpable(dumpable=True)  # else the maps could not be written
            namespaces.become_single(request["uid"], request["gid"], 0, 0)

    def announce(listener: int) -> None:
        if request["recorder"] is not None:
            root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            link.send(("listener", listener >= 0), [listener, root] if listener >= 0 else [])

    try:
        if request["stdio"] == "captured":
            stdio = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), stdio[0], stdio[0]]
        launch.prepare(request, stdio, separate=separate, announce=announce)
        launch.execute(request)
    except BaseException as error:  # as in main
        failure = failure_of(error)
        link.send(("error", failure.message, failure.hint))
    finally:
        os._exit(125)


def _forward_termination(command: int) -> None:
    """Has SIGTERM, which the monitor sends to this process, reach the process group of the command."""

    def forward(*_: object) -> None:
        for send in (os.killpg, os.kill):
            try:
                send(command, _signal.SIGTERM)
                return
            except ProcessLookupError:
                continue

    _signal.signal(_signal.SIGTERM, forward)


def _reap(command: int) -> int:
    """Waits for the command, and for every orphan that becomes a child of PID 1 meanwhile."""
    while True:
        process, status = os.waitpid(-1, 0)
        if process == command:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
