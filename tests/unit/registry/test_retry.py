"""Waiting: doubled, jittered, bounded; and what a server asks for."""

from __future__ import annotations

import pytest

from pyoci.registry.hosts import Network
from pyoci.registry.retry import Backoff, retry_after_seconds

NOW = "Wed, 21 Oct 2015 07:28:00 GMT"


def test_waits_double_and_end() -> None:
    network = Network(attempts=5, backoff_seconds=0.5)
    longest, shortest = Backoff(network, lambda: 1.0), Backoff(network, lambda: 0.0)
    assert [longest.seconds(n) for n in range(1, 6)] == [0.5, 1.0, 2.0, 4.0, None]
    assert [shortest.seconds(n) for n in range(1, 6)] == [0.25, 0.5, 1.0, 2.0, None]
    assert Backoff(Network(attempts=50), lambda: 1.0).seconds(40) == 30.0


def test_what_the_server_asks_for_is_waited_unless_it_is_too_long() -> None:
    backoff = Backoff(Network(attempts=3, longest_wait_seconds=60), lambda: 0.5)
    assert backoff.seconds(1, 17) == 17
    assert backoff.seconds(1, 0) == 0
    assert backoff.seconds(1, 61) is None
    assert backoff.seconds(3, 1) is None


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("120", "", 120.0),
        (" 3 ", "", 3.0),
        ("0", "", 0.0),
        ("Wed, 21 Oct 2015 07:30:00 GMT", NOW, 120.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", NOW, 0.0),
        ("Wed, 21 Oct 2015 07:30:00 GMT", "", None),
        ("Wed, 21 Oct 2015 07:30:00 GMT", "yesterday", None),
        ("soon", NOW, None),
        ("-5", NOW, None),
        ("1.5", NOW, None),
        ("", "", None),
        ("9" * 400, "", 999999999.0),
    ],
)
def test_retry_after(value: str, date: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, date) == seconds
