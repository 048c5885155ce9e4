"""The upload that a question has opened: used by what is small and comes soon, and never left behind."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pyoci.digest import sha256_digest
from pyoci.image import Descriptor, media_types
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient
from pyoci.registry.hosts import HostsConfig
from pyoci.registry.repository import Repository
from tests.fakes.registry import FakeRegistry, Fault, Respond, fake_registry
from tests.registry_world import CALM


@dataclass
class Asked:
    """A registry that was asked for permission."""

    registry: FakeRegistry
    repository: Repository
    now: float = 0

    def put(self, size: int) -> None:
        raw = b"x" * size
        blob = Descriptor(media_types.LAYER, sha256_digest(raw), size)
        self.repository.put(blob, io.BytesIO(raw))
        assert blob.digest in self.registry.repo("team/app").blobs

    def methods(self) -> list[str]:
        return [seen.method for seen in self.registry.requests(path="/uploads/")]


@pytest.fixture
def asked() -> Iterator[Asked]:
    with fake_registry() as registry:
        client = RegistryClient(
            HostsConfig(network=CALM), clock=lambda: here.now, sleep=lambda seconds: None, random=lambda: 0.5
        )
        here = Asked(registry, client.repository(parse_reference(f"{registry.host}/team/app:1")))
        with client:
            here.repository.check_push()
            yield here
        assert registry.uploads == {}


def test_what_is_small_goes_into_it_once(asked: Asked) -> None:
    asked.put(100)
    assert asked.methods() == ["POST", "PUT"]
    asked.put(101)
    assert asked.methods() == ["POST", "PUT", "POST", "PUT"]


def test_what_is_large_does_not(asked: Asked) -> None:
    asked.put(1 << 20)
    assert asked.methods() == ["POST", "POST", "PUT"]


def test_an_old_one_is_given_up(asked: Asked) -> None:
    asked.now = 61
    asked.put(100)
    assert asked.methods() == ["POST", "DELETE", "POST", "PUT"]


def test_one_that_the_registry_has_forgotten_is_no_failure(asked: Asked) -> None:
    asked.registry.faults.append(
        Fault(Respond(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'), "PUT", "/uploads/")
    )
    asked.put(100)
    assert asked.methods() == ["POST", "PUT", "DELETE", "POST", "PUT"]
