"""A second judge for the galleries: what pyoci says of an image, docker finds when it runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.api.transfer import save
from tests.integration.preflight.gallery import Case, Gallery
from tests.integration.preflight.test_gallery import BROKEN, HEALTHY, name_of
from tests.integration.real.docker import RealDocker

pytestmark = [
    pytest.mark.needs_docker,
    pytest.mark.needs_root,
    pytest.mark.needs_apt,
    pytest.mark.needs_go,
    pytest.mark.needs_cc,
    pytest.mark.needs_git,
]
FAILING = [case for case in BROKEN if case.status]
RUNNING = [case for case in HEALTHY if case.is_run]
PHRASES = ("exec format error", "executable file not found in")
"""Words of the kernel and the runtime that findings repeat, so that people find them."""


@pytest.fixture(scope="module")
def loaded(
    docker_engine: RealDocker, gallery: Gallery, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealDocker]:
    """An engine that has every image that can be run."""
    archive: Path = tmp_path_factory.mktemp("archive") / "gallery.tar"
    save([gallery.image(case) for case in (*FAILING, *RUNNING)], archive, options=gallery.options())
    docker_engine.load(archive)
    yield docker_engine
    docker_engine.remove_images()


def arguments(gallery: Gallery, case: Case) -> list[str]:
    words = ["run", "--rm", "--network=host"]
    if case.words:
        return [*words, f"--entrypoint={case.words[0]}", gallery.image(case), *case.words[1:]]
    return [*words, gallery.image(case)]


@pytest.mark.parametrize("case", FAILING, ids=name_of)
def test_docker_cannot_run_it_either(loaded: RealDocker, gallery: Gallery, case: Case) -> None:
    said = loaded.refused(*arguments(gallery, case))
    for phrase in PHRASES:
        if phrase in case.findings and "(HealthcheckCannotRun)" not in case.findings:
            assert phrase in said


@pytest.mark.parametrize("case", RUNNING, ids=name_of)
def test_docker_can_run_it_too(loaded: RealDocker, gallery: Gallery, case: Case) -> None:
    assert case.output in loaded(*arguments(gallery, case))
