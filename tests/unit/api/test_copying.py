"""Copies between all kinds of places: everything arrives, what is there is not sent again, names are kept."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyoci.api.copying import copy
from pyoci.api.services import Options
from pyoci.api.transfer import push
from pyoci.content import ContentSource, MemoryContent, copy_graph
from pyoci.content.archive import open_archive
from pyoci.content.layout import DirectoryLayout
from pyoci.errors import ContentNotFound, UsageError
from pyoci.image import Descriptor, ImageConfig, Index, encode_index
from pyoci.platforms import Platform
from pyoci.reference import parse_reference
from pyoci.resolver import read_image
from pyoci.store import Store
from tests.builders import check_image, make_image, make_layer
from tests.fakes.registry import FakeRegistry, fake_registry
from tests.registry_world import Recorder
from tests.unit.api.world import options_in

AMD64, S390X = Platform("linux", "amd64"), Platform("linux", "s390x")
PLACES = ["registry", "store", "oci-layout", "oci-archive", "docker-archive"]


@dataclass
class World:
    """A registry, a store, and an index of two platforms that share a layer."""

    path: Path
    registry: FakeRegistry
    content: MemoryContent = field(default_factory=MemoryContent)
    heard: Recorder = field(default_factory=Recorder)

    def __post_init__(self) -> None:
        shared = make_layer({"etc/passwd": b"root:x:0:0::/:/bin/sh\n"})
        self.images = {
            platform: make_image(
                [shared, make_layer({"bin/app": str(platform).encode() * 1000})],
                ImageConfig(platform),
                content=self.content,
            )[1]
            for platform in (AMD64, S390X)
        }
        entries = tuple(image.manifest.descriptor(platform=platform) for platform, image in self.images.items())
        index = encode_index(Index(entries))
        self.root = index.descriptor()
        self.content.put(self.root, io.BytesIO(index.raw))

    def options(self) -> Options:
        return options_in(self.path, self.heard)

    def copy(self, source: str, destination: str, platform: str = "") -> str:
        return copy(source, destination, platform=platform, options=self.options())

    def place(self, kind: str, name: str = "app:1") -> str:
        match kind:
            case "registry":
                return f"{self.registry.host}/team/{name}"
            case "store":
                return f"store:{name}"
            case _:
                return f"{kind}:{self.path / kind}:{name}"

    def seed(self, kind: str) -> str:
        """Puts the index into a place of a kind, by way of a layout that no copy has made."""
        layout = DirectoryLayout(self.path / "seed")
        copy_graph(self.root, self.content, layout)
        layout.add_roots([self.root])
        place = self.place(kind, "seed:1")
        self.copy(f"oci-layout:{self.path / 'seed'}", place)
        return place

    def check(self, place: str, platforms: tuple[Platform, ...] = (AMD64, S390X)) -> None:
        """Reads an image of a place by other means, whole."""
        kind, _, rest = place.partition(":")
        if kind == "store":
            with Store(self.path / "store") as store:
                root = store.tags.get(parse_reference(rest))
                assert root is not None
                self._check(root, store, platforms)
        elif kind == "oci-layout":
            path, _, name = rest.partition(":")
            self._check(DirectoryLayout(Path(path)).find(name), DirectoryLayout(Path(path)), platforms)
        elif kind.endswith("-archive"):
            path, _, name = rest.partition(":")
            with open_archive(Path(path), scratch=self.path) as archive:
                self._check(archive.find(name), archive, platforms)
        else:
            copy(place, f"oci-layout:{self.path / 'checked'}", options=self.options())
            layout = DirectoryLayout(self.path / "checked")
            self._check(layout.find(str(parse_reference(place))), layout, platforms)

    def _check(self, root: Descriptor, content: ContentSource, platforms: tuple[Platform, ...]) -> None:
        for platform in platforms:
            image = read_image(root, content, platform, name="checked")
            assert image.manifest.raw == self.images[platform].manifest.raw
            check_image(image, content)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_registry() as registry:
        yield World(tmp_path, registry)


@pytest.mark.parametrize("source", PLACES)
@pytest.mark.parametrize("destination", PLACES)
def test_every_place_gives_to_every_other(world: World, source: str, destination: str) -> None:
    given = world.seed(source)
    target = world.place(destination)
    assert world.copy(given, target) == world.root.digest
    world.check(target)


@pytest.mark.parametrize("destination", PLACES)
def test_one_platform_is_copied_without_its_index(world: World, destination: str) -> None:
    given = world.seed("registry")
    world.registry.seen.clear()
    target = world.place(destination)
    digest = world.copy(given, target, "linux/s390x")
    assert digest == world.images[S390X].manifest.digest
    world.check(target, (S390X,))
    others = world.images[AMD64].layers[-1].descriptor.digest
    assert world.registry.requests(path=others) == []


def test_a_platform_that_is_not_there_is_named_with_those_that_are(world: World) -> None:
    given = world.seed("registry")
    with pytest.raises(ContentNotFound) as caught:
        world.copy(given, "store:app", "linux/riscv64")
    assert caught.value.hint == "it has: linux/amd64, linux/s390x"


def test_what_the_registry_has_is_not_sent_again(world: World) -> None:
    given = world.seed("oci-archive")
    target = world.place("registry")
    world.copy(given, target)
    before = world.registry.sent_bytes()
    world.copy(given, target)
    assert world.registry.requests("POST", "/uploads/") != []
    assert world.registry.sent_bytes() == before


def test_within_a_registry_blobs_are_mounted(world: World) -> None:
    given = world.seed("registry")
    before = world.registry.sent_bytes()
    fetched = len(world.registry.requests("GET", "/blobs/"))
    world.copy(given, f"{world.registry.host}/elsewhere/app:1")
    documents = sum(image.manifest.size for image in world.images.values()) + world.root.size
    assert world.registry.sent_bytes() - before == documents
    assert len(world.registry.requests("GET", "/blobs/")) == fetched
    assert set(world.heard.outcomes.values()) >= {"mounted"}


@pytest.mark.parametrize("kind", ["oci-layout", "oci-archive", "docker-archive"])
def test_without_a_name_an_image_keeps_its_own(world: World, kind: str) -> None:
    given = world.seed("registry")
    world.copy(given, f"{kind}:{world.path / 'kept'}")
    kept = world.path / "kept"
    images = DirectoryLayout(kept).images() if kind == "oci-layout" else open_archive(kept, scratch=world.path).images()
    assert [names for names, _ in images] == [(given,)]


def test_what_was_copied_into_the_store_is_mounted_from_where_it_came(world: World) -> None:
    given = world.seed("registry")
    name = f"{world.registry.host}/elsewhere/app:1"
    world.copy(given, f"store:{name}")
    before = len(world.registry.requests("PUT", "/uploads/"))
    push(name, options=world.options())
    assert len(world.registry.requests("PUT", "/uploads/")) == before


def test_a_bare_name_is_a_registrys_and_the_store_is_pointed_at(world: World) -> None:
    name = f"{world.registry.host}/team/only-here:1"
    world.copy(world.seed("oci-archive"), f"store:{name}")
    with pytest.raises(ContentNotFound) as caught:
        world.copy(name, world.place("oci-archive"))
    assert caught.value.hint == f"the store has it: pyoci copy store:{name} DESTINATION"


def test_a_destination_by_digest_must_be_what_is_copied(world: World) -> None:
    given = world.seed("oci-layout")
    repository = f"{world.registry.host}/team/app"
    other = world.images[AMD64].manifest.digest
    with pytest.raises(UsageError, match="cannot become"):
        world.copy(given, f"{repository}@{other}")
    assert world.copy(given, f"{repository}@{world.root.digest}") == world.root.digest
    assert world.registry.repo("team/app").tags == {}
    with pytest.raises(UsageError, match="cannot be given a digest"):
        world.copy(given, f"store:app@{other}")


def test_an_archive_that_cannot_be_finished_does_not_appear(world: World) -> None:
    given = world.seed("registry")
    repo = world.registry.repo("team/seed")
    lost = world.images[S390X].layers[-1].descriptor.digest
    del repo.blobs[lost]
    for kind in ("oci-archive", "docker-archive"):
        with pytest.raises(ContentNotFound):
            world.copy(given, f"{kind}:{world.path / 'unfinished'}")
    with pytest.raises(ContentNotFound):
        world.copy(given, "store:unfinished")
    assert [path.name for path in world.path.iterdir() if "unfinished" in path.name] == []
    with Store(world.path / "store") as store:
        assert store.tags.get(parse_reference("unfinished")) is None
