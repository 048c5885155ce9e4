"""When to try again: exponential backoff with jitter, and what the server itself asks for."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime

from pyoci.registry.hosts import Network
from pyoci.values import dataclass

__all__ = ["RETRY_STATUSES", "Backoff", "retry_after_seconds"]

RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """The waits between attempts."""

    network: Network
    random: Callable[[], float]
    """A number from 0 up to 1."""

    def seconds(self, failed: int, asked: float | None = None) -> float | None:
        """How long to wait after `failed` attempts; None when it is time to give up.

        `asked` is the server's `Retry-After`: waited in full, unless it is longer than the configuration allows.
        """
        if failed >= self.network.attempts:
            return None
        if asked is not None:
            return asked if asked <= self.network.longest_wait_seconds else None
        whole = min(self.network.backoff_seconds * 2.0 ** (failed - 1), _LONGEST_BACKOFF_SECONDS)
        return whole * (0.5 + self.random() / 2)


def retry_after_seconds(value: str, date: str) -> float | None:
    """`Retry-After` (RFC 9110 section 10.2.3): seconds, or a time that is compared with the answer's own `Date`."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError):
        return None
