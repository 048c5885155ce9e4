"""A build in which nothing changed is not planned; one in which anything did is, whatever was kept of the last one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pyoci.api.building
import pyoci.api.repositories
from pyoci.api.build import BuildResult, build
from pyoci.api.images import tag
from pyoci.api.options import Options
from pyoci.build.request import Output
from pyoci.build.unchanged import Watch
from pyoci.errors import Unauthorized, UsageError
from pyoci.location import Location
from pyoci.progress import Reporter
from tests.fakes.registry import fake_registry
from tests.unit.api.world import options_in

DOCKERFILE = """\
FROM base
COPY . /all
COPY --from=other named /named
entrypoint ["/all/deep/file"]
"""


class Told(Reporter):
    """What a reporter is told, as text."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step_started(self, step: str, title: str) -> None:
        self.lines.append(f"started {title}")

    def step_cached(self, step: str, title: str) -> None:
        self.lines.append(f"cached {title}")

    def message(self, text: str) -> None:
        self.lines.append(f"message {text}")

    def warning(self, text: str, *, location: Location | None = None) -> None:
        self.lines.append(f"warning {text} {location}")


class World:
    """A context, a named context and a base, with a store that may have a record of the build."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.told = Told()
        self.options = options_in(directory, self.told)
        self.planned = 0
        self.context = directory / "context"
        (self.context / "deep").mkdir(parents=True)
        (self.context / "deep" / "file").write_bytes(b"one")
        (self.context / "left-out").write_bytes(b"one")
        (self.context / "link").symlink_to("deep/file")
        (self.context / "Dockerfile").write_text(DOCKERFILE)
        (self.context / ".dockerignore").write_text("left-out\n")
        (directory / "other").mkdir()
        (directory / "other" / "named").write_bytes(b"one")
        self.base("base", "one")
        anew = pyoci.api.building.build_anew

        def counted(*arguments: Any) -> BuildResult:
            self.planned += 1
            return anew(*arguments)

        monkeypatch.setattr(pyoci.api.building, "build_anew", counted)
        settle()

    def base(self, name: str, value: str) -> None:
        context = self.directory / f"base-{value}"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(f"FROM scratch\nLABEL base={value}\n")
        build(context, tags=(name,), options=replace(self.options, reporter=Reporter()))

    def run(self, options: Options | None = None, **fields: Any) -> BuildResult:
        given: dict[str, Any] = {"tags": ("app",), "build_contexts": {"other": "other"}, **fields}
        context = given.pop("context", "context")
        return build(context, options=options or self.options, **given)

    def plans(self, **fields: Any) -> int:
        """How often one build is planned."""
        before = self.planned
        self.run(**fields)
        return self.planned - before


def settle() -> None:
    """Waits until what was written can be told from what is written next."""
    time.sleep(0.07)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_the_second_build_is_not_planned_and_comes_to_the_same(world: World) -> None:
    first = world.run()
    assert world.planned == 1
    second = world.run()
    assert world.planned == 1
    assert second == first
    assert second.metadata() == first.metadata()
    assert second.images == first.images


def test_it_tells_what_a_build_tells_that_finds_everything_in_the_cache(world: World) -> None:
    world.run()
    damage(world)
    world.told.lines.clear()
    assert world.plans() == 1
    cached = world.told.lines[:]
    assert any(line.startswith("cached ") for line in cached)
    assert any(line.startswith("warning ConsistentInstructionCasing") for line in cached)
    assert any("Dockerfile:4:1" in line for line in cached)
    world.told.lines.clear()
    assert world.plans() == 0
    assert sorted(world.told.lines) == sorted(cached), "steps are found by several threads"
    damage(world)
    world.run(no_cache=True)
    world.told.lines.clear()
    assert world.plans() == 1, "what is built without the cache is not recorded"


def test_what_a_step_tells_while_it_is_carried_out_is_not_told_again(world: World) -> None:
    (world.context / "Dockerfile").write_text("FROM base\nCOPY deep /a\nCOPY --chown=stranger deep /deep\n")
    settle()
    world.run()
    assert any(line.startswith("warning ") and "stranger" in line for line in world.told.lines)
    world.told.lines.clear()
    assert world.plans() == 0
    assert world.told.lines
    assert not any(line.startswith("warning ") for line in world.told.lines)


def rewrite(path: str, data: bytes) -> Callable[[World], None]:
    def change(world: World) -> None:
        (world.directory / path).write_bytes(data)

    return change


def touch_back(world: World) -> None:
    """Another content of the same size, with the times as they were: what is left is the change time."""
    path = world.context / "deep" / "file"
    times = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def relink(world: World) -> None:
    (world.context / "link").unlink()
    (world.context / "link").symlink_to("deep")


def replace_directory(world: World) -> None:
    (world.context / "deep").rename(world.directory / "away")
    (world.context / "deep").symlink_to("../away")


def rename(world: World) -> None:
    (world.context / "deep" / "file").rename(world.context / "deep" / "other")


def name_another(world: World) -> None:
    world.base("three", "three")
    tag("three", "base", options=world.options)


def damage(world: World) -> None:
    (record,) = (world.directory / "store" / "indexes").glob("context-build-*")
    record.write_bytes(record.read_bytes()[:-7])


def lose_a_layer(world: World) -> None:
    layer = world.run().images[0].layers[-1]
    path = world.directory / "store" / "blobs" / "sha256" / layer.descriptor.digest.removeprefix("sha256:")
    path.unlink()


CHANGES: dict[str, Callable[[World], None]] = {
    "file": rewrite("context/deep/file", b"three"),
    "file with its times put back": touch_back,
    "mode": lambda world: (world.context / "deep" / "file").chmod(0o700),
    "mode of a directory": lambda world: (world.context / "deep").chmod(0o700),
    "new file": rewrite("context/deep/more", b""),
    "new directory": lambda world: (world.context / "deep" / "er").mkdir(),
    "file removed": lambda world: (world.context / "deep" / "file").unlink(),
    "file renamed": rename,
    "link": relink,
    "directory becomes a link": replace_directory,
    "Dockerfile": rewrite("context/Dockerfile", DOCKERFILE.encode() + b"ENV A=b\n"),
    "what is ignored": rewrite("context/.dockerignore", b"deep\n"),
    "what is ignored for this Dockerfile": rewrite("context/Dockerfile.dockerignore", b"deep\n"),
    "named context": rewrite("other/named", b"three"),
    "meaning of the base's name": lambda world: world.base("base", "two"),
    "base's name given to something else": name_another,
    "damaged record": damage,
    "layer gone": lose_a_layer,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_seen(world: World, change: Callable[[World], None]) -> None:
    world.run()
    world.run()
    assert world.plans() == 0, "nothing changed yet"
    change(world)
    before = world.planned
    try:
        result = world.run()
    except UsageError:
        result = None
    assert world.planned == before + 1
    if result is not None:
        with_empty_cache = world.run(no_cache=True)
        assert result.digest == with_empty_cache.digest


FIELDS: dict[str, dict[str, Any]] = {
    "build argument": {"build_args": {"A": "b"}},
    "target": {"target": "0"},
    "label": {"labels": {"a": "b"}},
    "annotation": {"annotations": {"a": "b"}},
    "platform": {"platforms": ("linux/arm64",)},
    "preflight": {"preflight_for": "kubernetes"},
    "newer bases": {"no_cache": True},
    "without the cache": {"no_cache": True},
    "without the cache of a stage": {"no_cache_filter": ("stage-0",)},
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS.keys())
def test_another_request_is_another_build(world: World, fields: dict[str, Any]) -> None:
    world.run()
    world.run()
    assert world.plans(**fields) == 1
    assert world.plans() in (0, 1)


def test_another_epoch_is_another_build(world: World) -> None:
    world.run()
    world.run()
    environment = replace(world.options.environment, variables={"SOURCE_DATE_EPOCH": "1"})
    assert world.plans(options=replace(world.options, environment=environment)) == 1


def test_names_may_differ_and_what_is_left_out_may_change(world: World) -> None:
    first = world.run()
    world.run()
    (world.context / "left-out").write_bytes(b"another")
    before = world.planned
    again = world.run(tags=("app:2", "registry.example/team/app"))
    assert world.planned == before
    assert again.digest == first.digest
    assert [str(name) for name in again.tags] == ["docker.io/library/app:2", "registry.example/team/app:latest"]
    assert build("context", options=world.options, tags=("copied",), build_contexts={"other": "other"}) is not None


def test_a_tag_with_a_digest_is_refused_as_ever(world: World) -> None:
    world.run()
    world.run()
    with pytest.raises(UsageError, match="a tag cannot have a digest"):
        world.run(tags=(f"app@sha256:{'0' * 64}",))


def test_what_changed_a_moment_ago_is_not_kept(world: World) -> None:
    (world.context / "deep" / "file").write_bytes(b"later")
    world.run()
    (world.context / "deep" / "file").write_bytes(b"later")
    world.run()
    assert world.plans() == 1, "the file could have changed again within the grain of its times"
    settle()
    world.run()
    assert world.plans() == 0


@pytest.mark.parametrize("context", ["tar", "secret"])
def test_what_this_machine_alone_cannot_tell_is_planned(world: World, context: str) -> None:
    fields: dict[str, Any] = {"stdin": b"FROM base\n", "context": "-", "build_contexts": {}}
    if context == "secret":
        from pyoci.build.request import SecretSource

        fields = {"secrets": (SecretSource("token", env="TOKEN"),)}
        environment = replace(world.options.environment, variables={"TOKEN": "hidden-and-long-enough"})
        fields["options"] = replace(world.options, environment=environment)
    for _ in range(3):
        assert world.plans(**fields) == 1


def test_outputs_of_two_forms_are_made_each_time(world: World, tmp_path: Path) -> None:
    outputs = tuple(
        Output("oci", str(tmp_path / f"{kind}.tar"), {"compression": kind}) for kind in ("gzip", "uncompressed")
    )
    for _ in range(3):
        assert world.plans(outputs=outputs) == 1
    assert world.plans(outputs=outputs[1:]) == 1
    assert world.plans(outputs=outputs[1:]) == 0
    assert world.run(outputs=outputs[1:]).digest != world.run(outputs=outputs[:1]).digest


def test_what_has_yet_to_be_pushed_is_planned(world: World) -> None:
    with fake_registry() as registry:
        name = f"{registry.host}/team/app:1"
        fields: dict[str, Any] = {"tags": (name,), "outputs": (Output("registry"),)}
        first = world.run(**fields)
        assert world.plans(**fields) == 0
        pyoci.api.repositories.delete(name, options=world.options)
        assert world.plans(**fields) == 1
        assert world.plans(**fields) == 0
        registry.auth = "basic"
        with pytest.raises(Unauthorized):
            world.run(**fields)
        assert world.run(tags=(name,)).digest == first.digest


def test_a_watch_passes_everything_on() -> None:
    own = {name for name, value in vars(Reporter).items() if callable(value) and not name.startswith("_")}
    assert own <= set(vars(Watch))
