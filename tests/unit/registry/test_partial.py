"""Pulls that go on from what an earlier command has left: only the rest is asked for, and nothing is believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from pyoci.content import PullThrough, copy_graph
from pyoci.errors import Cancelled, ContentNotFound, RegistryError
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient
from pyoci.registry.hosts import HostsConfig
from pyoci.registry.repository import Repository
from pyoci.store import Store
from tests.fakes.registry import Change, Cut, FakeRegistry, Fault, Respond, fake_registry
from tests.registry_world import CALM, sample_image
from tests.unit.store.test_arriving import Broken

IMAGE = sample_image(4 << 20, 100_000)
LAYER = IMAGE.layers[0]
WHOLE = IMAGE.content.open(LAYER).read()
HELD = 3 << 20


class World:
    def __init__(self, registry: FakeRegistry, store: Store) -> None:
        self.registry = registry
        self.store = store
        self.slept: list[float] = []
        client = RegistryClient(HostsConfig(network=CALM), sleep=self.slept.append, random=lambda: 0.5, leftovers=store)
        self.repository: Repository = client.repository(parse_reference(f"{registry.host}/team/app:1"))

    def leave(self, data: bytes = WHOLE[:HELD]) -> None:
        """What a command leaves that was interrupted."""
        with pytest.raises(Cancelled):
            self.store.put(LAYER, cast("BinaryIO", Broken(len(data), Cancelled(), data)))

    def pull(self) -> None:
        copy_graph(IMAGE.root, self.repository, self.store, kind="pull", jobs=1)
        for piece in IMAGE.pieces:
            with self.store.open(piece) as stream:
                assert stream.read() == IMAGE.content.open(piece).read()
        assert list((self.store.root / "tmp").iterdir()) == []

    @property
    def ranges(self) -> list[str]:
        return [seen.headers.get("Range", "") for seen in self.registry.requests("GET", LAYER.digest)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_registry() as registry, Store(tmp_path) as store:
        for descriptor in (IMAGE.config, *IMAGE.layers):
            registry.add_blob("team/app", IMAGE.content.open(descriptor).read())
        registry.add_manifest("team/app", IMAGE.manifest, IMAGE.root.media_type, "1")
        yield World(registry, store)


def test_only_the_rest_is_asked_for(world: World) -> None:
    world.leave()
    world.pull()
    assert world.ranges == [f"bytes={HELD}-"]


def test_a_base_layer_that_a_build_needs_goes_on_too(world: World) -> None:
    world.leave()
    with PullThrough(world.store, world.repository).open(LAYER) as stream:
        assert stream.read() == WHOLE
    assert world.ranges == [f"bytes={HELD}-"]


def test_what_is_there_whole_is_not_asked_for(world: World) -> None:
    world.leave()
    (path,) = (world.store.root / "tmp").iterdir()
    path.write_bytes(WHOLE)
    world.pull()
    assert world.ranges == []


def test_bytes_that_were_wrong_are_fetched_again(world: World) -> None:
    world.leave(bytes(HELD))
    world.pull()
    assert world.ranges == [f"bytes={HELD}-", ""]


def test_a_registry_that_knows_no_ranges(world: World) -> None:
    world.leave()
    answer = Change(headers={"Content-Range": "", "Content-Length": str(len(WHOLE))}, body=lambda _: WHOLE, status=200)
    world.registry.faults = [Fault(answer, "GET", LAYER.digest)]
    world.pull()


@pytest.mark.parametrize("after", [0, 100_000])
def test_a_connection_that_breaks_in_the_rest(world: World, after: int) -> None:
    world.leave()
    world.registry.faults = [Fault(Cut(after), "GET", LAYER.digest)]
    world.pull()
    assert world.ranges == [f"bytes={HELD}-", f"bytes={HELD + after}-"]


def test_a_registry_that_refuses_the_range_is_asked_for_all(world: World) -> None:
    world.leave()
    world.registry.faults = [Fault(Respond(416), "GET", LAYER.digest)]
    world.pull()
    assert world.ranges == [f"bytes={HELD}-", ""]


@pytest.mark.parametrize(("status", "kind"), [(403, RegistryError), (404, ContentNotFound), (500, RegistryError)])
def test_what_cannot_be_gone_on_from_now_is_kept_for_later(world: World, status: int, kind: type[Exception]) -> None:
    world.leave()
    world.registry.faults = [Fault(Respond(status), "GET", LAYER.digest, 99)]
    with pytest.raises(kind):
        world.pull()
    world.registry.faults, world.registry.seen = [], []
    world.pull()
    assert world.ranges == [f"bytes={HELD}-"]


def test_what_is_interrupted_again_is_kept_again(world: World) -> None:
    world.leave()
    world.registry.faults = [Fault(Cut(500_000), "GET", LAYER.digest), Fault(Respond(403), "GET", LAYER.digest)]
    with pytest.raises(RegistryError):
        world.pull()
    world.registry.seen = []
    world.pull()
    (asked,) = world.ranges
    assert int(asked.removeprefix("bytes=").removesuffix("-")) >= HELD


def test_a_blob_that_is_only_read_leaves_the_rest_as_it_was(world: World) -> None:
    world.leave()
    with world.repository.open(LAYER) as stream:
        assert stream.read(1000) == WHOLE[:1000]
    world.pull()
    assert world.ranges == [f"bytes={HELD}-"] * 2
