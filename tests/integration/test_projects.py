"""Builds in the shapes of well-known Go projects: each is planned for two platforms, built, and its program is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pyoci.api.build import BuildResult, build
from pyoci.api.build_checks import outline_build
from pyoci.api.run import run
from pyoci.api.services import Options
from pyoci.build.request import BuildRequest
from pyoci.dockerfile.parser import parse_dockerfile
from pyoci.environment import Environment
from pyoci.location import SourceFile
from pyoci.platforms import Platform
from pyoci.progress import Reporter
from tests.architecture.source import ROOT
from tests.integration.go_base import go_base, small_base, static_base

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns, pytest.mark.needs_go, pytest.mark.timeout(300)]

PROJECTS = ROOT / "fixtures/projects"


@dataclass(frozen=True)
class Built:
    """One image of a project."""

    project: str
    says: str
    """What its program prints, on whichever output; empty where it has none."""
    target: str = ""
    args: dict[str, str] = field(default_factory=dict)
    platform: str = ""
    user: str = ""
    layers: int = 1
    """Above the base."""

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.project, self.target, self.platform.replace("/", "-")) if part)


IMAGES = (
    Built("operator", "operator: reconciling linux/amd64\n", user="65532:65532"),
    Built("operator", "", platform="linux/arm64", user="65532:65532"),
    Built(
        "release-info",
        "1.2.3 (no commit)\n",
        args={"VERSION": "1.2.3"},
        user="nobody",
        layers=3,
    ),
    Built("service", "service on :8080\n", user="service", layers=2),
    Built("targets", "built for release\n", target="final"),
    Built("targets", "debugging\nbuilt for debug\n", target="debug", args={"MODE": "debug"}),
    Built("targets", "", target="checks"),
    Built("xx-helper", "helped\n"),
    Built("xx-helper", "", platform="linux/arm64"),
    Built("heredocs", 'level: info\nliteral: "${LEVEL}"\n', user="65532:65532", layers=2),
    Built("many-binaries", "server\n", target="server", user="65532"),
    Built("many-binaries", "worker\n", target="worker", user="65532"),
    Built("many-binaries", "migrate\n", target="migrate", user="65532"),
    Built("vendored", "hello, vendor\n", user="65532"),
)


class World:
    """One store for all projects, so that a package is compiled once."""

    def __init__(self, directory: Path, contexts: dict[str, str]) -> None:
        self.directory = directory
        self.contexts = contexts
        environment = Environment(
            store=directory / "store",
            working_directory=directory,
            home=directory,
            uid=0,
            gid=0,
            platform=Platform("linux", "amd64"),
            now=0,
            variables={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        )
        self.options = Options(environment=environment)

    def request(self, image: Built, **fields: Any) -> BuildRequest:
        project = PROJECTS / image.project
        return BuildRequest(
            context=project,
            target=image.target,
            build_args=image.args,
            platforms=(image.platform,) if image.platform else (),
            build_contexts={**self.contexts, "tonistiigi/xx:1.6.1": str(PROJECTS / "xx-helper/xx")},
            **fields,
        )

    def build(self, image: Built) -> BuildResult:
        return build(self.request(image, tags=(f"test/{image.name}",), preflight="error"), options=self.options)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, base_cache: Path) -> Iterator[World]:
    both = ({"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})
    bases = {
        "golang:1.26": go_base(base_cache),
        "alpine:3.22": small_base(base_cache, *both),
        "gcr.io/distroless/static-debian12:nonroot": static_base(base_cache),
    }
    contexts = {name: f"oci-layout://{path}:latest" for name, path in bases.items()}
    yield World(tmp_path_factory.mktemp("projects"), contexts)


def test_every_project_is_built() -> None:
    assert {path.name for path in PROJECTS.iterdir()} == {image.project for image in IMAGES}


@pytest.mark.parametrize("path", sorted(PROJECTS.glob("*/Dockerfile")), ids=lambda path: path.parent.name)
def test_it_parses_and_nothing_is_found_wrong_with_it(world: World, path: Path) -> None:
    assert parse_dockerfile(SourceFile(path.name, path.read_text())).stages
    (image, *_) = (each for each in IMAGES if each.project == path.parent.name)
    assert outline_build(world.request(image), options=world.options).name == (image.target or None)


@pytest.mark.parametrize("image", IMAGES, ids=[image.name for image in IMAGES])
def test_it_builds_and_runs(world: World, image: Built, capfd: pytest.CaptureFixture[str]) -> None:
    result = world.build(image)
    config = result.images[0].config.value
    assert config.config.user == image.user
    assert config.platform == Platform("linux", image.platform.partition("/")[2] or "amd64")
    assert len(result.images[0].layers) - (0 if not _based(image) else 1) == image.layers
    if image.says:
        capfd.readouterr()
        assert run(f"test/{image.name}", options=world.options) == 0
        assert "".join(capfd.readouterr()) == image.says


def _based(image: Built) -> bool:
    """Whether its last stage stands on a base of one layer."""
    return image.project in ("operator", "service", "many-binaries", "vendored") or image.target == "debug"


def test_again_nothing_is_done(world: World) -> None:
    class Started(Reporter):
        def __init__(self) -> None:
            self.titles: list[str] = []

        def step_started(self, step: str, title: str) -> None:
            self.titles.append(title)

    image = IMAGES[0]
    first = world.build(image)
    reporter = Started()
    again = build(world.request(image), options=replace(world.options, reporter=reporter))
    assert again.digest == first.digest
    assert reporter.titles == []
