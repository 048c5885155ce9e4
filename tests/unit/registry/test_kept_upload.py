"""What an earlier command has sent of a blob, and what is done with an address that it left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from pyoci.content.observed import ObservedReader
from pyoci.errors import Cancelled, DigestMismatch, RegistryError
from pyoci.image.descriptor import Descriptor
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient
from pyoci.registry.hosts import HostsConfig
from pyoci.registry.repository import Repository
from pyoci.store import Store
from pyoci.store.uploading import StoredUpload
from tests.fakes.registry import FakeRegistry, Fault, LoseAnswer, Reset, Respond, fake_registry
from tests.registry_world import CALM, sample_image, settled

IMAGE = sample_image(3 << 20)
BLOB = IMAGE.layers[0]
DATA = IMAGE.content.open(BLOB).read()
ARRIVED = 2 << 20
FOREVER = 99


@dataclass
class World:
    registry: FakeRegistry
    store: Store
    clients: list[RegistryClient] = field(default_factory=list)

    def repository(self, name: str = "team/app") -> Repository:
        """As a new command has it."""
        client = RegistryClient(
            HostsConfig(network=CALM), sleep=lambda _: None, random=lambda: 0.5, leftovers=self.store
        )
        self.clients.append(client)
        return client.repository(parse_reference(f"{self.registry.host}/{name}:1"))

    def kept(self, name: str = "team/app") -> StoredUpload:
        found = self.store.take_upload(f"{self.registry.host}/{name}", BLOB)
        assert found is not None
        return found

    def location(self) -> str:
        taken = self.kept()
        found = taken.location
        taken.close()
        return found

    def is_there(self) -> bool:
        return self.registry.repo("team/app").blobs.get(BLOB.digest) == DATA

    def sent(self) -> int:
        return self.registry.sent_bytes()

    def anew(self) -> None:
        self.registry.faults, self.registry.seen = [], []


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_registry() as registry:
        made = World(registry, Store(tmp_path / "store"))
        yield made
        for client in made.clients:
            client.close()


def put(repository: Repository, stream: BinaryIO | None = None) -> None:
    """From a stream that can be begun again, as copies have it."""

    def opened() -> BinaryIO:
        return IMAGE.content.open(BLOB)

    repository.put(BLOB, stream or cast("BinaryIO", ObservedReader(opened(), lambda _: None, reopen=opened)))


def lose(world: World) -> None:
    """A push that sends a part, and then finds no registry any more."""
    world.registry.faults = [
        Fault(Reset(ARRIVED), "PUT", "/uploads/"),
        Fault(LoseAnswer(), "GET", "/uploads/", FOREVER),
    ]
    with pytest.raises(RegistryError):
        put(world.repository())


class Interrupted:
    """A stream whose reader is told to stop half-way."""

    def __init__(self, error: BaseException) -> None:
        self._stream = IMAGE.content.open(BLOB)
        self._error = error
        self._left = ARRIVED

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        if self._left <= 0:
            raise self._error
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._stream.close()


def interrupt(world: World, error: BaseException) -> None:
    with pytest.raises(type(error)):
        put(world.repository(), Interrupted(error))  # type: ignore[arg-type]


def leave(world: World) -> bytearray:
    """A push that is interrupted; what the registry has of the blob."""
    interrupt(world, Cancelled())
    assert world.registry.requests("DELETE") == []
    assert settled(lambda: any(world.registry.uploads.values()) and world.registry.requests("PUT"))
    world.anew()
    (arrived,) = world.registry.uploads.values()
    assert 0 < len(arrived) < BLOB.size
    return arrived


def test_the_next_command_sends_what_is_missing(world: World) -> None:
    missing = BLOB.size - len(leave(world))
    put(world.repository())
    assert world.is_there()
    assert world.sent() == missing
    assert world.registry.requests("POST") == []
    assert world.location() == ""


def test_where_the_registry_was_lost_it_is_gone_on_from_there(world: World) -> None:
    lose(world)
    (arrived,) = world.registry.uploads.values()
    missing = BLOB.size - len(arrived)
    assert missing < BLOB.size
    world.anew()
    put(world.repository())
    assert world.is_there()
    assert world.sent() == missing


def test_an_attempt_that_reaches_nobody_loses_nothing(world: World) -> None:
    missing = BLOB.size - len(leave(world))
    world.registry.faults = [Fault(LoseAnswer(), method, "/uploads/", FOREVER) for method in ("GET", "POST")]
    with pytest.raises(RegistryError):
        put(world.repository())
    world.anew()
    put(world.repository())
    assert world.is_there()
    assert world.sent() == missing


def test_an_upload_that_the_registry_forgot_is_begun_anew(world: World) -> None:
    leave(world)
    world.registry.uploads.clear()
    put(world.repository())
    assert world.is_there()
    assert world.sent() == BLOB.size
    assert world.registry.requests("DELETE") == []


def test_bytes_that_turn_out_to_be_others_are_sent_again(world: World) -> None:
    leave(world)[0] ^= 1
    put(world.repository())
    assert world.is_there()
    assert len(world.registry.requests("POST")) == 1


def test_an_upload_that_is_longer_than_the_blob_is_left(world: World) -> None:
    leave(world).extend(DATA)
    put(world.repository())
    assert world.is_there()
    assert world.sent() == BLOB.size


@pytest.mark.parametrize("how", ["refused", "source"])
def test_what_cannot_be_gone_on_from_is_cancelled(how: str, world: World) -> None:
    if how == "refused":
        world.registry.faults = [Fault(Respond(403), "PUT", "/uploads/", FOREVER)]
        with pytest.raises(RegistryError):
            put(world.repository())
    else:
        interrupt(world, DigestMismatch("the source has other bytes"))
    assert len(world.registry.requests("DELETE", "/uploads/")) == 1
    assert world.location() == ""


def test_of_little_nothing_is_kept(world: World) -> None:
    stopped = Interrupted(Cancelled())
    stopped._left = 100_000
    with pytest.raises(Cancelled):
        put(world.repository(), stopped)  # type: ignore[arg-type]
    assert len(world.registry.requests("DELETE", "/uploads/")) == 1
    assert world.location() == ""


@pytest.mark.parametrize(
    "location",
    [
        "http://other.example:1/v2/team/app/blobs/uploads/u0",
        "ftp://registry.example/x",
        "not an address",
        "//",
        "\\x00",
    ],
)
def test_an_address_that_was_tampered_with_loses_nothing(location: str, world: World) -> None:
    kept = world.kept()
    kept.keep(location)
    kept.close()
    put(world.repository())
    assert world.is_there()
    assert world.sent() == BLOB.size


def test_another_repository_begins_its_own(world: World) -> None:
    leave(world)
    world.repository("team/other").put(BLOB, IMAGE.content.open(BLOB))
    assert world.sent() == BLOB.size
    assert world.location() != ""


def test_an_upload_that_a_mount_opened_gives_way_to_the_one_that_was_left(world: World) -> None:
    missing = BLOB.size - len(leave(world))
    world.registry.mounts = False
    client = RegistryClient(HostsConfig(network=CALM), leftovers=world.store)
    world.clients.append(client)

    def elsewhere(descriptor: Descriptor) -> tuple[str, ...]:
        return ("team/elsewhere",)

    repository = client.repository(parse_reference(f"{world.registry.host}/team/app:1"), mount_from=elsewhere)
    assert not repository.mount(BLOB)
    put(repository)
    assert world.is_there()
    assert world.sent() == missing
    assert world.registry.uploads == {}
