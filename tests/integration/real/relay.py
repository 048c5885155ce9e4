"""A stretch of wire on loopback between a client and one server: it counts what the client sends, and can be cut."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Relay", "relay_to"]

_PIECE = 64 * 1024


@dataclass(slots=True)
class Relay:
    """May be looked at while it passes bytes on."""

    host: str
    """What a client connects to."""
    hold_bytes: int
    """After so many bytes from clients, no further ones are passed on, nor taken; 0 for no such end."""
    sent_bytes: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def let_go(self) -> None:
        """Counts anew, and holds nothing back any more."""
        with self.lock:
            self.hold_bytes = self.sent_bytes = 0

    def count(self, size: int) -> None:
        with self.lock:
            self.sent_bytes += size

    @property
    def is_full(self) -> bool:
        with self.lock:
            return 0 < self.hold_bytes <= self.sent_bytes


class _Stretch(socketserver.BaseRequestHandler):
    relay: Relay
    server_address: tuple[str, int]

    def handle(self) -> None:
        with socket.create_connection(self.server_address, timeout=60) as server:
            back = threading.Thread(target=self._answers, args=(server,), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while data := self.request.recv(_PIECE):
                    server.sendall(data)
                    self.relay.count(len(data))
                    if self.relay.is_full:
                        self.relay.held.set()
                        self._wait_for_the_end()
                        break
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join(60)

    def _wait_for_the_end(self) -> None:
        """Of the client, taking nothing from it that it could count as sent."""
        while self.relay.is_full:
            self.request.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                if not self.request.recv(1, socket.MSG_PEEK):
                    return
            threading.Event().wait(0.05)

    def _answers(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(_PIECE):
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay_to(host: str, *, hold_bytes: int = 0) -> Iterator[Relay]:
    """A relay on a free port of loopback to the server at `host` (`127.0.0.1:port`)."""
    name, _, port = host.partition(":")
    relay = Relay("", hold_bytes)
    handler = type("Handler", (_Stretch,), {"relay": relay, "server_address": (name, int(port))})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        relay.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            relay.let_go()
            server.shutdown()
            thread.join()
