"""The worker's process: enters its namespaces once, then forks a child for every request.

Single-threaded for ever, so that fork and unshare are safe. Started by `worker.py`; talks over descriptor 3:

    builder → worker    Channel frame: the settings
    worker → builder    Channel frame: {} when ready, or a failure
    builder → worker    "call OPERATION ID" with the request's own channel, "kill ID", or "prepare OPERATION"
    (end of file)       the builder is gone: kill every child, end

A request's own channel carries everything else: the child reads the request from it and writes the reply to it, so the
worker itself never waits for one request while others come.
Part of the worker: imports nothing but built-in modules and ctypes.
"""

from __future__ import annotations

import _socket
import gc
import os
import select
import sys

from pyoci.sandbox import kernel, namespaces
from pyoci.sandbox.failure import Failure, failure_of, reason_of
from pyoci.sandbox.wire import Channel, Closed

__all__ = ["CONTROL", "main"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import TypeAlias

    Operation: TypeAlias = Callable[[dict[str, object], list[int]], object]
else:
    import _signal


CONTROL = 3
"""The descriptor of the control socket."""
_KILL = 0xFFFF
_PREPARE = 0x8000
"""Added to the number of an operation that will be called later."""
_IDLE_MILLISECONDS = 20
"""After that long without a message there is time to import what is needed later."""


def main() -> None:
    """Runs until the builder closes the control socket."""
    kernel.close_from(CONTROL + 1)  # whatever the builder was given without close-on-exec
    os.umask(0o022)  # of the builder's user nothing may show in a layer
    os.setsid()  # Ctrl-C reaches the builder alone, which knows what to end and how
    channel = Channel.from_descriptor(CONTROL)
    settings, _ = channel.receive()
    assert isinstance(settings, dict)
    sys.path.extend(settings["path"])
    try:
        namespaces.enter(settings["privilege"])
        for mountpoint in settings["scratch"]:
            namespaces.mount_scratch(mountpoint)
    except Failure as failure:
        channel.send({"message": failure.message, "hint": failure.hint, "kind": failure.kind})
        return
    channel.send({})
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 2)  # until now a pipe to the builder, for complaints about the start
    os.close(null)
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, os.dup(CONTROL))
    channel.close()
    os.set_inheritable(control.fileno(), False)
    _Worker(control, settings["operations"]).serve()


class _Worker:
    def __init__(self, control: _socket.socket, operations: list[str]) -> None:
        self._control = control
        self._names = operations
        self._operations: dict[int, Operation | Failure] = {}
        self._expected: list[int] = []
        """Operations that will be called."""
        self._children: dict[int, int] = {}
        """Process ID of a child to the ID of its request."""

    def serve(self) -> None:
        awake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        _signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(awake, select.POLLIN)
        gc.disable()
        gc.freeze()  # the collector would touch, and so copy, every page that a child shares
        while True:
            ready = poll.poll(_IDLE_MILLISECONDS if self._expected else None)
            if not ready:
                self._operation(self._expected.pop())
            for descriptor, _ in ready:
                if descriptor == awake:
                    os.read(awake, 512)
                    self._reap()
                elif not self._receive():
                    self._kill_all()
                    return

    def _receive(self) -> bool:
        """Handles one message; False at the end of the conversation."""
        data, rights, _, _ = self._control.recvmsg(8, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
        while 0 < len(data) < 8:
            more = self._control.recv(8 - len(data))
            if not more:
                return False
            data += more
        if not data:
            return False
        operation, request = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:], "big")
        if operation == _KILL:
            for process, known in self._children.items():
                if known == request:
                    os.kill(process, kernel.SIGKILL)
            return True
        if operation & _PREPARE:
            self._expected.append(operation & ~_PREPARE)
            return True
        if not rights:  # no descriptor was free here; the builder sees its own end close
            return True
        descriptor = int.from_bytes(rights[0][2][:4], sys.byteorder)
        self._fork(operation, request, Channel.from_descriptor(descriptor))
        return True

    def _fork(self, number: int, request: int, channel: Channel) -> None:
        operation = self._operation(number)
        parent = os.getpid()
        try:
            process = os.fork()
        except OSError as error:
            _answer_failure(channel, Failure(f"cannot start a process: {reason_of(error)}"))
            channel.close()
            return
        if process:
            self._children[process] = request
            channel.close()
            return
        try:
            kernel.die_with_parent(parent)
            _signal.set_wakeup_fd(-1)
            _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
            self._control.close()
            _answer(channel, operation)
        finally:
            os._exit(0)

    def _operation(self, number: int) -> Operation | Failure:
        """The function behind a number of the allow-list. Its module is imported here once, and shared by children."""
        if number not in self._operations:
            module, _, function = self._names[number].partition(":")
            try:
                __import__(module)
                self._operations[number] = getattr(sys.modules[module], function)
            except Exception as error:  # whatever a module does when it is imported, other operations go on
                self._operations[number] = Failure(f"the worker has no operation {module}:{function}: {error}")
            gc.freeze()
        return self._operations[number]

    def _reap(self) -> None:
        while self._children:
            try:
                process, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process == 0:
                return
            self._children.pop(process, None)

    def _kill_all(self) -> None:
        for process in self._children:
            os.kill(process, kernel.SIGKILL)
        for process in self._children:
            os.waitpid(process, 0)


def _answer(channel: Channel, operation: Operation | Failure) -> None:
    """Carries out one request in a child and writes the reply: (0, value) with descriptors, or (1, failure)."""
    try:
        request, descriptors = channel.receive()
        if isinstance(operation, Failure):
            raise operation
        assert isinstance(request, dict)
        result = operation(request, descriptors)
        values, passed = result if isinstance(result, tuple) else (result, [])
        channel.send((0, values), passed)
    except Closed:
        return
    except Failure as failure:
        _answer_failure(channel, failure)
    except BaseException as error:  # whatever it is, the builder must hear of it: nobody else can tell the user
        import traceback

        _answer_failure(channel, failure_of(error), "".join(traceback.format_exception(error)))


def _answer_failure(channel: Channel, failure: Failure, trace: str = "") -> None:
    try:
        channel.send((1, {"message": failure.message, "hint": failure.hint, "kind": failure.kind, "trace": trace}))
    except Closed:
        return
