"""The builder's side of the worker process: starts it when it is first needed, sends it requests, ends it.

Knows no operation by itself: which ones a worker may be asked for is said when it is made.
"""

from __future__ import annotations

import _socket
import contextlib
import fcntl
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from pyoci import errors
from pyoci.errors import Cancelled, PyociError, SandboxError
from pyoci.sandbox.messages import PrivilegeMessage, SettingsMessage
from pyoci.sandbox.protocols import Privilege
from pyoci.sandbox.wire import Channel, Closed, socketpair
from pyoci.values import dataclass, field

__all__ = ["Call", "Reply", "Worker", "encode_path", "privilege_message"]

_log = logging.getLogger(__name__)

_CODE = "import sys; sys.path.insert(0, sys.argv[1]); from pyoci.sandbox.zygote import main; main()"
_CONTROL = 3  # as zygote.CONTROL, which is not imported here: it would bring ctypes
_KILL = 0xFFFF
_PREPARE = 0x8000
_CANCEL_POLL_SECONDS = 0.1


def encode_path(path: Path | str) -> str:
    """A path as text that the worker, which always counts file names as UTF-8, takes for the same bytes."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation returned."""

    values: Mapping[str, Any]
    descriptors: tuple[int, ...] = ()
    """Owned by whoever called."""


@dataclass(frozen=True, slots=True)
class _Running:
    process: int
    control: _socket.socket


@dataclass(slots=True)
class Call:
    """One request under way. Used by one thread."""

    channel: Channel
    number: int
    worker: Worker = field(repr=False)

    def fileno(self) -> int:
        """Readable once the reply has come or the child has died."""
        return self.channel.fileno()

    def reply(self) -> Reply:
        """Waits for the reply.

        Raises:
            PyociError: what the operation failed with; SandboxError when its process was killed.
        """
        try:
            answer, descriptors = self.channel.receive()
        except Closed:
            raise SandboxError(
                "a process of the sandbox was killed", hint="the machine may be out of memory: see the kernel's log"
            ) from None
        finally:
            self.channel.close()
        failed, values = cast("tuple[int, dict[str, Any]]", answer)
        if failed:
            raise _error_of(values)
        return Reply(values, tuple(descriptors))

    def kill(self) -> None:
        """Kills the child, waits until it is dead, and drops what it answered."""
        self.worker.kill(self.number)
        with contextlib.suppress(Closed):
            while True:
                for descriptor in self.channel.receive()[1]:
                    os.close(descriptor)
        self.channel.close()


