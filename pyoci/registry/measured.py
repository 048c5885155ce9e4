"""Connections whose answers are timed while they are read, headers and body alike.

Timing is done where the bytes come out of the socket: above that, reads wait for as many bytes as they want, and a
server that sends one at a time would have them wait for ever.
"""

from __future__ import annotations

import http.client
import io
from typing import Any

from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pyoci.registry.hosts import Network
from pyoci.registry.pace import Pace

__all__ = ["pool_classes"]

_BUFFER = 64 * 1024


class _Measured(io.RawIOBase):
    """A socket's stream, timed from the first bytes on: how long a server thinks before it answers is not its pace."""

    def __init__(self, raw: io.RawIOBase, pace: Pace) -> None:
        super().__init__()
        self._raw = raw
        self._pace = pace
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        started = self._pace.clock()
        count = self._raw.readinto(buffer)
        if self._begun:
            self._pace.add(count or 0, self._pace.clock() - started)
        self._begun = True
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _QuietConnection(HTTPSConnection):
    """A connection that was asked not to verify: the library's warning to the developer is not for our user."""

    def connect(self) -> None:
        super().connect()
        self.is_verified = True


def pool_classes(network: Network, *, verify: bool) -> dict[str, Any]:
    """Classes of connection pools by scheme, for a manager of pools."""

    def answer(host: str) -> Any:
        def begin(sock: Any, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
            response = http.client.HTTPResponse(sock, *args, **kwargs)
            response.fp = io.BufferedReader(_Measured(response.fp.detach(), Pace(network, host)), _BUFFER)
            return response

        return begin

    class Pool(HTTPConnectionPool):
        def _new_conn(self) -> Any:
            made: Any = super()._new_conn()
            made.response_class = answer(f"{self.host}:{self.port}" if self.port else self.host)
            return made

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = HTTPSConnection if verify else _QuietConnection

        def _new_conn(self) -> Any:
            made: Any = super()._new_conn()
            made.response_class = answer(f"{self.host}:{self.port}" if self.port not in (None, 443) else self.host)
            return made

    return {"http": Pool, "https": SecurePool}
