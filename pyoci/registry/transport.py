"""One HTTP exchange: no retries, no redirects, no authentication, no cookies, nothing from the environment.

What is short goes over the standard library's `http.client` until something long is to be moved, or a proxy is between:
importing `requests` costs a build in which little or nothing changed more than all that it asks and sends.

Every failure leaves as a TransportFailure whose text is ours: the libraries' texts quote URLs, and with them what must
not be shown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from pyoci.registry.failure import TransportFailure
from pyoci.registry.hosts import Network, Tls
from pyoci.values import dataclass, field

if TYPE_CHECKING:
    from pyoci.registry.connections import Connections
    from pyoci.registry.pools import Pools

__all__ = ["Answer", "Body", "Message", "Stream", "Transport"]

_USER_AGENT = "pyoci"
_SHORT_BYTES = 4 << 20
"""What is no longer is short."""
_PIECE_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024
"""At most, in one piece."""


class Body(Protocol):
    """What a request carries; it can be sent again from the start."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]:
        """The bytes in pieces, from the start; raises where that is no longer possible."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request as it is sent."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: Body | bytes | None
    tls: Tls
    proxy: str = field(repr=False)
    connect_seconds: float
    read_seconds: float


class Stream(Protocol):
    """The body of an answer, as sent, and the connection that it comes from."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; empty at the end.

        Raises:
            TransportFailure: the connection broke, stalled, was too slow, or ended before the promised length.
        """

    def release(self) -> None:
        """Gives the connection back to be used again; only after the end."""

    def close(self) -> None:
        """Gives the connection up."""


@dataclass(slots=True)
class Answer:
    """Status, headers and the body still to be read. Must be finished or closed, so that the connection is used
    again.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """By names in lower case; a header that was sent several times is joined by commas."""
    url: str = field(repr=False)
    """Where it came from, after redirects."""
    authorization: str | None = field(repr=False)
    """The header that was sent for it."""
    stream: Stream = field(repr=False)

    def header(self, name: str) -> str:
        """A header's value, empty when there is none."""
        return self.headers.get(name.lower(), "")

    def length(self) -> int | None:
        """`Content-Length`; None when it is missing or no number."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() else None

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of the body as sent; empty at its end.

        Raises:
            TransportFailure: as `Stream.read`.
        """
        return self.stream.read(min(size, _READ_BYTES))

    def read_upto(self, limit: int) -> bytes:
        """The body, or its first `limit` + 1 bytes when it is longer. Finishes the exchange.

        Raises:
            TransportFailure: as `read`.
        """
        parts: list[bytes] = []
        missing = limit + 1
        while missing and (data := self.read(min(missing, _PIECE_BYTES))):
            parts.append(data)
            missing -= len(data)
        if missing:
            self.stream.release()
        else:
            self.close()
        return b"".join(parts)

    def finish(self) -> None:
        """Reads away what is left, if it is little, so that the connection can be used again."""
        try:
            self.read_upto(_PIECE_BYTES)
        except TransportFailure:
            self.close()

    def close(self) -> None:
        """Gives the connection up."""
        self.stream.close()


class Transport:
    """Connections that are kept for a whole command. May be used from several threads."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lock = threading.Lock()
        self._pools: Pools | None = None
        self._connections: Connections | None = None

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body | bytes | None,
        tls: Tls,
        proxy: str,
        read_seconds: float,
        connect_seconds: float | None = None,
        answer_bytes: int = 0,
    ) -> Answer:
        """The answer to one request; `answer_bytes` is how much is expected, where that may be much.

        Raises:
            TransportFailure: there was none.
            UsageError: a CA or certificate file cannot be used.
        """
        merged = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", **headers}
        connect_seconds = connect_seconds or self._network.connect_seconds
        message = Message(method, url, merged, body, tls, proxy, connect_seconds, read_seconds)
        if max(answer_bytes, len(body or b"")) > _SHORT_BYTES or proxy or self._pools is not None:
            return self._for_long().send(message)
        return self._for_short().send(message)

    def close(self) -> None:
        """Closes every idle connection."""
        with self._lock:
            ways = (self._pools, self._connections)
            self._pools = self._connections = None
        for way in ways:
            if way is not None:
                way.close()

    def _for_short(self) -> Connections:
        with self._lock:
            if self._connections is None:
                from pyoci.registry.connections import Connections

                self._connections = Connections(self._network)
            return self._connections

    def _for_long(self) -> Pools:
        with self._lock:
            if self._pools is None:
                from pyoci.registry.pools import Pools

                self._pools = Pools(self._network)
            return self._pools
