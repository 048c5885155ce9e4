"""Requests sent with the standard library's `http.client`: short ones.

It knows no proxies; for them there are `pools`.
"""

from __future__ import annotations

import http.client
import select
import threading
from collections.abc import Iterable
from contextlib import suppress
from ssl import SSLContext
from urllib.parse import quote, urlsplit

from pyoci.registry.failure import TransportFailure, transport_failure
from pyoci.registry.hosts import Network, Tls
from pyoci.registry.measured import timed_answers
from pyoci.registry.pace import Pace, paced
from pyoci.registry.transport import Answer, Message
from pyoci.registry.trust import make_context
from pyoci.registry.urls import host_of

__all__ = ["ConnectTimeout", "Connections"]

_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"
"""What may stand in a target besides letters and digits; the rest is escaped."""

_Place = tuple[str, str, Tls]


class ConnectTimeout(TimeoutError):
    """No connection in time, as opposed to no answer."""


class Connections:
    """Connections that are kept, by scheme, host and way of trusting. May be used from several threads."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lock = threading.Lock()
        self._contexts: dict[Tls, SSLContext] = {}
        self._idle: dict[_Place, list[http.client.HTTPConnection]] = {}

    def send(self, message: Message) -> Answer:
        """The answer to one request.

        Raises:
            TransportFailure: there was none.
            UsageError: a CA or certificate file cannot be used.
        """
        host = host_of(message.url)
        headers = dict(message.headers)
        body: Iterable[bytes] | bytes | None = message.body
        if message.body is not None and not isinstance(message.body, bytes):
            headers["Content-Length"] = str(len(message.body))
            body = paced(message.body, Pace(self._network, host))
        connection: http.client.HTTPConnection | None = None
        try:
            parts = urlsplit(message.url)
            place = (parts.scheme, parts.netloc, message.tls)
            connection = self._connection(place, message)
            target = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe=_AS_IT_IS)
            with suppress(BrokenPipeError):  # who has heard enough may have answered already
                connection.request(message.method, target, body, headers)
            response = connection.getresponse()
        except (http.client.HTTPException, OSError, ValueError) as error:
            if connection is not None:
                connection.close()
            raise transport_failure(error, host) from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        stream = _Stream(self, place, connection, response, host)
        return Answer(response.status, _headers(response), message.url, message.headers.get("Authorization"), stream)

    def keep(self, place: _Place, connection: http.client.HTTPConnection) -> None:
        """Keeps a connection for the next request."""
        with self._lock:
            self._idle.setdefault(place, []).append(connection)

    def close(self) -> None:
        """Closes every idle connection."""
        with self._lock:
            idle, self._idle = [one for many in self._idle.values() for one in many], {}
        for connection in idle:
            connection.close()

    def __del__(self) -> None:
        self.close()  # as the pools of `requests` do, for a client that nobody closes

    def _connection(self, place: _Place, message: Message) -> http.client.HTTPConnection:
        """A connection that is open, and waits for the answer as long as the message says."""
        connection = self._kept(place) or self._opened(place, message)
        connection.sock.settimeout(message.read_seconds)
        return connection

    def _kept(self, place: _Place) -> http.client.HTTPConnection | None:
        while True:
            with self._lock:
                idle = self._idle.get(place)
                if not idle:
                    return None
                connection = idle.pop()
            if connection.sock is not None and not _is_readable(connection):
                return connection
            connection.close()  # the server has closed it meanwhile

    def _opened(self, place: _Place, message: Message) -> http.client.HTTPConnection:
        scheme, netloc, tls = place
        seconds = message.connect_seconds
        made: http.client.HTTPConnection
        if scheme == "https":
            made = http.client.HTTPSConnection(netloc, timeout=seconds, context=self._context(tls))
        else:
            made = http.client.HTTPConnection(netloc, timeout=seconds)
        made.response_class = timed_answers(self._network, host_of(message.url))  # type: ignore[assignment]
        try:
            made.connect()
        except TimeoutError as error:
            if made.sock is not None:
                made.close()
                raise  # of the handshake: somebody is there
            raise ConnectTimeout from error
        except BaseException:
            made.close()
            raise
        return made

    def _context(self, tls: Tls) -> SSLContext:
        """Made with the first TLS connection, for loading the system's CAs takes tens of milliseconds."""
        with self._lock:
            context = self._contexts.get(tls)
            if context is None:
                context = self._contexts[tls] = make_context(tls)
            return context


class _Stream:
    """A body as it is read from one connection."""

    def __init__(
        self,
        connections: Connections,
        place: _Place,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        host: str,
    ) -> None:
        self._connections = connections
        self._place = place
        self._connection = connection
        self._response = response
        self._host = host

    def read(self, size: int) -> bytes:
        try:
            data = self._response.read(size)
            if size and not data and self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
        except (http.client.HTTPException, OSError, ValueError) as error:
            self.close()
            raise transport_failure(error, self._host) from error
        except TransportFailure:
            self.close()
            raise
        return data

    def release(self) -> None:
        if self._response.will_close or not self._response.isclosed():
            self.close()
        else:
            self._connections.keep(self._place, self._connection)

    def close(self) -> None:
        self._response.close()
        self._connection.close()


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return headers


def _is_readable(connection: http.client.HTTPConnection) -> bool:
    """Whether an idle connection has something to say, which can only be its end."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
