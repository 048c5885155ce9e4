"""The last steps before the command: descriptors, limits, filters, capabilities, IDs. Part of the worker.

The order matters. The seccomp filter is loaded while CAP_SYS_ADMIN is still held, so that no_new_privs is not needed
and `su` and `sudo` work in a RUN as they do with docker; capabilities go after it, IDs after those.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat

from pyoci.sandbox import kernel
from pyoci.sandbox.failure import Attempt, Failure, reason_of

__all__ = ["DEFAULT_PATH", "execute", "find_program", "prepare"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from pyoci.sandbox.messages import RunRequest

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIOCSCTTY = 0x540E
_CAP_SYS_CHROOT = 18
_CAP_MKNOD = 27


def prepare(
    request: RunRequest,
    stdio: list[int],
    *,
    separate: Callable[[], None],
    announce: Callable[[int], None],
) -> None:
    """Makes this process what the command may be; only execve is left.

    `stdio` are the descriptors for 0, 1 and 2, of which a terminal is the same thrice. `separate` is called when a user
    namespace of the command's own may be made, `announce` with the listener of the recorder's filter (-1 for none).

    Raises:
        Failure: something was refused; the command must not run.
    """
    os.setsid()
    if request["stdio"] == "terminal":
        fcntl.ioctl(stdio[0], _TIOCSCTTY, 0)
    _connect(stdio, give=request["uid"] if request["stdio"] != "attached" else -1)
    kernel.reset_signals()
    for which, soft, hard in request["limits"]["ulimits"]:
        try:
            resource.setrlimit(which, (soft, hard))
        except (OSError, ValueError) as error:  # ValueError for what the kernel calls EPERM
            hint = "the builder's own limits are the most that it can give"
            raise Failure("cannot set the limits of the process", hint) from error
    with Attempt("cannot leave the session keyring"):
        kernel.forget_session_keyring()
    try:
        os.chdir(request["cwd"])
    except PermissionError:
        pass  # tried again as the user
    separate()
    if not request["insecure"]:
        with Attempt("cannot isolate from abstract sockets"):
            kernel.isolate_abstract_sockets()
        if request["filter"]:
            with Attempt("cannot load the system call filter"):
                kernel.install_filter(request["filter"], listener=False)
    announce(_record(request))
    _drop(request)


def _connect(stdio: list[int], *, give: int) -> None:
    for number, descriptor in enumerate(stdio):
        # Above 2 first: 0 may be needed as the source of 1.
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
        os.dup2(moved, number, inheritable=True)
        os.close(moved)
    kernel.close_on_exec_from(3)
    if give > 0:
        for number in (0, 1, 2):
            kind = stat.S_IFMT(os.fstat(number).st_mode)
            if kind == stat.S_IFIFO or (kind == stat.S_IFCHR and os.isatty(number)):
                try:
                    os.fchown(number, give, -1)  # so that /dev/stdout can be opened by its user
                except OSError:
                    continue


def _record(request: RunRequest) -> int:
    """Loads the recorder's filter: the listener, -1 for none wanted or the fallback."""
    recorder = request["recorder"]
    if recorder is None:
        return -1
    try:
        return kernel.install_filter(recorder["program"], listener=True)
    except OSError as error:
        # EBUSY: an outer sandbox listens already. EINVAL, ENOSYS: before Linux 5.0.
        if not recorder["fallback"]:
            return -1
        if error.errno not in (errno.EBUSY, errno.EINVAL, errno.ENOSYS):
            raise Failure(f"cannot load the recorder's filter: {reason_of(error)}") from error
    with Attempt("cannot load the emulation filter"):
        kernel.install_filter(recorder["fallback"], listener=False)
    request["env"] += recorder["fallback_env"]
    return -1


def _drop(request: RunRequest) -> None:
    keep = kernel.DOCKER_CAPABILITIES
    if request["mode"] == "chroot":
        keep &= ~(1 << _CAP_SYS_CHROOT | 1 << _CAP_MKNOD)
    uid, gid = request["uid"], request["gid"]
    with Attempt("cannot drop capabilities"):
        if not request["insecure"]:
            kernel.drop_capabilities(keep)
    if request["mode"] != "single":  # where `separate` made the only ID that there is
        with Attempt(f"cannot become {uid}:{gid}", "the namespace has no such ID; `pyoci doctor` says how to get more"):
            os.setgroups(request["groups"])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
    elif uid:
        # As setresuid does elsewhere, so that the program itself is looked for with the user's rights alone.
        kernel.use_capabilities(0)


def execute(request: RunRequest) -> NoReturn:
    """Runs the command in place of this process; where that fails says why on stderr and ends with 126 or 127."""
    args, env = request["args"], dict(entry.partition("=")[::2] for entry in request["env"])
    if "" in env:  # an image's config may have it, and runc refuses it as well
        _complain("the environment has a variable without a name")
        os._exit(126)
    try:
        os.chdir(request["cwd"])
        program = find_program(args[0], env.get("PATH", DEFAULT_PATH))
    except OSError as error:
        _complain(f'cannot enter "{request["cwd"]}": {reason_of(error)}')
        os._exit(126)
    if program is None:
        where = "in $PATH" if "/" not in args[0] else ""
        _complain(f'exec "{args[0]}": not found {where}'.rstrip())
        os._exit(127)
    try:
        os.execve(program, args, env)
    except FileNotFoundError:
        _complain(f'exec "{args[0]}": {_interpreter_of(program)}')
        os._exit(127)
    except OSError as error:
        what = reason_of(error)
        if os.path.isdir(program):
            what = "is a directory"
        elif error.errno == errno.ENOEXEC:
            what = "not a program of this machine, and no script with a #! line (ENOEXEC)"
        _complain(f'exec "{args[0]}": {what}')
        os._exit(126)


def find_program(name: str, path: str) -> str | None:
    """The file that a shell would run: `name` itself if it has a slash, else the first executable one of a PATH.

    None when it is not there. Where the user may not look, execve says so.
    """
    if "/" in name:
        try:
            os.lstat(name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            pass
        return name
    fallback = None
    for directory in path.split(":"):
        candidate = f"{directory or '.'}/{name}"
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            fallback = fallback or candidate
    return fallback


def _interpreter_of(program: str) -> str:
    """Why a file that exists is reported as missing."""
    try:
        with open(program, "rb") as stream:
            line = stream.readline(256)
    except OSError:
        return "not found"
    if not line.startswith(b"#!"):
        return "exists, but the loader that it names does not"
    interpreter = line[2:].decode("utf-8", "replace").strip("\n ")
    hint = " (the line ends in a carriage return)" if interpreter.endswith("\r") else ""
    return f'exists, but its interpreter "{interpreter.strip()}" does not{hint}'


def _complain(message: str) -> None:
    os.write(2, f"pyoci: {message}\n".encode("utf-8", "replace"))
