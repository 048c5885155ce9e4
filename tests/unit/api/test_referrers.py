"""Copying what refers to an image along with it, listing it, and taking it away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyoci.api.copying import copy
from pyoci.api.repositories import delete, list_referrers
from pyoci.cli.main import main
from pyoci.content import MemoryContent
from pyoci.content.referrers import fallback_tag
from pyoci.errors import ContentNotFound, UsageError
from pyoci.image import Manifest, encode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient
from tests.fakes.registry import FakeRegistry, fake_registry
from tests.unit.api.test_copying import S390X, World

SIGNATURE, SBOM = "application/vnd.example.signature", "application/spdx+json"


@pytest.fixture(params=[True, False], ids=["referrers-api", "tag-schema"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with fake_registry(FakeRegistry(lists_referrers=request.param)) as registry:
        yield World(tmp_path, registry)


def attach(place: str, subject: Descriptor, kind: str) -> Descriptor:
    """Pushes an artifact about something in a repository, by digest as cosign and oras do."""
    content = MemoryContent()
    config = content.add(b"{}", media_types.EMPTY)
    blob = content.add(f"{kind} of {subject.digest}".encode(), "text/plain")
    document = encode_manifest(Manifest(config, (blob,), artifact_type=kind, subject=subject))
    root = content.add(document.raw, document.media_type)
    with RegistryClient() as client:
        reference = parse_reference(place)
        client.repository(replace(reference, tag=None, digest=root.digest)).push(root, content)
    return root


def seeded(world: World) -> tuple[str, dict[str, Descriptor]]:
    """An image with an SBOM of one platform, a signature of that SBOM, and a signature of the index."""
    place = world.seed("registry")
    sbom = attach(place, world.images[S390X].manifest.descriptor(), SBOM)
    made = {"sbom": sbom, "of sbom": attach(place, sbom, SIGNATURE), "of index": attach(place, world.root, SIGNATURE)}
    return place, made


def listed(world: World, place: str) -> set[str]:
    return {entry.digest for entry in list_referrers(place, options=world.options())}


def check_all(world: World, place: str, made: dict[str, Descriptor], *, repository: str) -> None:
    """Everything that refers to something in the image is at the place, and is listed there."""
    assert listed(world, place) == {made["of index"].digest}
    on_s390x = list_referrers(place, platform="linux/s390x", options=world.options())
    assert [(entry.digest, entry.artifact_type) for entry in on_s390x] == [(made["sbom"].digest, SBOM)]
    assert list_referrers(place, platform="linux/amd64", options=world.options()) == ()
    assert listed(world, f"{repository}@{made['sbom'].digest}") == {made["of sbom"].digest}
    world.check(place)


def test_from_registry_to_registry(world: World) -> None:
    place, made = seeded(world)
    target = f"{world.registry.host}/elsewhere/app:1"
    assert copy(place, target, referrers=True, options=world.options()) == world.root.digest
    check_all(world, target, made, repository=f"{world.registry.host}/elsewhere/app")
    sent = world.registry.sent_bytes()
    copy(place, target, referrers=True, options=world.options())
    assert world.registry.sent_bytes() == sent


def test_without_being_asked_for_nothing_goes_along(world: World) -> None:
    place, _ = seeded(world)
    target = f"{world.registry.host}/elsewhere/app:1"
    copy(place, target, options=world.options())
    assert listed(world, target) == set()


def test_of_one_platform_only_what_refers_to_it(world: World) -> None:
    place, made = seeded(world)
    target = f"{world.registry.host}/elsewhere/app:1"
    copy(place, target, platform="linux/s390x", referrers=True, options=world.options())
    assert listed(world, target) == {made["sbom"].digest}
    assert made["of index"].digest not in world.registry.repo("elsewhere/app").manifests
    assert made["of sbom"].digest in world.registry.repo("elsewhere/app").manifests


@pytest.mark.parametrize("kind", ["oci-layout", "oci-archive"])
def test_through_a_layout_and_back(world: World, kind: str) -> None:
    place, made = seeded(world)
    between = world.place(kind)
    path = f"{kind}:{world.path / kind}"
    copy(place, between, referrers=True, options=world.options())
    check_all(world, between, made, repository=path)
    world.copy(path, "store:still-the-only-image:1")
    target = f"{world.registry.host}/elsewhere/app:1"
    copy(between, target, referrers=True, options=world.options())
    check_all(world, target, made, repository=f"{world.registry.host}/elsewhere/app")
    copy(place, between, referrers=True, options=world.options())
    check_all(world, between, made, repository=path)


@pytest.mark.parametrize("target", ["store:app:1", "docker-archive:app.tar"])
def test_a_place_that_keeps_no_referrers_is_refused_before_anything_moves(world: World, target: str) -> None:
    with pytest.raises(UsageError, match=f"^{target} cannot keep referrers$"):
        copy("oci-layout:nowhere", target, referrers=True, options=world.options())
    assert world.registry.seen == []


def test_the_store_gives_none(world: World) -> None:
    place = world.seed("store")
    with pytest.raises(UsageError, match="the store keeps no referrers"):
        copy(place, "oci-layout:x", referrers=True, options=world.options())
    with pytest.raises(UsageError, match="the store keeps no referrers"):
        list_referrers(place, options=world.options())


def test_a_referrer_whose_blob_is_gone_is_an_error(world: World) -> None:
    place, _ = seeded(world)
    blobs = world.registry.repo("team/seed").blobs
    del blobs[next(digest for digest, data in blobs.items() if data.startswith(SBOM.encode()))]
    with pytest.raises(ContentNotFound, match="blob unknown"):
        copy(place, f"oci-layout:{world.path / 'target'}", referrers=True, options=world.options())


def test_a_referrer_that_is_listed_and_gone_is_a_warning(tmp_path: Path) -> None:
    with fake_registry(FakeRegistry(lists_referrers=False)) as registry:
        world = World(tmp_path, registry)
        place, made = seeded(world)
        del registry.repo("team/seed").manifests[made["of index"].digest]
        target = f"oci-layout:{tmp_path / 'target'}"
        copy(place, target, referrers=True, options=world.options())
        assert listed(world, target) == set()
        warning = f"warning: {made['of index'].digest} is listed as referring to {world.root.digest}, and is not there"
        assert warning in world.heard.lines


def test_what_is_deleted_by_digest_leaves_the_list(world: World) -> None:
    place, made = seeded(world)
    repository = place.rpartition(":")[0]
    delete(f"{repository}@{made['of index'].digest}", options=world.options())
    assert listed(world, place) == set()
    tags = world.registry.repo("team/seed").tags
    if not world.registry.lists_referrers:
        index = world.registry.repo("team/seed").manifests[tags[fallback_tag(world.root.digest)]][1]
        assert json.loads(index)["manifests"] == []
    assert delete(place, options=world.options()) == world.root.digest


def test_as_it_is_typed(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    place, made = seeded(world)
    monkeypatch.chdir(world.path)
    for name, value in (("HOME", str(world.path)), ("PYOCI_HOME", str(world.path / "store"))):
        monkeypatch.setenv(name, value)
    target = f"{world.registry.host}/elsewhere/app:1"
    assert main(["copy", "-r", place, target]) == 0
    assert capsys.readouterr().out == f"{world.root.digest}\n"
    assert main(["manifest", "referrers", target]) == 0
    assert capsys.readouterr().out == f"{made['of index'].digest} {SIGNATURE}\n"
    assert main(["manifest", "referrers", "--platform", "linux/s390x", "--json", target]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["manifests"]
    assert (entry["digest"], entry["artifactType"]) == (made["sbom"].digest, SBOM)
    assert main(["manifest", "referrers", "--artifact-type", SBOM, target]) == 0
    assert capsys.readouterr().out == ""
