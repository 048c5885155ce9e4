"""Servers that send, and yet do not get on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pyoci.errors import RegistryError
from pyoci.registry.failure import TransportFailure
from pyoci.registry.hosts import Network
from pyoci.registry.pace import Pace
from pyoci.registry.pools import _Pieces
from tests.fakes.registry import Delay, Fault, Trickle
from tests.registry_world import CALM, sample_image, world

IMAGE = sample_image(100_000)
LAYER = IMAGE.layers[0]
IMPATIENT = replace(CALM, low_speed_bytes=1000, low_speed_seconds=0.5)
NETWORK = Network(low_speed_bytes=100, low_speed_seconds=10)


def test_a_window_that_is_fast_enough_begins_a_new_one() -> None:
    pace = Pace(NETWORK, "r.example")
    for _ in range(100):
        pace.add(100, 1.0)


def test_a_burst_does_not_pay_for_the_next_window() -> None:
    pace = Pace(NETWORK, "r.example")
    pace.add(1_000_000, 10.0)
    pace.add(999, 9.0)
    with pytest.raises(TransportFailure, match=r"r\.example is too slow: 999 bytes in 10 s") as caught:
        pace.add(0, 1.0)
    assert caught.value.may_pass


def test_waiting_longer_than_the_window_is_counted_whole() -> None:
    with pytest.raises(TransportFailure, match="too slow"):
        Pace(NETWORK, "r.example").add(1500, 20.0)


def test_no_limit_is_no_limit() -> None:
    Pace(replace(NETWORK, low_speed_bytes=0), "r.example").add(0, 1e6)


class Body:
    """Four pieces, the third of which takes half a minute to be taken."""

    def __init__(self) -> None:
        self.now = 0.0

    def __len__(self) -> int:
        return 400

    def __iter__(self) -> Iterator[bytes]:
        for number in range(4):
            yield b"x" * 100
            self.now += 1000  # reading the source is nobody's fault but ours
            assert number < 3


def test_an_upload_is_timed_as_well() -> None:
    body = Body()
    pieces = iter(_Pieces(body, Pace(NETWORK, "r.example", clock=lambda: body.now)))
    for _ in range(3):
        next(pieces)
    body.now += 30
    with pytest.raises(TransportFailure, match="too slow: 300 bytes"):
        next(pieces)


def test_a_blob_that_trickles_is_taken_up_again() -> None:
    with world(network=IMPATIENT) as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Trickle(0.05, 10), "GET", LAYER.digest)]
        assert here.repository().open(LAYER).read() == IMAGE.content.open(LAYER).read()
        assert len(here.registry.requests("GET", LAYER.digest)) >= 2


def test_headers_that_trickle_are_no_better() -> None:
    with world(network=IMPATIENT) as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Trickle(0.1, 1, headers=True), "GET", LAYER.digest)]
        assert here.repository().open(LAYER).read() == IMAGE.content.open(LAYER).read()
        assert len(here.registry.requests("GET", LAYER.digest)) >= 2


def test_a_server_that_thinks_before_it_answers_is_not_slow() -> None:
    with world(network=replace(IMPATIENT, low_speed_seconds=0.1)) as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Delay(1.0), "GET", LAYER.digest)]
        assert here.repository().open(LAYER).read() == IMAGE.content.open(LAYER).read()
        assert here.slept == []


@pytest.mark.parametrize("path", ["/manifests/1", "/blobs/"])
def test_a_server_that_always_trickles_is_one_error(path: str) -> None:
    """Each attempt of a document begins anew; each of a blob gets on, but the limit is what says how far."""
    with world(network=replace(IMPATIENT, attempts=2)) as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Trickle(0.2, 1), "GET", path, 1000)]
        with pytest.raises(RegistryError, match="is too slow: ") as caught:
            if path == "/blobs/":
                here.repository().open(LAYER).read()
            else:
                here.repository().fetch_manifest()
        assert caught.value.hint == "try again later; low-speed-limit in config.toml says how slow is too slow"
