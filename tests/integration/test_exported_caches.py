"""A machine with an empty store finds what another one built, in a registry, directory or image: steps are counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pyoci.api.bake import BakeRequest, bake
from pyoci.api.build import BuildResult, build
from pyoci.api.run import run
from pyoci.api.services import Options
from pyoci.build.request import BuildRequest, CachePlace, Output
from pyoci.environment import Environment
from pyoci.errors import PyociError, RegistryError, UsageError
from pyoci.image import media_types
from pyoci.location import Location
from pyoci.progress import Reporter, TransferKind
from tests.integration.accounts import Installation, root_account, temporary_account
from tests.integration.go_base import small_base
from tests.integration.judged import HOST
from tests.integration.real.programs import output
from tests.integration.real.registry import RealRegistry, real_registry

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

DOCKERFILE = """\
FROM base AS build
WORKDIR /src
COPY go.mod .
RUN date +%N > /stamp && echo dependencies > /dep
COPY main .
RUN cat main /dep > /out
FROM base
COPY --from=build /out /out
RUN --mount=type=bind,from=build,target=/b cat /b/stamp > /when
"""
BUILDER = {"WORKDIR /src", "COPY go.mod .", "RUN date", "COPY main .", "RUN cat"}
SHIPPED = {"COPY --from=build", "RUN --mount"}
OTHERS = {"RUN echo"}


@dataclass
class Heard(Reporter):
    ran: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def step_started(self, step: str, title: str) -> None:
        self.ran.append(_short(title))

    def step_cached(self, step: str, title: str) -> None:
        self.cached.append(_short(title))

    def transfer_started(self, name: str, kind: TransferKind, total_bytes: int) -> None:
        if kind == "pull":
            self.pulled.append(name)

    def warning(self, text: str, *, location: Location | None = None) -> None:
        self.warnings.append(text)

    def message(self, text: str) -> None:
        self.messages.append(text)


def _short(title: str) -> str:
    words = title.partition("] ")[2]
    return next(known for known in BUILDER | SHIPPED | OTHERS if words.startswith(known))


class World:
    """A context, a base, and as many stores as there are machines."""

    def __init__(self, directory: Path, base: Path) -> None:
        self.directory = directory
        self.base = base
        self.context = directory / "context"
        self.context.mkdir()
        self.write("go.mod", "module\n")
        self.write("main", "main\n")
        self.write("Dockerfile", DOCKERFILE)
        self.heard = Heard()

    def write(self, name: str, text: str) -> None:
        (self.context / name).write_text(text)

    def options(self, store: str, epoch: str = "") -> Options:
        environment = Environment(
            store=self.directory / store,
            working_directory=self.directory,
            home=self.directory,
            uid=0,
            gid=0,
            platform=HOST,
            now=0,
            variables={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **({"SOURCE_DATE_EPOCH": epoch} if epoch else {})},
        )
        self.heard = Heard()
        return Options(environment=environment, reporter=self.heard)

    def request(self, **fields: Any) -> BuildRequest:
        contexts = {"base": f"oci-layout://{self.base}"}
        return BuildRequest("context", build_contexts=contexts, preflight="off", **fields)

    def build(self, store: str, **fields: Any) -> BuildResult:
        epoch = fields.pop("epoch", "")
        return build(self.request(**fields), options=self.options(store, epoch))


@pytest.fixture
def world(tmp_path: Path, base_cache: Path) -> World:
    return World(tmp_path, small_base(base_cache))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with real_registry(tmp_path / "registry") as running:
        yield running


def local(name: str, **attributes: str) -> Mapping[str, tuple[CachePlace, ...]]:
    given = {key.replace("_", "-"): value for key, value in attributes.items()}
    return {"cache_to": (CachePlace("local", {"dest": name, **given}),)}


def source(name: str, **attributes: str) -> Mapping[str, tuple[CachePlace, ...]]:
    return {"cache_from": (CachePlace("local", {"src": name, **attributes}),)}


@pytest.mark.needs_registry
@pytest.mark.needs_skopeo
def test_a_registry_s_cache_leaves_nothing_to_do(world: World, registry: RealRegistry) -> None:
    place = CachePlace("registry", {"ref": f"{registry.host}/cache:main", "registry.insecure": "true", "mode": "max"})
    first = world.build("one", cache_to=(place,))
    assert set(world.heard.ran) == BUILDER | SHIPPED
    shutil.rmtree(world.directory / "one")
    there = CachePlace("registry", {name: place.attributes[name] for name in ("ref", "registry.insecure")})
    second = world.build("two", cache_from=(there,))
    assert (world.heard.ran, set(world.heard.cached)) == ([], BUILDER | SHIPPED)
    assert world.heard.warnings == []
    assert second.digest == first.digest
    raw = output(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/cache:main"])
    assert json.loads(raw)["config"]["mediaType"] == media_types.CACHE_CONFIG
    manifest = json.loads(raw)
    assert len(manifest["layers"]) == 6  # of seven steps, since what COPY --from adds is what the RUN before it added
    assert {layer["mediaType"] for layer in manifest["layers"]} == {media_types.LAYER_GZIP}


@pytest.mark.needs_registry
def test_of_a_pushed_image_no_layer_comes_here(world: World, registry: RealRegistry) -> None:
    cache = {"ref": f"{registry.host}/app:cache", "registry.insecure": "true"}
    image = Output("image", attributes={"name": f"{registry.host}/app:1", "push": "true", "registry.insecure": "true"})
    first = world.build("one", cache_to=(CachePlace("registry", {**cache, "mode": "max"}),), outputs=(image,))
    again = Output("registry", attributes={"name": f"{registry.host}/app:2", "registry.insecure": "true"})
    second = world.build("two", cache_from=(CachePlace("registry", cache),), outputs=(again,))
    assert (world.heard.ran, second.digest) == ([], first.digest)
    layers = {layer.descriptor.digest for layer in second.images[0].layers}
    assert not layers & set(world.heard.pulled)


def test_what_changed_runs_and_nothing_else(world: World) -> None:
    world.build("one", **local("cache", mode="max"))
    world.write("main", "other\n")
    world.build("two", **source("cache"))
    assert set(world.heard.cached) == {"WORKDIR /src", "COPY go.mod .", "RUN date"}
    assert set(world.heard.ran) == {"COPY main .", "RUN cat"} | SHIPPED


def test_an_unchanged_result_stops_the_rebuild(world: World) -> None:
    world.write("Dockerfile", DOCKERFILE.rpartition("RUN --mount")[0])
    world.build("one", **local("cache", mode="max"))
    world.write("Dockerfile", (world.context / "Dockerfile").read_text().replace("cat main /dep", "cat  main /dep"))
    world.build("two", **source("cache"))
    assert world.heard.ran == ["RUN cat"]
    assert "COPY --from=build" in world.heard.cached


def test_the_image_can_be_run_where_nothing_was_executed(world: World) -> None:
    world.build("one", **local("cache", mode="max"))
    world.build("two", tags=("app",), **source("cache"))
    assert world.heard.ran == []
    shutil.rmtree(world.directory / "cache")
    target = world.directory / "said"
    with target.open("wb") as said:
        assert run("app", ["cat", "/out"], stdout=said.fileno(), options=world.options("two")) == 0
    assert target.read_text() == "main\ndependencies\n"


def test_min_holds_the_image_s_own_steps_and_builders_run_again(world: World) -> None:
    world.write("Dockerfile", DOCKERFILE.rpartition("RUN --mount")[0] + "RUN echo done > /done\n")
    first = world.build("one", **local("cache"))
    second = world.build("two", **source("cache"))
    assert set(world.heard.cached) == {"COPY --from=build", "RUN echo"}
    assert set(world.heard.ran) == BUILDER
    assert second.digest == first.digest


def test_an_image_carries_its_own_cache(world: World) -> None:
    inline = {"cache_to": (CachePlace("inline"),)}
    layout = Output("oci", "layout", {"tar": "false"})
    first = world.build("one", outputs=(layout,), **inline)
    assert first.digest == world.build("one", **inline).digest
    assert world.build("one", build_args={"BUILDKIT_INLINE_CACHE": "1"}).digest == first.digest
    assert world.build("one").digest != first.digest
    world.build("two", **source("layout"))
    assert "COPY --from=build" in world.heard.cached
    world.write("Dockerfile", "FROM base\n")
    world.base = world.directory / "layout"
    again = world.build("three")
    assert "pyoci.cache.v1" not in json.loads(again.images[0].config.raw)


def test_an_export_is_the_same_from_a_machine_that_imported_it(world: World) -> None:
    world.build("one", **local("cache", mode="max"))
    world.build("two", **source("cache"), **local("copy", mode="max"))
    assert world.heard.ran == []
    first, second = (json.loads((world.directory / name / "index.json").read_text()) for name in ("cache", "copy"))
    assert first["manifests"] == second["manifests"]


def test_another_epoch_is_another_layer(world: World) -> None:
    world.write("Dockerfile", "FROM base\nRUN date +%N > /stamp && echo dependencies > /dep\n")
    first = world.build("one", epoch="100", **local("cache"))
    assert world.build("two", epoch="100", **source("cache")).digest == first.digest
    assert world.heard.ran == []
    world.build("three", epoch="200", **source("cache"))
    assert world.heard.ran == ["RUN date"]
    assert any("1 of another SOURCE_DATE_EPOCH" in message for message in world.heard.messages)


def test_a_reset_directory_holds_one_cache(world: World) -> None:
    world.build("one", **local("cache", mode="max"))
    world.write("main", "other\n")
    world.build("one", **local("cache", mode="max", reset="true"))
    index = json.loads((world.directory / "cache/index.json").read_text())
    blobs = world.directory / "cache/blobs/sha256"
    (entry,) = index["manifests"]
    manifest = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_text())
    named = {entry["digest"], manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    assert {f"sha256:{path.name}" for path in blobs.iterdir()} == named
    world.build("two", **source("cache"))
    assert world.heard.ran == []


# what is missing, wrong or hostile


def test_a_cache_that_is_not_there_is_a_warning(world: World) -> None:
    nowhere = CachePlace("registry", {"ref": "127.0.0.1:1/cache", "registry.insecure": "true"})
    world.build("one", cache_from=(CachePlace("local", {"src": "nothing"}), nowhere, CachePlace("gha", {"scope": "x"})))
    assert set(world.heard.ran) == BUILDER | SHIPPED
    assert [warning.partition(":")[0] for warning in world.heard.warnings] == [
        "no cache is imported from nothing",
        "no cache is imported from 127.0.0.1",
        "no cache is imported from type=gha",
    ]


def test_a_changed_layer_is_not_used(world: World) -> None:
    world.build("one", **local("cache", mode="max"))
    for path in (world.directory / "cache/blobs/sha256").iterdir():
        raw = path.read_bytes()
        if raw.startswith(b"\x1f\x8b"):
            path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(PyociError, match="sha256:"):
        world.build("two", outputs=(Output("local", "out"),), **source("cache"))
    assert not any((world.directory / "out").glob("*"))
    world.build("two")
    assert set(world.heard.ran) == BUILDER | SHIPPED


def test_nothing_imported_is_believed_later(world: World) -> None:
    world.build("one", **local("cache", mode="max"))
    world.build("two", tags=("app",), **source("cache"))
    assert world.heard.ran == []
    world.build("two")
    assert set(world.heard.ran) == BUILDER | SHIPPED


def test_a_layer_that_is_missing_is_made_again(world: World) -> None:
    world.build("one", **local("cache", mode="max"))
    for path in (world.directory / "cache/blobs/sha256").iterdir():
        if path.read_bytes().startswith(b"\x1f\x8b"):
            path.unlink()
    world.build("two", **source("cache"))
    assert set(world.heard.ran) == BUILDER | SHIPPED


def test_an_export_that_fails_ends_the_build_unless_it_may(world: World) -> None:
    attributes = {"ref": "127.0.0.1:1/cache", "registry.insecure": "true"}
    with pytest.raises(RegistryError):
        world.build("one", cache_to=(CachePlace("registry", attributes),))
    world.build("one", tags=("app",), cache_to=(CachePlace("registry", {**attributes, "ignore-error": "true"}),))
    assert [warning for warning in world.heard.warnings if warning.startswith("no cache is exported to 127.0.0.1:1")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cache_to": (CachePlace("gha"),)}, "--cache-to type=gha: there is no such cache"),
        ({"cache_to": (CachePlace("s3", {"bucket": "b"}),)}, "--cache-to type=s3: there is no such cache"),
        ({"cache_from": (CachePlace("ftp"),)}, "--cache-from type=ftp: there is no such cache"),
        ({"cache_from": (CachePlace("inline"),)}, "--cache-from type=inline: there is no such cache"),
        ({"cache_to": (CachePlace("local"),)}, "local cache exporter requires dest"),
        ({"cache_from": (CachePlace("local"),)}, "local cache importer requires src"),
        ({"cache_to": (CachePlace("registry"),)}, "--cache-to type=registry requires ref"),
        (local("c", mode="all"), '--cache-to type=local: unknown mode "all"'),
        (local("c", compression="zstd"), "--cache-to type=local: layers of a cache go as they are"),
        (local("c", image_manifest="false"), "--cache-to type=local: image-manifest=false: a cache is always written"),
        (local("c", wait="1"), '--cache-to type=local: unknown key "wait"'),
    ],
)
def test_what_there_is_not_is_refused_before_anything_runs(
    world: World, fields: Mapping[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        world.build("one", **fields)
    assert caught.value.message.startswith(message)
    assert world.heard.ran == []


def test_targets_of_bake_share_a_cache(world: World) -> None:
    def requests(**fields: Any) -> dict[str, BakeRequest]:
        return {
            "app": BakeRequest(world.request(**fields), {}),
            "tool": BakeRequest(world.request(target="build", **fields), {}),
        }

    exporting = requests()
    exporting["app"] = requests(**local("cache", mode="max"))["app"]
    bake(exporting, options=world.options("one"))
    assert set(world.heard.ran) == BUILDER | SHIPPED
    bake(requests(**source("cache")), options=world.options("two"))
    assert world.heard.ran == []


@pytest.mark.parametrize("subordinate_ids", [True, False], ids=["subuid", "single"])
def test_what_a_user_exported_root_finds(pyoci: Installation, busybox_tar: Path, subordinate_ids: bool) -> None:
    dockerfile = (
        "FROM scratch AS base\nADD busybox.tar /\n"
        "FROM base AS build\nRUN echo x > /f && chown 12:34 /f && chmod 4750 /f\n"
        "FROM base\nCOPY --from=build /f /f\nRUN --mount=type=bind,from=build,target=/b cp -a /b/f /g\n"
    )
    with temporary_account(subordinate_ids=subordinate_ids) as user, root_account() as root:
        context = user.home / "context"
        context.mkdir(mode=0o755)
        (context / "Dockerfile").write_text(dockerfile)
        shutil.copy(busybox_tar, context / "busybox.tar")
        cache = user.home / "cache"
        flags = ("build", "--progress=plain", "--preflight=off", str(context))
        exported = pyoci.run(user, *flags, "--cache-to", f"type=local,dest={cache},mode=max")
        assert exported.returncode == 0, exported.stderr
        assert exported.stderr.count("CACHED") == 0
        imported = pyoci.run(root, *flags, "--cache-from", f"type=local,src={cache}")
        assert imported.returncode == 0, imported.stderr
        assert imported.stderr.count("CACHED") == 4
        assert "DONE" not in imported.stderr
        assert imported.stdout == exported.stdout
        plain = pyoci.run(root, *flags, "--no-cache")
        assert plain.stdout == exported.stdout
