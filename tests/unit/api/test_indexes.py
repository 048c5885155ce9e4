"""Indexes made of images that are in a registry, the store or an archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyoci.api.copying import copy
from pyoci.api.indexes import PlatformChange, annotate_index, create_index, read_manifest
from pyoci.api.services import Options
from pyoci.api.transfer import push
from pyoci.cli.main import main
from pyoci.content import MemoryContent, copy_graph
from pyoci.content.layout import DirectoryLayout
from pyoci.errors import ContentNotFound, UsageError
from pyoci.image import Image, ImageConfig, Index, decode_index, media_types
from pyoci.image.schema import validate
from pyoci.platforms import Platform
from pyoci.reference import parse_reference
from pyoci.store import Store
from tests.builders import make_image, make_layer
from tests.fakes.registry import FakeRegistry, fake_registry
from tests.unit.api.world import options_in

AMD64, ARM, S390X = Platform("linux", "amd64"), Platform("linux", "arm", "v7"), Platform("linux", "s390x")


@dataclass
class World:
    """One image in a registry, one in the store, one in a layout: each for another platform."""

    path: Path
    registry: FakeRegistry
    images: dict[Platform, Image] = field(default_factory=dict)
    places: dict[Platform, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = {
            AMD64: f"{self.registry.host}/team/amd64:1",
            ARM: "store:arm:1",
            S390X: f"oci-layout:{self.path / 's390x'}:1",
        }
        for platform, place in self.places.items():
            self.images[platform] = self.put(platform, place, str(platform))

    def put(self, platform: Platform, place: str, text: str) -> Image:
        content, image = make_image([make_layer({"f": text.encode()})], ImageConfig(platform), content=MemoryContent())
        layout = DirectoryLayout(self.path / "made" / text.replace("/", "-"))
        copy_graph(image.manifest.descriptor(), content, layout)
        layout.add_roots([image.manifest.descriptor()])
        copy(f"oci-layout:{layout.path}", place, options=self.options())
        return image

    def options(self) -> Options:
        return options_in(self.path)

    @property
    def name(self) -> str:
        return f"{self.registry.host}/team/all:1"

    def create(self, *platforms: Platform, amend: bool = False) -> None:
        create_index(self.name, [self.places[one] for one in platforms], amend=amend, options=self.options())

    def index(self) -> Index:
        with Store(self.path / "store") as store:
            root = store.tags.get(parse_reference(self.name))
            assert root is not None
            raw = store.read(root)
        assert validate(raw, root.media_type) == []
        return decode_index(raw, media_type=root.media_type).value

    def entries(self) -> dict[str, Platform | None]:
        return {entry.digest: entry.platform for entry in self.index().manifests}

    def wanted(self, *platforms: Platform) -> dict[str, Platform | None]:
        return {self.images[platform].manifest.digest: platform for platform in platforms}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_registry() as registry:
        yield World(tmp_path, registry)


def test_an_index_of_images_from_anywhere_is_pushed_whole(world: World) -> None:
    world.create(AMD64, ARM, S390X)
    assert world.entries() == world.wanted(AMD64, ARM, S390X)
    assert world.index().media_type == media_types.INDEX
    digest = push(world.name, options=world.options())
    repo = world.registry.repo("team/all")
    assert repo.tags["1"] == digest
    for image in world.images.values():
        assert image.manifest.digest in repo.manifests
        assert {image.image_id, *(layer.descriptor.digest for layer in image.layers)} <= repo.blobs.keys()


def test_layers_in_a_registry_are_neither_fetched_nor_sent(world: World) -> None:
    world.registry.seen.clear()
    world.create(AMD64)
    push(world.name, options=world.options())
    layer = world.images[AMD64].layers[0].descriptor.digest
    assert world.registry.requests("GET", layer) == []
    assert world.registry.requests("PUT", "/uploads/") == []
    assert layer in world.registry.repo("team/all").blobs


def test_an_index_that_is_there_is_only_added_to_when_asked(world: World) -> None:
    world.create(AMD64)
    with pytest.raises(UsageError, match="is in the store already"):
        world.create(ARM)
    world.create(ARM, amend=True)
    assert world.entries() == world.wanted(AMD64, ARM)
    newer = world.put(ARM, world.places[ARM], "newer")
    world.create(ARM, amend=True)
    assert world.entries() == {**world.wanted(AMD64), newer.manifest.digest: ARM}


def test_an_image_cannot_be_amended(world: World) -> None:
    with pytest.raises(UsageError, match="is an image, not an index"):
        create_index("arm:1", [world.places[AMD64]], amend=True, options=world.options())


def test_two_images_for_one_platform_are_refused(world: World) -> None:
    world.put(ARM, "store:other:1", "other")
    with pytest.raises(UsageError, match="is for linux/arm/v7, and so is another image before it"):
        create_index(world.name, ["store:arm:1", "store:other:1"], options=world.options())


def test_the_images_of_an_index_are_taken_over(world: World) -> None:
    world.create(AMD64, S390X)
    create_index("both:1", [f"store:{world.name}", world.places[ARM]], options=world.options())
    raw, root = read_manifest("store:both:1", options=world.options())
    found = {entry.digest for entry in decode_index(raw, media_type=root.media_type).value.manifests}
    assert found == set(world.wanted(AMD64, ARM, S390X))


def test_what_a_registry_has_now_counts_and_not_what_was_pulled(world: World) -> None:
    world.create(AMD64)
    newer = world.put(AMD64, world.places[AMD64], "newer")
    create_index("second:1", [world.places[AMD64]], options=world.options())
    raw, _ = read_manifest("store:second:1", options=world.options())
    assert json.loads(raw)["manifests"][0]["digest"] == newer.manifest.digest


def test_more_can_be_said_about_an_image(world: World) -> None:
    world.create(AMD64, ARM)
    change = PlatformChange(variant="v8", os_features=("a", "b"))
    annotate_index(world.name, world.places[ARM], change, annotations={"k": "v"}, options=world.options())
    digest = world.images[ARM].manifest.digest
    annotate_index(world.name, digest, PlatformChange(os_version="1.2"), options=world.options())
    changed = world.index().manifests[1]
    assert changed.platform == Platform("linux", "arm", "v8", "1.2", ("a", "b"))
    assert changed.annotations == {"k": "v"}
    assert world.index().manifests[0].platform == AMD64


def test_an_image_that_is_not_in_the_index_is_not_annotated(world: World) -> None:
    with pytest.raises(ContentNotFound, match="the store has no index"):
        annotate_index(world.name, world.places[ARM], PlatformChange(os="linux"), options=world.options())
    world.create(AMD64)
    with pytest.raises(ContentNotFound) as caught:
        annotate_index(world.name, world.places[ARM], PlatformChange(os="linux"), options=world.options())
    assert caught.value.hint == f"it has {world.images[AMD64].manifest.digest}"


def test_an_index_that_was_made_here_is_shown_until_it_is_pushed(world: World) -> None:
    world.create(AMD64)
    _, root = read_manifest(world.name, options=world.options())
    assert root.digest == push(world.name, options=world.options())
    world.registry.repo("team/all").tags["1"] = world.images[AMD64].manifest.digest
    world.registry.repo("team/all").manifests[world.images[AMD64].manifest.digest] = (
        media_types.MANIFEST,
        world.images[AMD64].manifest.raw,
    )
    assert read_manifest(world.name, options=world.options())[0] == world.images[AMD64].manifest.raw


def test_as_it_is_typed(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PYOCI_HOME", str(world.path / "store"))
    monkeypatch.setenv("HOME", str(world.path))
    assert main(["manifest", "create", world.name, world.places[AMD64], world.places[ARM]]) == 0
    assert capsys.readouterr().out == f"Created manifest list {world.name}\n"
    assert main(["manifest", "annotate", world.name, world.places[ARM], "--variant", "v6", "--os-features=a,b"]) == 0
    assert main(["manifest", "inspect", world.name]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["manifests"][1]["platform"] == {
        "architecture": "arm",
        "os": "linux",
        "os.features": ["a", "b"],
        "variant": "v6",
    }
    assert main(["manifest", "push", "--purge", world.name]) == 0
    digest = capsys.readouterr().out.strip()
    assert world.registry.repo("team/all").tags["1"] == digest
    assert main(["manifest", "push", world.name]) == 1
    assert main(["manifest", "inspect", "--raw", world.name]) == 0
    assert main(["manifest"]) == 2
    assert main(["manifest", "create", world.name]) == 2
    assert main(["manifest", "annotate", "--store", str(world.path / "other"), world.name, "x", "--os=linux"]) == 1
