"""A web server on loopback whose answers are written down, and which remembers what it was asked."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from tests.integration.real.registry import Certificates

__all__ = ["Asked", "Page", "WebServer", "web_server"]


@dataclass(frozen=True, slots=True)
class Page:
    """What a path answers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization: str = ""
    """The header that is wanted; anything else is answered with 401."""
    cut_after: int | None = None
    """The whole body is promised, and the connection closed after so many bytes of it."""
    chunked: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    headers: Mapping[str, str]


class WebServer:
    """Pages by path; what is below `repositories` is served by `git http-backend`."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.scheme = scheme
        self.pages: dict[str, Page] = {}
        self.repositories: Path | None = None
        self.git_authorization = ""
        self.git_is_old = False
        """Version 0 of the protocol, in which only what is advertised can be asked for."""
        self.asked: list[Asked] = []

    def url(self, path: str, *, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def paths(self) -> list[str]:
        """What was asked since the last call."""
        found = [asked.path for asked in self.asked]
        self.asked.clear()
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: WebServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        world = self.world
        world.asked.append(Asked(self.path, {key.lower(): value for key, value in self.headers.items()}))
        if world.repositories is not None and self.path.startswith("/git/"):
            self._git(world.repositories)
            return
        page = world.pages.get(self.path, Page(b"not here", 404))
        if page.authorization and self.headers.get("Authorization") != page.authorization:
            page = Page(b"who are you?", 401, {"WWW-Authenticate": "Basic"})
        elif self._unchanged(page):
            page = Page(b"", 304, page.headers)
        self.send_response(page.status)
        for key, value in page.headers.items():
            self.send_header(key, value)
        if page.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif page.status != 304:
            self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        body = page.body if page.cut_after is None else page.body[: page.cut_after]
        if page.chunked:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) + (b"0\r\n\r\n" if page.cut_after is None else b""))
        elif page.status != 304:
            self.wfile.write(body)
        self.close_connection = page.cut_after is not None

    def _unchanged(self, page: Page) -> bool:
        tag = page.headers.get("ETag")
        if "If-None-Match" in self.headers:
            return tag is not None and tag in self.headers["If-None-Match"]
        date = page.headers.get("Last-Modified")
        return date is not None and self.headers.get("If-Modified-Since") == date

    def _git(self, repositories: Path) -> None:
        if self.world.git_authorization and self.headers.get("Authorization") != self.world.git_authorization:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.removeprefix("/git").partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROTOCOL": "" if self.world.git_is_old else self.headers.get("Git-Protocol", ""),
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, timeout=60, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().splitlines() if ": " in line]
        status = next((int(value.split()[0]) for key, value in headers if key == "Status"), 200)
        self.send_response(status)
        for key, value in headers:
            if key != "Status":
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def web_server(tls: Certificates | None = None) -> Iterator[WebServer]:
    """A server that runs while the block does."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        world = WebServer(server.server_address[1], "https" if tls else "http")
        handler.world = world  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield world
        finally:
            server.shutdown()
            thread.join()
