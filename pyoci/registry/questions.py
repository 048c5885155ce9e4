"""Requests sent with the standard library's `http.client`: those whose body and answer are short.

It knows no proxies and streams no bodies; what needs them goes over `pools`.
"""

from __future__ import annotations

import http.client
import select
import threading
from ssl import SSLContext
from urllib.parse import quote, urlsplit

from pyoci.registry.failure import TransportFailure, transport_failure
from pyoci.registry.hosts import Network, Tls
from pyoci.registry.measured import timed_answers
from pyoci.registry.transport import Answer, Message
from pyoci.registry.trust import make_context
from pyoci.registry.urls import host_of

__all__ = ["ConnectTimeout", "Questions"]

_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"
"""What may stand in a target besides letters and digits; the rest is escaped."""

_Place = tuple[str, str, Tls]


class ConnectTimeout(TimeoutError):
    """No connection in time, as opposed to no answer."""


class Questions:
    """Connections by scheme, host and way of trusting. May be used from several threads."""

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
        assert message.body is None or isinstance(message.body, bytes), "a streamed body is no question"
        host = host_of(message.url)
        connection: http.client.HTTPConnection | None = None
        try:
            parts = urlsplit(message.url)
            place = (parts.scheme, parts.netloc, message.tls)
            connection = self._connection(place, message)
            target = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe=_AS_IT_IS)
            connection.request(message.method, target, body=message.body, headers=dict(message.headers))
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
        """Keeps a connection for the next question."""
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
        questions: Questions,
        place: _Place,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        host: str,
    ) -> None:
        self._questions = questions
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
            self._questions.keep(self._place, self._connection)

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
