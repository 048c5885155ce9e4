"""Whether a transfer gets on: a server that sends a byte a minute is as good as one that has stalled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from pyoci.registry.failure import TransportFailure
from pyoci.registry.hosts import Network

__all__ = ["Pace", "paced"]


class Pace:
    """Bytes against the time in which they were waited for. Of one transfer, used by one thread.

    Only waiting counts: what a caller does between two reads is not the server's fault.
    """

    def __init__(self, network: Network, host: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._network = network
        self._host = host
        self.clock = clock
        self._bytes = 0
        self._seconds = 0.0

    def add(self, count: int, seconds: float) -> None:
        """Counts bytes that moved while somebody waited so long.

        Raises:
            TransportFailure: over the whole of the last window, fewer moved than the configuration asks for.
        """
        self._bytes += count
        self._seconds += seconds
        if self._seconds < self._network.low_speed_seconds:
            return
        slow = self._bytes < self._network.low_speed_bytes * self._seconds
        moved, self._bytes, self._seconds = self._bytes, 0, 0.0
        if slow:
            raise TransportFailure(
                f"{self._host} is too slow: {moved} bytes in {self._network.low_speed_seconds:g} s",
                "slow",
                host=self._host,
            )


def paced(pieces: Iterable[bytes], pace: Pace) -> Iterator[bytes]:
    """The pieces of a body, counted while somebody sends them.

    Raises:
        TransportFailure: they are taken too slowly.
    """
    for piece in pieces:
        started = pace.clock()
        yield piece
        pace.add(len(piece), pace.clock() - started)
