"""Images for several platforms, end to end: cross-compiled, exported in every form, pushed, saved, refused."""

from __future__ import annotations

import json
import struct
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pyoci.api.build import BuildResult, build
from pyoci.api.services import Options
from pyoci.api.transfer import pull, save
from pyoci.build.request import BuildRequest, Output
from pyoci.environment import Environment
from pyoci.errors import ContentNotFound, DockerfileError
from pyoci.platforms import Platform
from tests.integration.go_base import go_base, small_base
from tests.integration.real.registry import RealRegistry, real_registry

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

AMD64 = {"architecture": "amd64", "os": "linux"}
ARM64 = {"architecture": "arm64", "os": "linux"}
MACHINES = {62: "amd64", 183: "arm64", 40: "arm"}
"""e_machine of an ELF header (System V ABI, and its supplements for AArch64 and ARM)."""
DOCKERFILE = """\
FROM --platform=$BUILDPLATFORM golang AS build
ARG TARGETOS TARGETARCH TARGETVARIANT
WORKDIR /src
COPY go.mod main.go ./
RUN --mount=type=cache,target=/root/.cache/go-build \\
    GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} go build -trimpath -ldflags="-s -w" -o /out/app .

FROM scratch
COPY --from=build /out/app /app
USER 65532:65532
ENTRYPOINT ["/app"]
"""
MAIN = 'package main\n\nimport "runtime"\n\nfunc main() { println(runtime.GOOS + "/" + runtime.GOARCH) }\n'


class World:
    """One store, and a context with a Go program in it."""

    def __init__(self, directory: Path, contexts: Mapping[str, str]) -> None:
        self.directory = directory
        self.contexts = contexts
        self.context = directory / "context"
        self.context.mkdir()
        (self.context / "main.go").write_text(MAIN)
        (self.context / "go.mod").write_text("module example.com/app\n\ngo 1.21\n")
        (self.context / "Dockerfile").write_text(DOCKERFILE)

    def options(self, store: str = "store", *, insecure: str = "") -> Options:
        environment = Environment(
            store=self.directory / store,
            working_directory=self.directory,
            home=self.directory,
            uid=0,
            gid=0,
            platform=Platform("linux", "amd64"),
            now=0,
            variables={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        )
        return Options(environment=environment, insecure_registries=(insecure,) if insecure else ())

    def build(
        self, *platforms: str, output: Output | None = None, dockerfile: str = "", insecure: str = "", **fields: Any
    ) -> BuildResult:
        if dockerfile:
            (self.context / "Other").write_text(dockerfile)
            fields["file"] = str(self.context / "Other")
        request = BuildRequest(
            context=str(self.context),
            platforms=platforms,
            outputs=(output,) if output else (),
            **{"build_contexts": self.contexts, **fields},
        )
        return build(request, options=self.options(insecure=insecure))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, base_cache: Path) -> Iterator[World]:
    small = small_base(base_cache, AMD64, {**ARM64, "variant": "v8"})
    yield World(tmp_path_factory.mktemp("platforms"), {"small": f"oci-layout://{small}:latest"})


def machine(program: bytes) -> str:
    assert program[:4] == b"\x7fELF"
    return MACHINES[struct.unpack_from("<H", program, 18)[0]]


