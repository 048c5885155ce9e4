"""`copy(digest_tags=True)`: what tags attach to an image goes along, under its tags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.api.copying import copy
from pyoci.api.transfer import load
from pyoci.content import MemoryContent
from pyoci.content.archive import open_archive
from pyoci.content.layout import DirectoryLayout
from pyoci.content.referrers import fallback_tag
from pyoci.errors import UsageError
from pyoci.image import Manifest, encode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient
from tests.fakes.registry import fake_registry
from tests.unit.api.test_copying import S390X, World
from tests.unit.api.test_referrers import SIGNATURE, attach, listed


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_registry() as registry:
        yield World(tmp_path, registry)


def sign(place: str, subject: Descriptor, suffix: str) -> tuple[str, Descriptor]:
    """Pushes a manifest that only its tag attaches to something, as cosign does before version 3."""
    content = MemoryContent()
    blob = content.add(f"{suffix} of {subject.digest}".encode(), "application/vnd.dev.cosign.simplesigning.v1+json")
    document = encode_manifest(Manifest(content.add(b"{}", media_types.CONFIG), (blob,)))
    root = content.add(document.raw, document.media_type)
    tag = f"{fallback_tag(subject.digest)}.{suffix}"
    with RegistryClient() as client:
        client.repository(parse_reference(place).with_tag(tag)).push(root, content)
    return tag, root


def seeded(world: World) -> tuple[str, dict[str, Descriptor]]:
    """An image whose index has a signature and an SBOM that is signed, and one platform of which has an attestation."""
    place = world.seed("registry")
    sbom_tag, sbom = sign(place, world.root, "sbom")
    attached = dict([(sbom_tag, sbom), sign(place, world.root, "sig"), sign(place, sbom, "sig")])
    attached.update([sign(place, world.images[S390X].manifest.descriptor(), "att")])
    return place, attached


def check_tags(world: World, repository: str, attached: dict[str, Descriptor], *, others: set[str]) -> None:
    tags = world.registry.repo(repository).tags
    assert {tag: tags[tag] for tag in attached} == {tag: root.digest for tag, root in attached.items()}
    assert set(tags) - attached.keys() == others


def test_from_registry_to_registry(world: World) -> None:
    place, attached = seeded(world)
    target = f"{world.registry.host}/elsewhere/app:1"
    assert copy(place, target, digest_tags=True, options=world.options()) == world.root.digest
    check_tags(world, "elsewhere/app", attached, others={"1"})
    sent = world.registry.sent_bytes()
    copy(place, target, digest_tags=True, options=world.options())
    assert world.registry.sent_bytes() == sent


def test_without_being_asked_for_nothing_goes_along(world: World) -> None:
    place, _ = seeded(world)
    copy(place, f"{world.registry.host}/elsewhere/app:1", referrers=True, options=world.options())
    check_tags(world, "elsewhere/app", {}, others={"1"})


def test_of_one_platform_only_what_belongs_to_it(world: World) -> None:
    place, attached = seeded(world)
    target = f"{world.registry.host}/elsewhere/app:1"
    copy(place, target, platform="linux/s390x", digest_tags=True, options=world.options())
    only = {tag: root for tag, root in attached.items() if tag.endswith(".att")}
    check_tags(world, "elsewhere/app", only, others={"1"})


def test_what_belongs_to_a_referrer_goes_along_with_it(world: World) -> None:
    place = world.seed("registry")
    referrer = attach(place, world.root, SIGNATURE)
    tag, root = sign(place, referrer, "sig")
    target = f"{world.registry.host}/elsewhere/app:1"
    copy(place, target, referrers=True, digest_tags=True, options=world.options())
    check_tags(world, "elsewhere/app", {tag: root}, others={"1"})
    assert listed(world, target) == {referrer.digest}


@pytest.mark.parametrize("kind", ["oci-layout", "oci-archive"])
@pytest.mark.parametrize("name", [":app:1", ":1", ""], ids=["name", "tag", "its-own"])
def test_through_a_layout_and_back(world: World, kind: str, name: str) -> None:
    place, attached = seeded(world)
    path = world.path / kind
    copy(place, f"{kind}:{path}{name}", digest_tags=True, options=world.options())
    if kind == "oci-layout":
        assert DirectoryLayout(path).tagged().keys() == {"1", *attached}
        assert len(DirectoryLayout(path).images()) == 1
    else:
        with open_archive(path, scratch=world.path) as archive:
            assert archive.tagged().keys() == {"1", *attached}
    target = f"{world.registry.host}/elsewhere/app:1"
    copy(f"{kind}:{path}", target, digest_tags=True, options=world.options())
    check_tags(world, "elsewhere/app", attached, others={"1"})


def test_an_archive_with_signatures_is_loaded_as_one_image(world: World) -> None:
    place, _ = seeded(world)
    copy(place, f"oci-archive:{world.path / 'x.tar'}:app:1", digest_tags=True, options=world.options())
    assert [str(name) for name in load(world.path / "x.tar", options=world.options())] == ["docker.io/library/app:1"]


@pytest.mark.parametrize("target", ["store:app:1", "docker-archive:app.tar"])
def test_a_place_that_keeps_none_is_refused_before_anything_moves(world: World, target: str) -> None:
    with pytest.raises(UsageError, match=f"^{target} cannot keep referrers$"):
        copy("oci-layout:nowhere", target, digest_tags=True, options=world.options())
    assert world.registry.seen == []


def test_the_store_gives_none(world: World) -> None:
    place = world.seed("store")
    with pytest.raises(UsageError, match="the store keeps no referrers"):
        copy(place, "oci-layout:x", digest_tags=True, options=world.options())
