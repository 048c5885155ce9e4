"""A registry that misbehaves, a client that does not wait, and an image to move between them."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pyoci.content import MemoryContent
from pyoci.digest import DiffID, sha256_digest
from pyoci.image import ImageConfig, Manifest, encode_config, encode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.location import Location
from pyoci.platforms import Platform
from pyoci.progress import Reporter, TransferOutcome
from pyoci.reference import Reference, parse_reference
from pyoci.registry.blob_sink import MountFrom
from pyoci.registry.client import RegistryClient
from pyoci.registry.credentials import Credential, CredentialSource, FixedCredentials
from pyoci.registry.hosts import HostsConfig, Network
from pyoci.registry.repository import Repository
from tests.fakes.registry import FakeRegistry, fake_registry

FAST = Network(connect_seconds=5, stall_seconds=0.25, commit_seconds=0.25, attempts=4)
"""Timeouts short enough for tests that wait for one."""
CALM = Network(connect_seconds=20, stall_seconds=20, commit_seconds=20, attempts=4)
"""Timeouts that a busy machine does not reach, for all other tests."""


@dataclass(slots=True)
class Recorder(Reporter):
    """Remembers what a user would have read."""

    lines: list[str] = field(default_factory=list)
    outcomes: dict[str, TransferOutcome] = field(default_factory=dict)

    def message(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str, *, location: Location | None = None) -> None:
        self.lines.append(f"warning: {text}")

    def transfer_done(self, name: str, outcome: TransferOutcome) -> None:
        self.outcomes[name] = outcome


@dataclass(frozen=True, slots=True)
class SampleImage:
    """An image of opaque layers, whole in memory."""

    content: MemoryContent
    root: Descriptor
    layers: tuple[Descriptor, ...]
    config: Descriptor
    manifest: bytes

    @property
    def pieces(self) -> tuple[Descriptor, ...]:
        return (self.root, self.config, *self.layers)


def sample_image(*sizes: int, seed: int = 0) -> SampleImage:
    """An image with layers of these sizes (bytes); the same arguments give the same image."""
    content = MemoryContent()
    noise = random.Random(seed)
    layers = tuple(content.add(noise.randbytes(size), media_types.LAYER) for size in sizes)
    diff_ids = tuple(DiffID(layer.digest) for layer in layers)
    config_document = encode_config(ImageConfig(Platform("linux", "amd64"), diff_ids=diff_ids))
    config = content.add(config_document.raw, media_types.CONFIG)
    manifest = encode_manifest(Manifest(config, layers))
    root = content.add(manifest.raw, media_types.MANIFEST)
    return SampleImage(content, root, layers, config, manifest.raw)


@dataclass(slots=True)
class World:
    """One registry and one client."""

    registry: FakeRegistry
    client: RegistryClient
    reporter: Recorder
    slept: list[float]

    def reference(self, name: str = "team/app:1") -> Reference:
        return parse_reference(f"{self.registry.host}/{name}")

    def repository(self, name: str = "team/app:1", *, mount_from: MountFrom | None = None) -> Repository:
        return self.client.repository(self.reference(name), mount_from=mount_from)

    def publish(self, image: SampleImage, name: str = "team/app", *tags: str) -> None:
        """Puts an image into the registry behind the client's back."""
        for descriptor in (image.config, *image.layers):
            self.registry.add_blob(name, image.content.open(descriptor).read())
        self.registry.add_manifest(name, image.manifest, image.root.media_type, *(tags or ("1",)))

    def has_whole(self, image: SampleImage, name: str = "team/app") -> bool:
        repo = self.registry.repo(name)
        blobs = all(sha256_digest(repo.blobs.get(piece.digest, b"-")) == piece.digest for piece in image.pieces[1:])
        return blobs and image.root.digest in repo.manifests


@contextlib.contextmanager
def world(
    registry: FakeRegistry | None = None,
    *,
    hosts: HostsConfig | None = None,
    credentials: CredentialSource | None = None,
    network: Network = CALM,
) -> Iterator[World]:
    """A running registry and a client that knows its user, unless other credentials are given."""
    with fake_registry(registry) as running:
        reporter, slept = Recorder(), list[float]()
        known = FixedCredentials({running.host: Credential(running.user, running.password, running.identity_token)})
        client = RegistryClient(
            hosts or HostsConfig(network=network),
            credentials or known,
            reporter=reporter,
            sleep=slept.append,
            random=lambda: 0.5,
        )
        with client:
            yield World(running, client, reporter, slept)


NOBODY = FixedCredentials({})


def settled(condition: Callable[[], object], *, seconds: float = 10) -> bool:
    """Whether a condition comes true within a few seconds: threads that were told to stop tidy up behind the caller."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