def read(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    assert stream is not None, name
    return stream.read()


def documents(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """The index of an OCI archive with one root, its manifests and their configs, read with nothing of pyoci's."""
    with tarfile.open(path) as archive:

        def blob(descriptor: Mapping[str, Any]) -> dict[str, Any]:
            found = json.loads(read(archive, "blobs/" + descriptor["digest"].replace(":", "/")))
            assert isinstance(found, dict)
            return found

        names = set(archive.getnames())
        index = blob(json.loads(read(archive, "index.json"))["manifests"][0])
        there = [each for each in index["manifests"] if "blobs/" + each["digest"].replace(":", "/") in names]
        manifests = [blob(each) for each in there]
        return index, manifests, [blob(each["config"]) for each in manifests]


@pytest.mark.needs_go
@pytest.mark.timeout(300)
def test_go_is_cross_compiled_without_emulation(world: World, base_cache: Path) -> None:
    golang = {"golang": f"oci-layout://{go_base(base_cache)}:latest"}
    output = Output("local", str(world.directory / "files"))
    world.build("linux/amd64,linux/arm64", output=output, tags=("app",), build_contexts=golang)
    files = world.directory / "files"
    assert {path.name: machine((path / "app").read_bytes()) for path in files.iterdir()} == {
        "linux_amd64": "amd64",
        "linux_arm64": "arm64",
    }
    assert (files / "linux_amd64/app").stat().st_mode & 0o777 == 0o755


def test_an_index_has_both_images_and_says_for_what_they_are(world: World) -> None:
    """Variants are written as BuildKit writes them: v8 is what arm64 is anyway, arm always has one."""
    output = Output("oci", str(world.directory / "oci.tar"))
    result = world.build(
        *("linux/amd64", "linux/arm64/v8", "linux/arm/v7"),
        output=output,
        dockerfile="FROM scratch\nCOPY main.go /\n",
        tags=("two",),
    )
    index, manifests, configs = documents(world.directory / "oci.tar")
    platforms = [AMD64, ARM64, {"architecture": "arm", "os": "linux", "variant": "v7"}]
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert [each["platform"] for each in index["manifests"]] == platforms
    assert [{key: config[key] for key in platforms[2] if key in config} for config in configs] == platforms
    assert {manifest["layers"][0]["digest"] for manifest in manifests} == {manifests[0]["layers"][0]["digest"]}
    assert result.image_id == result.digest


def test_the_variant_of_a_base_is_no_variant_of_the_image(world: World) -> None:
    output = Output("oci", str(world.directory / "based.tar"))
    world.build("linux/amd64,linux/arm64", output=output, dockerfile="FROM small\nCOPY main.go /\n")
    index, _, configs = documents(world.directory / "based.tar")
    assert [each["platform"] for each in index["manifests"]] == [AMD64, ARM64]
    assert [config.get("variant") for config in configs] == [None, None]


def test_a_tar_has_a_directory_for_each_platform(world: World) -> None:
    dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY main.go /$TARGETARCH/\n"
    output = Output("tar", str(world.directory / "files.tar"))
    world.build("linux/amd64,linux/arm/v7", output=output, dockerfile=dockerfile)
    with tarfile.open(world.directory / "files.tar") as archive:
        names = [member.name for member in archive if member.isfile()]
    assert names == ["linux_amd64/amd64/main.go", "linux_arm_v7/arm/main.go"]


def test_an_archive_for_docker_gives_the_classic_store_the_image_for_here(world: World) -> None:
    output = Output("docker", str(world.directory / "docker.tar"))
    world.build("linux/arm64,linux/amd64", output=output, dockerfile="FROM scratch\nCOPY main.go /\n", tags=("d",))
    with tarfile.open(world.directory / "docker.tar") as archive:
        (entry,) = json.loads(read(archive, "manifest.json"))
        assert json.loads(read(archive, entry["Config"]))["architecture"] == "amd64"
        assert entry["RepoTags"] == ["d:latest"]
    index, _, _ = documents(world.directory / "docker.tar")
    assert [each["platform"] for each in index["manifests"]] == [ARM64, AMD64]


def test_a_run_that_would_need_an_emulator_is_refused_before_anything_runs(world: World) -> None:
    dockerfile = (
        "FROM --platform=$BUILDPLATFORM small AS here\nRUN touch /ran\nFROM small\nCOPY --from=here /ran /\nRUN true\n"
    )
    with pytest.raises(DockerfileError, match="RUN needs to execute programs for linux/s390x") as raised:
        world.build("linux/s390x", dockerfile=dockerfile.replace("FROM small\n", "FROM scratch\n"))
    assert raised.value.location is not None and raised.value.location.line == 5
    assert raised.value.hint is not None
    assert "FROM --platform=$BUILDPLATFORM" in raised.value.hint
    assert "binfmt_misc" in raised.value.hint


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with real_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def name(world: World, registry: RealRegistry) -> str:
    """A pushed image for two platforms that have no layer in common."""
    name = f"{registry.host}/team/app:1"
    world.build(
        "linux/amd64,linux/arm64",
        output=Output("registry"),
        dockerfile="FROM scratch\nARG TARGETARCH\nCOPY main.go /$TARGETARCH/\n",
        tags=(name,),
        insecure=registry.host,
    )
    return name


@pytest.mark.needs_registry
def test_an_index_is_pushed_and_its_base_is_asked_for_again(world: World, registry: RealRegistry, name: str) -> None:
    def asked(**fields: Any) -> int:
        before = len(registry.requests())
        world.build("linux/arm64", dockerfile=f"FROM {name}\nLABEL a=b\n", insecure=registry.host, **fields)
        return sum("/team/app/manifests/1" in line for line in registry.requests()[before:])

    assert asked() == 0
    assert asked(pull=True) == 1


@pytest.mark.needs_registry
@pytest.mark.parametrize("format", ["oci", "docker"])
def test_saving_writes_what_was_pulled_and_fetches_nothing(
    world: World, registry: RealRegistry, name: str, format: str
) -> None:
    options = world.options("pulled", insecure=registry.host)
    pull(name, options=options)
    before = len(registry.requests())
    target = world.directory / f"saved-{format}.tar"
    save([name], target, format=format, options=options)
    index, manifests, configs = documents(target)
    assert [each["platform"] for each in index["manifests"]] == [AMD64, ARM64]
    assert [config["architecture"] for config in configs] == ["amd64"]
    assert len(manifests) == 1
    save([name], target, format=format, platform="linux/amd64", options=options)
    with pytest.raises(ContentNotFound, match="for linux/arm64 is not in the store") as raised:
        save([name], target, format=format, platform="linux/arm64", options=options)
    assert raised.value.hint == "the store has linux/amd64; pyoci pull --platform linux/arm64 fetches it"
    assert registry.requests()[before:] == []


@pytest.mark.needs_registry
def test_what_was_built_here_is_saved_whole(world: World, name: str) -> None:
    target = world.directory / "whole.tar"
    save([name], target, format="oci", options=world.options())
    assert [config["architecture"] for config in documents(target)[2]] == ["amd64", "arm64"]
