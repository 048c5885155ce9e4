"""An HTTP proxy on loopback that answers CONNECT, and leads to one server whatever host was asked for.

So a client can be made to speak TLS with a name that is not loopback's, without names that the whole machine knows.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

__all__ = ["tunnel_to"]


class _Tunnel(socketserver.StreamRequestHandler):
    target: tuple[str, int]

    def handle(self) -> None:
        line = self.rfile.readline(65536)
        while self.rfile.readline(65536).strip():
            pass
        if not line.startswith(b"CONNECT "):
            self.wfile.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(self.target, timeout=60) as server:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(server, self.connection), daemon=True)
            back.start()
            _pass_on(self.connection, server)
            back.join(60)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def tunnel_to(host: str) -> Iterator[str]:
    """The URL of a proxy behind which every host is the server at `host` (`127.0.0.1:port`)."""
    name, _, port = host.partition(":")
    handler = type("Handler", (_Tunnel,), {"target": (name, int(port))})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
