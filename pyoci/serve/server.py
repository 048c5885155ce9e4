"""The registry on a port: a thread of its own that runs uvicorn, and ends within a second when it is told to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from pyoci.errors import PyociError, UsageError
from pyoci.values import dataclass

__all__ = ["Address", "Server", "own_addresses", "parse_address", "server_context"]

_NOTHING_LOGGED = 60
"""Above every level of logging: errors are told by the reporter, and clients that talk nonsense are no news."""
_GRACE_SECONDS = 0
"""For requests under way when the server ends: what is half-sent is of no use, and clients try again."""
_JOIN_SECONDS = 5
_HEADER_BYTES = 64 << 10
_EXPIRY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int
    """0 takes a free one."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can come in."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse_address(text: str) -> Address:
    """`HOST:PORT` or `[IPV6]:PORT`; a host alone has port 5000, a port alone (`:5000`) is loopback's.

    Raises:
        UsageError: it is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "5000"
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host.startswith("[") and host.endswith("]")
    if not (port.isascii() and port.isdigit() and int(port) < 65536) or (":" in bare and not bracketed) or "/" in bare:
        raise UsageError(f'cannot listen on "{text}"', hint="write --listen HOST:PORT, such as 127.0.0.1:5000")
    return Address(bare or "127.0.0.1", int(port))


def own_addresses(address: Address) -> tuple[str, ...]:
    """How names of images spell this server: its address, and this machine's names where it listens on them."""
    spelled = [str(address)]
    if address.is_loopback or address.host in ("0.0.0.0", "::"):
        spelled += [f"{host}:{address.port}" for host in ("localhost", "127.0.0.1", "[::1]")]
    return tuple(dict.fromkeys(spelled))


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS for a server, of version 1.2 at least.

    Raises:
        UsageError: the files cannot be read, do not fit together, or the key wants a passphrase.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def no_passphrase() -> str:
        raise UsageError(f"the key in {key} has a passphrase", hint="give a key without one: openssl pkey -in … -out …")

    try:
        context.load_cert_chain(certificate, key, no_passphrase)
    except (OSError, ssl.SSLError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else error.strerror or str(error)
        raise UsageError(
            f"cannot use {certificate} with {key}: {reason}", hint="both are files in PEM, and belong together"
        ) from error
    return context


def _bind(address: Address) -> socket.socket:
    """A socket that listens, so that the port is known and taken before anything else begins.

    Raises:
        UsageError: the address is not this machine's, or taken.
    """
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"cannot listen on {address}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(128)
    except OSError as error:
        listener.close()
        hint = "--listen HOST:0 takes a free port" if error.errno in (98, 13) else None
        raise UsageError(f"cannot listen on {address}: {error.strerror}", hint=hint) from error
    return listener


class Server:
    """One registry that listens. `start` and `stop` are called once each, from the same thread."""

    def __init__(self, address: Address, context: ssl.SSLContext | None) -> None:
        """Takes the port.

        Raises:
            UsageError: it cannot be had.
        """
        self._listener = _bind(address)
        self.address = Address(address.host, self._listener.getsockname()[1])
        self._context = context
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._uvicorn: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:5000`."""
        return f"{'https' if self._context else 'http'}://{self.address}"

    def start(self, app: ASGIApp, *, connections: int, idle_seconds: float, tick: Callable[[], None]) -> None:
        """Answers from now on.

        A connection on which no whole request arrives for `idle_seconds` is closed. `tick` is called now and then, for
        what has to be tidied up.
        """
        context = self._context
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level=_NOTHING_LOGGED,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=connections,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            h11_max_incomplete_event_size=_HEADER_BYTES,
            ssl_context_factory=(lambda config, default: context) if context is not None else None,
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._run, args=(self._uvicorn, idle_seconds, tick), name="pyoci-serve", daemon=True
        )
        self._thread.start()

    def _run(self, server: uvicorn.Server, idle_seconds: float, tick: Callable[[], None]) -> None:
        async def serve() -> None:
            tidying = [asyncio.ensure_future(_every(_EXPIRY_SECONDS, tick))]
            tidying.append(asyncio.ensure_future(_close_idle(server, idle_seconds)))
            try:
                await server.serve(sockets=[self._listener])
            finally:
                for task in tidying:
                    task.cancel()

        try:
            asyncio.run(serve())
        except BaseException as error:  # told by `wait`, in the thread of who started this
            self._failure = error
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Returns when the server has ended, which by itself it never does; can be interrupted.

        Raises:
            PyociError: it ended because of an error.
        """
        self._ended.wait()
        if self._failure is not None:
            raise PyociError(f"the server ended: {self._failure}") from self._failure

    def stop(self) -> None:
        """Ends it: connections are closed, requests under way are ended."""
        if self._uvicorn is not None and self._thread is not None:
            self._uvicorn.should_exit = True
            self._thread.join(_JOIN_SECONDS)
        self._listener.close()


async def _every(seconds: float, tick: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(tick)


async def _close_idle(server: uvicorn.Server, seconds: float) -> None:
    """Hangs up on clients that begin a request and never end its head: uvicorn waits for them without end."""
    seen: dict[H11Protocol, tuple[object, float]] = {}
    clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(seconds / 2)
        now, before, seen = clock(), seen, {}
        for connection in list(server.server_state.connections):
            if not isinstance(connection, H11Protocol) or not _is_idle(connection):
                continue
            cycle, since = before.get(connection, (None, now))
            seen[connection] = (connection.cycle, since if cycle is connection.cycle else now)
            if now - seen[connection][1] >= seconds:
                connection.shutdown()


def _is_idle(connection: H11Protocol) -> bool:
    """Whether no request is under way: none has begun, or the last one is answered."""
    cycle: RequestResponseCycle | None = connection.cycle
    return cycle is None or cycle.response_complete
