"""Listing and deleting what a registry has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.api.repositories import delete, list_tags
from pyoci.cli.main import main
from pyoci.errors import ContentNotFound, RegistryError, UsageError
from tests.fakes.registry import FakeRegistry, Fault, Respond, fake_registry
from tests.registry_world import sample_image
from tests.unit.api.world import options_in


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """With five tags of one image, two a page."""
    image = sample_image(10)
    with fake_registry() as running:
        running.add_manifest("team/app", image.manifest, image.root.media_type, "1", "2", "3", "4", "latest")
        yield running


def test_tags_come_page_by_page(registry: FakeRegistry, tmp_path: Path) -> None:
    tags = list_tags(f"{registry.host}/team/app", options=options_in(tmp_path))
    assert registry.seen == []
    assert next(tags) == "1"
    assert len(registry.requests("GET", "/tags/list")) == 1
    assert [*tags] == ["2", "3", "4", "latest"]
    assert len(registry.requests("GET", "/tags/list")) == 3


def test_tags_as_they_are_typed(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))
    assert main(["ls", f"{registry.host}/team/app"]) == 0
    assert capsys.readouterr().out.split() == ["1", "2", "3", "4", "latest"]
    assert main(["ls", f"{registry.host}/team/none"]) == 1
    assert main(["ls", "-l", f"{registry.host}/team/app"]) == 2
    assert capsys.readouterr().err.endswith(f"hint: write {registry.host}/team/app:TAG, or a path behind it\n")


@pytest.mark.parametrize("name", ["app", "app:1@sha256:" + "ab" * 32])
def test_what_to_delete_must_be_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="does not say what to delete"):
        delete(name, options=options_in(tmp_path))


def test_a_tag_goes_and_its_manifest_stays(registry: FakeRegistry, tmp_path: Path) -> None:
    name = f"{registry.host}/team/app"
    digest = delete(f"{name}:1", options=options_in(tmp_path))
    assert [*list_tags(name, options=options_in(tmp_path))] == ["2", "3", "4", "latest"]
    assert delete(f"{name}@{digest}", options=options_in(tmp_path)) == digest
    assert registry.repo("team/app").manifests == {}
    with pytest.raises(ContentNotFound):
        delete(f"{name}:2", options=options_in(tmp_path))


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_registry_that_deletes_by_digest_alone(registry: FakeRegistry, tmp_path: Path, status: int) -> None:
    name = f"{registry.host}/team/app"
    registry.faults.append(Fault(Respond(status, b'{"errors":[{"code":"UNSUPPORTED"}]}'), "DELETE", times=2))
    with pytest.raises((RegistryError, ContentNotFound)) as caught:
        delete(f"{name}:1", options=options_in(tmp_path))
    digest = registry.repo("team/app").tags["1"]
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f": pyoci delete {name}@{digest}")
