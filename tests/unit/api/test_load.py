"""`load`: what the images of an archive are called in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyoci.api.images import tag
from pyoci.api.services import opened
from pyoci.api.transfer import load
from pyoci.errors import ContentError, UsageError
from pyoci.reference import parse_reference
from tests.unit.api.world import options_in
from tests.unit.content.test_archive import IMAGE, classic, layout_files, named, tar

OTHER = "sha256:" + "a" * 64


def loaded(directory: Path, archive: bytes) -> tuple[list[str], list[str]]:
    """What `load` says and what is tagged in the store afterwards."""
    path = directory / "image.tar"
    path.write_bytes(archive)
    said = [str(name) for name in load(path, options=options_in(directory))]
    with opened(options_in(directory)) as services:
        return said, [str(name) for name, _ in services.store.tags.all()]


@pytest.mark.parametrize("digest", [IMAGE.manifest.digest, OTHER])
def test_a_name_that_is_a_digest_is_no_tag(tmp_path: Path, digest: str) -> None:
    """containerd exports what was pulled by digest under such a name; docker tags nothing of that form either."""
    archive = tar(layout_files(named(f"docker.io/library/app@{digest}")))
    assert loaded(tmp_path, archive) == ([IMAGE.manifest.digest], [])


def test_latest_is_not_moved_by_a_name_that_is_a_digest(tmp_path: Path) -> None:
    loaded(tmp_path, tar(layout_files(named("docker.io/library/app:latest"))))
    _, tags = loaded(tmp_path, tar(classic([f"app@{OTHER}"])))
    assert tags == ["docker.io/library/app:latest"]


def test_of_a_tag_with_a_digest_the_tag_counts(tmp_path: Path) -> None:
    archive = tar(layout_files(named(f"docker.io/library/app:1@{OTHER}")))
    assert loaded(tmp_path, archive) == (["docker.io/library/app:1"], ["docker.io/library/app:1"])


def test_an_image_can_be_found_by_the_digest_that_was_its_name(tmp_path: Path) -> None:
    name = f"docker.io/library/app@{IMAGE.manifest.digest}"
    loaded(tmp_path, tar(layout_files(named(name))))
    with opened(options_in(tmp_path)) as services:
        assert services.resolver.root(parse_reference(name)).digest == IMAGE.manifest.digest


def test_an_archive_without_images_is_told(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"image\.tar holds no image$"):
        loaded(tmp_path, tar(layout_files()))


@pytest.mark.parametrize("name", [f"app@{OTHER}", f"app:1@{OTHER}"])
def test_a_digest_cannot_be_given(tmp_path: Path, name: str) -> None:
    """As docker refuses it: it would be the name of whatever has that digest."""
    loaded(tmp_path, tar(layout_files(named("docker.io/library/app:latest"))))
    with pytest.raises(UsageError, match=r"^refusing to create a tag with a digest reference: "):
        tag("app", name, options=options_in(tmp_path))
    with opened(options_in(tmp_path)) as services:
        assert [str(known) for known, _ in services.store.tags.all()] == ["docker.io/library/app:latest"]
