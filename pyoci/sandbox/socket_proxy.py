"""Carries bytes between sockets in a sandbox and one of the host.

So any user in the sandbox may use an agent that talks to the builder's own user only. Part of the worker.
"""

from __future__ import annotations

import _socket
import os
import select

__all__ = ["SocketProxy"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Waiter(Protocol):
        """Whoever waits for descriptors: the monitor."""

        def listen(self, descriptor: int, handler: Callable[[], None], events: int = ...) -> None: ...
        def ignore(self, descriptor: int) -> None: ...


_CHUNK = 1 << 16
_NONBLOCKING = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC


class SocketProxy:
    """Accepts on a listening socket in the sandbox; every connection gets one to the host's socket."""

    def __init__(self, waiter: Waiter, listener: int, target: str) -> None:
        self._waiter = waiter
        directory, _, self._name = target.rpartition("/")
        try:  # while paths are still the host's
            self._directory = os.open(directory or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            self._directory = -1  # gone, as the socket may be
        self._listener = _socket.socket(_socket.AF_UNIX, _NONBLOCKING, 0, listener)
        waiter.listen(listener, self._accept)

    def _accept(self) -> None:
        try:
            descriptor, _ = self._listener._accept()  # type: ignore[attr-defined]  # socket.accept without the import of socket
        except BlockingIOError:
            return
        inner = _socket.socket(_socket.AF_UNIX, _NONBLOCKING, 0, descriptor)
        outer = _socket.socket(_socket.AF_UNIX, _NONBLOCKING)
        try:
            inner.setblocking(False)
            # By descriptor: an address holds 108 bytes. The monitor's directory is /proc.
            outer.connect(f"self/fd/{self._directory}/{self._name}")
        except OSError:
            # The host's socket is gone or busy. To the command the agent hangs up, which is what has happened.
            inner.close()
            outer.close()
            return
        _Connection(self._waiter, inner, outer)


class _Connection:
    """Two sockets; what comes from one goes to the other. Reads nothing more while something waits to be sent."""

    def __init__(self, waiter: Waiter, inner: _socket.socket, outer: _socket.socket) -> None:
        self._waiter = waiter
        self._sockets = (inner, outer)
        self._waiting = [b"", b""]
        """What is still to be sent to each."""
        self._ended = [False, False]
        """Whether each has said all that it will."""
        self._registered: list[int] = [0, 0]
        self._register()

    def _register(self) -> None:
        for side in (0, 1):
            events = 0 if self._ended[side] or self._waiting[1 - side] else select.POLLIN
            events |= select.POLLOUT if self._waiting[side] else 0
            if events != self._registered[side]:
                descriptor = self._sockets[side].fileno()
                if self._registered[side]:
                    self._waiter.ignore(descriptor)
                if events:
                    self._waiter.listen(descriptor, self._ready_inner if side == 0 else self._ready_outer, events)
                self._registered[side] = events

    def _ready_inner(self) -> None:
        self._ready(0)

    def _ready_outer(self) -> None:
        self._ready(1)

    def _ready(self, side: int) -> None:
        other = 1 - side
        try:
            if self._waiting[side]:
                self._waiting[side] = self._waiting[side][self._sockets[side].send(self._waiting[side]) :]
            elif not self._ended[side] and not self._waiting[other]:
                self._waiting[other] = self._sockets[side].recv(_CHUNK)
                self._ended[side] = not self._waiting[other]
            for end in (0, 1):
                if self._ended[1 - end] and not self._waiting[end]:
                    self._sockets[end].shutdown(_socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self._ended = [True, True]
            self._waiting = [b"", b""]
        self._register()
        if all(self._ended) and not any(self._waiting):
            for finished in self._sockets:
                finished.close()
