"""Connections whose answers are timed while they are read, headers and body alike.

Timing is done where the bytes come out of the socket: above that, reads wait for as many bytes as they want, and a
server that sends one at a time would have them wait for ever.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from typing import Any

from pyoci.registry.hosts import Network
from pyoci.registry.pace import Pace

__all__ = ["timed_answers"]

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


def timed_answers(network: Network, host: str) -> Callable[..., http.client.HTTPResponse]:
    """What stands for `http.client.HTTPResponse` in a connection to this host."""

    def begin(sock: Any, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(sock, *args, **kwargs)
        response.fp = io.BufferedReader(_Measured(response.fp.detach(), Pace(network, host)), _BUFFER)
        return response

    return begin