class Worker:
    """One privileged process and its children. May be used from several threads; calls run side by side.

    Nothing is started before the first call. It ends with `close`, and with the process that made it, however that
    ends; its children and everything in their sandboxes end with it.
    """

    def __init__(
        self,
        privilege: Privilege,
        *,
        operations: Sequence[str] = ("pyoci.sandbox.execute:run",),
        interpreter: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        scratch: Sequence[Path] = (),
        packages: Path | None = None,
    ) -> None:
        """A worker that may be asked for `operations`, each `module:function`.

        Such a function is called in a child of its own with the request and a list of descriptors, and returns a
        dictionary of plain values, or that and a list of descriptors. It raises `pyoci.sandbox.failure.Failure` for
        what the user can be told. `interpreter` is the command that starts Python, with its options, and this Python by
        default; `environment` is all that it gets. `scratch` are directories that the worker covers by memory.
        `packages` is the directory from which it imports pyoci, this one by default.
        """
        self.privilege = privilege
        self._operations = tuple(operations)
        self._interpreter = tuple(interpreter) or (sys.executable, "-I", "-S", "-E", "-X", "utf8")
        self._environment = dict(environment or {})
        self._scratch = tuple(scratch)
        self._packages = packages or Path(__file__).resolve().parents[2]
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._closed = False
        self._calls = 0

    @property
    def started(self) -> bool:
        """Whether the process exists."""
        return self._running is not None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def call(
        self,
        operation: str,
        request: Mapping[str, object],
        descriptors: Sequence[int] = (),
        *,
        cancelled: threading.Event | None = None,
    ) -> Reply:
        """What an operation answers to a request of plain values (None, bool, int, float, str, bytes, tuple, list,
        dict).

        The descriptors are lent: they stay open here. Setting `cancelled` kills the child.

        Raises:
            PyociError: what the operation failed with.
            SandboxError: the worker cannot start here, or the child was killed.
            Cancelled: `cancelled` was set.
        """
        call = self.begin(operation, request, descriptors)
        try:
            poll = select.poll()
            poll.register(call, select.POLLIN)
            while not poll.poll(_CANCEL_POLL_SECONDS * 1000 if cancelled is not None else None):
                if cancelled is not None and cancelled.is_set():
                    raise Cancelled
        except BaseException:
            call.kill()
            raise
        return call.reply()

    def begin(self, operation: str, request: Mapping[str, object], descriptors: Sequence[int] = ()) -> Call:
        """Sends a request and does not wait. The caller then calls `reply` or `kill` of what it gets, once."""
        number = self._operations.index(operation)
        ours, theirs = socketpair()
        try:
            with self._lock:
                running = self._running or self._start()
                self._calls += 1
                call = Call(ours, self._calls & 0xFFFF_FFFF, self)
                rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, theirs.fileno().to_bytes(4, sys.byteorder))]
                message = number.to_bytes(2, "big") + call.number.to_bytes(6, "big")
                running.control.sendmsg([message], rights, _socket.MSG_NOSIGNAL)
            theirs.close()
            ours.send(dict(request), list(descriptors))
            return call
        except (BrokenPipeError, ConnectionResetError, Closed):
            ours.close()
            raise SandboxError("the worker of the sandbox was killed") from None
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()

    def prepare(self, operation: str) -> None:
        """Starts the worker, and has it import what the operation needs as soon as it has nothing else to do.

        Raises:
            SandboxError: the worker cannot start here.
        """
        number = self._operations.index(operation)
        with self._lock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            running = self._running or self._start()
            message = (number | _PREPARE).to_bytes(2, "big") + bytes(6)
            running.control.send(message, _socket.MSG_NOSIGNAL)

    def kill(self, number: int) -> None:
        """Has the worker kill the child of a call, if there still is one."""
        with self._lock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if self._running is not None:
                message = _KILL.to_bytes(2, "big") + number.to_bytes(6, "big")
                self._running.control.send(message, _socket.MSG_NOSIGNAL)

    def close(self) -> None:
        """Ends the worker and whatever it still runs; returns when it is gone. May be called again."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            running.control.close()
            os.waitpid(running.process, 0)

    def _start(self) -> _Running:
        if self._closed:
            raise SandboxError("the worker of the sandbox has been closed")
        if self.privilege.mode == "none":
            raise SandboxError(
                "this machine lets this user run no step", hint="`pyoci doctor` says why and what to change"
            )
        control, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        complaints, writer = os.pipe2(os.O_CLOEXEC)
        # Out of the way of 0 to 3, which are given anew below.
        passed = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, 10)
        stderr = fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, 10)
        try:
            process = os.posix_spawn(
                self._interpreter[0],
                [*self._interpreter, "-c", _CODE, encode_path(self._packages)],
                self._environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, stderr, 2),
                    (os.POSIX_SPAWN_DUP2, passed, _CONTROL),
                ],
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
                setsigmask=[],
            )
        except OSError as error:
            control.close()
            os.close(complaints)
            raise SandboxError(f'cannot start "{self._interpreter[0]}": {error.strerror}') from error
        finally:
            theirs.close()
            for descriptor in (writer, passed, stderr):
                os.close(descriptor)
        channel = Channel(control)
        try:
            channel.send(self._settings())
            answer, _ = channel.receive()
        except Closed:
            answer = {"message": "the worker of the sandbox could not start", "hint": _tail(complaints)}
        finally:
            os.close(complaints)
        if answer:
            channel.close()
            os.waitpid(process, 0)
            raise _error_of(cast("dict[str, Any]", answer))
        self._running = _Running(process, control)
        return self._running

    def _settings(self) -> SettingsMessage:
        return {
            "path": [encode_path(entry) for entry in sys.path if entry.startswith("/")],
            "privilege": privilege_message(self.privilege),
            "operations": list(self._operations),
            "scratch": [encode_path(path) for path in self._scratch],
        }


def privilege_message(privilege: Privilege) -> PrivilegeMessage:
    """A privilege for the worker."""
    return {
        "mode": privilege.mode,
        "uid": privilege.uid,
        "gid": privilege.gid,
        "uid_ranges": list(privilege.uid_ranges),
        "gid_ranges": list(privilege.gid_ranges),
        "newuidmap": privilege.newuidmap,
        "newgidmap": privilege.newgidmap,
    }


def _error_of(failure: Mapping[str, Any]) -> PyociError:
    """The error of `errors.py` that a worker named."""
    if trace := failure.get("trace"):
        _log.debug("in the worker: %s", trace)
    kind = getattr(errors, failure.get("kind") or "SandboxError", SandboxError)
    known = isinstance(kind, type) and issubclass(kind, PyociError)
    error: PyociError = (kind if known else SandboxError)(failure["message"])
    error.hint = failure.get("hint") or None
    return error


def _tail(descriptor: int) -> str | None:
    """The last line that a process which is gone wrote to its stderr."""
    os.set_blocking(descriptor, False)
    try:
        text = os.read(descriptor, 1 << 16).decode("utf-8", "replace").strip()
    except BlockingIOError:
        return None
    return text.rpartition("\n")[2] or None
