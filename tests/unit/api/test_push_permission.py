"""A build that will be pushed asks first whether it may, once for each repository, and keeps what cannot be pushed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyoci.api.build import BuildResult, build
from pyoci.api.services import Options
from pyoci.api.transfer import push
from pyoci.build.request import Output
from pyoci.errors import ContentNotFound, DockerfileError, RegistryError, Unauthorized, UsageError
from pyoci.progress import Reporter
from pyoci.store import Store
from tests.fakes.registry import FakeRegistry, Fault, Respond, fake_registry
from tests.unit.api.world import options_in

DOCKERFILE = "FROM scratch\nCOPY data /data\n"


@dataclass
class Steps(Reporter):
    """The steps that a build went through, cached or not."""

    names: list[str] = field(default_factory=list)

    def step_started(self, step: str, title: str) -> None:
        self.names.append(title)

    def step_cached(self, step: str, title: str) -> None:
        self.names.append(f"CACHED {title}")


@dataclass
class World:
    path: Path
    registry: FakeRegistry
    steps: Steps

    def options(self) -> Options:
        return options_in(self.path, self.steps)

    def build(self, *outputs: Output, tags: tuple[str, ...] = (), dockerfile: str = DOCKERFILE) -> BuildResult:
        context = self.path / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(dockerfile)
        (context / "data").write_bytes(b"data")
        return build(context, tags=tags, outputs=outputs, preflight="off", options=self.options())

    def name(self, repository: str = "team/app:1") -> str:
        return f"{self.registry.host}/{repository}"

    def opened(self) -> Counter[str]:
        """Uploads that were opened, by path."""
        return Counter(seen.path for seen in self.registry.requests("POST", r"/uploads/$"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_registry() as registry:
        yield World(tmp_path, registry, Steps())


def test_who_may_not_push_is_told_and_nothing_was_sent_or_named(world: World) -> None:
    world.registry.auth = "basic"
    with pytest.raises(Unauthorized) as caught:
        world.build(Output("registry"), tags=(world.name(),))
    assert caught.value.message.startswith(f"cannot push to {world.name('team/app')}: ")
    assert caught.value.hint == f"log in first: pyoci login {world.registry.host}"
    assert caught.value.location is None
    assert [seen.method for seen in world.registry.seen if seen.method in ("PUT", "PATCH")] == []
    with Store(world.options().environment.store) as store:
        assert store.tags.digests() == {}


@pytest.mark.parametrize(
    "output",
    [Output("registry"), Output("image", attributes={"push": "true"})],
    ids=["type=registry", "type=image,push=true"],
)
def test_each_repository_is_asked_for_once(world: World, output: Output) -> None:
    names = (world.name("team/app:1"), world.name("team/app:2"), world.name("other/app:1"))
    world.build(output, tags=names)
    # A layer and a config are sent to one repository, where the permission's upload is the config's, and mounted in the
    # other, where it is given up.
    assert world.opened() == {"/v2/team/app/blobs/uploads/": 2, "/v2/other/app/blobs/uploads/": 1}
    assert len(world.registry.requests("PUT", "/uploads/")) == 2
    assert len(world.registry.requests("DELETE", "/v2/other/app/blobs/uploads/")) == 1
    assert world.registry.uploads == {}
    assert {name: set(repo.tags) for name, repo in world.registry.repos.items()} == {
        "team/app": {"1", "2"},
        "other/app": {"1"},
    }


def test_a_cached_build_asks_with_one_upload_that_it_gives_up(world: World) -> None:
    world.build(Output("registry"), tags=(world.name(),))
    world.registry.seen.clear()
    world.build(Output("registry"), tags=(world.name(),))
    assert all(name.startswith("CACHED ") for name in world.steps.names[1:])
    uploads = [(seen.method, seen.path) for seen in world.registry.requests(path="/uploads/")]
    assert [method for method, _ in uploads] == ["POST", "DELETE"]


@pytest.mark.parametrize("output", [None, Output("image")], ids=["no output", "type=image"])
def test_what_is_not_pushed_asks_nobody(world: World, output: Output | None) -> None:
    world.build(*((output,) if output else ()), tags=(world.name(),))
    assert world.registry.seen == []


def test_a_push_without_a_name_is_refused_before_the_first_step(world: World) -> None:
    with pytest.raises(UsageError, match=r"^tag is needed when pushing to registry$"):
        world.build(Output("registry"))
    assert world.steps.names == []


def test_a_dockerfile_that_cannot_be_planned_is_the_error_that_is_told(world: World) -> None:
    world.registry.auth = "basic"
    with pytest.raises(DockerfileError):
        world.build(Output("registry"), tags=(world.name(),), dockerfile="FROM scratch\nCOPY --from=7 a b\n")


@pytest.mark.parametrize("how", ["tag", "name of the output"])
def test_a_push_that_fails_keeps_the_image_and_says_how_to_go_on(world: World, how: str) -> None:
    refused = Fault(Respond(403, b'{"errors":[{"code":"DENIED","message":"no"}]}'), "PUT", "/manifests/")
    world.registry.faults.append(refused)
    by_tag = how == "tag"
    output = Output("registry") if by_tag else Output("registry", attributes={"name": world.name()})
    with pytest.raises(RegistryError) as caught:
        world.build(output, tags=(world.name(),) if by_tag else ())
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f"; then go on with: pyoci push {world.name()}")
    digest = push(world.name(), options=world.options())
    assert world.registry.repo("team/app").tags["1"] == digest


def test_a_name_that_was_not_built_is_not_pushed(world: World) -> None:
    with pytest.raises(ContentNotFound):
        push(world.name(), options=world.options())
