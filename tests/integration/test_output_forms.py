"""Images in each form that `--output` knows, judged by engines, registries and tools that read them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyoci.api.build import BuildResult, build
from pyoci.api.services import Options
from pyoci.build.request import BuildRequest, Output
from pyoci.environment import Environment
from pyoci.image import media_types
from tests.integration.bases import BUSYBOX
from tests.integration.judged import HOST
from tests.integration.real.containerd import RealContainerd
from tests.integration.real.docker import RealDocker
from tests.integration.real.podman import RealPodman
from tests.integration.real.programs import output
from tests.integration.real.registry import RealRegistry, real_registry

DOCKERFILE = """\
FROM scratch
COPY busybox /bin/
COPY Dockerfile /data
ENTRYPOINT ["/bin/busybox"]
CMD ["head", "-1", "/data"]
"""
SAID = "FROM scratch\n"


class World:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        context = directory / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(DOCKERFILE)
        shutil.copy(BUSYBOX, context / "busybox")

    def build(self, kind: str, destination: str = "", *, tags: tuple[str, ...] = (), **attributes: str) -> BuildResult:
        environment = Environment(
            store=self.directory / "store",
            working_directory=self.directory,
            home=self.directory,
            uid=0,
            gid=0,
            platform=HOST,
            now=0,
            variables={},
        )
        given = {name.replace("_", "-").replace("--", "."): value for name, value in attributes.items()}
        one = Output(kind, destination, given)  # type: ignore[arg-type]
        request = BuildRequest("context", tags=tags, outputs=(one,), preflight="off")
        return build(request, options=Options(environment=environment))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with real_registry(tmp_path / "registry") as running:
        yield running


def inspected(*where: str) -> dict[str, Any]:
    found = json.loads(output(["skopeo", "inspect", "--raw", "--tls-verify=false", *where]))
    assert isinstance(found, dict)
    return found


@pytest.mark.needs_containerd
@pytest.mark.parametrize("compression", ["zstd", "uncompressed"])
def test_containerd_imports_and_runs_each_compression(
    containerd: RealContainerd, world: World, compression: str
) -> None:
    world.build("oci", "x.tar", tags=("judged:1",), compression=compression)
    containerd.load(world.directory / "x.tar")
    assert containerd.run("docker.io/library/judged:1") == SAID


@pytest.mark.needs_containerd
@pytest.mark.needs_registry
def test_containerd_pulls_zstd(containerd: RealContainerd, world: World, registry: RealRegistry) -> None:
    name = f"{registry.host}/judged:1"
    world.build("registry", tags=(name,), compression="zstd", compression_level="19", registry__insecure="true")
    containerd("images", "pull", "--plain-http", name)
    assert containerd.run(name) == SAID


@pytest.mark.needs_podman
@pytest.mark.parametrize("attributes", [{"compression": "zstd"}, {"oci_mediatypes": "false"}], ids=str)
def test_podman_loads_and_runs(podman: RealPodman, world: World, attributes: dict[str, str]) -> None:
    world.build("docker", "x.tar", tags=("judged:1",), **attributes)
    podman.load(world.directory / "x.tar")
    assert podman.run("docker.io/library/judged:1") == SAID


@pytest.mark.needs_docker
@pytest.mark.parametrize("level", ["1", "9"])
def test_docker_loads_and_runs_what_is_of_its_own_types(docker: RealDocker, world: World, level: str) -> None:
    built = world.build("docker", "x.tar", tags=("judged:1",), oci_mediatypes="false", compression_level=level)
    docker.load(world.directory / "x.tar")
    assert docker.inspect("judged:1")["Id"] == built.image_id
    assert docker.run("judged:1") == SAID


@pytest.mark.needs_docker
@pytest.mark.needs_registry
@pytest.mark.parametrize("attributes", [{"oci_mediatypes": "false"}, {"compression": "uncompressed"}], ids=str)
def test_docker_pulls(docker: RealDocker, world: World, registry: RealRegistry, attributes: dict[str, str]) -> None:
    name = f"{registry.host}/judged:1"
    built = world.build("registry", tags=(name,), registry__insecure="true", **attributes)
    docker("pull", name)
    assert docker.inspect(name)["Id"] == built.image_id
    assert docker.run(name) == SAID


@pytest.mark.needs_skopeo
@pytest.mark.needs_registry
def test_what_is_pushed_by_digest_has_no_tag(world: World, registry: RealRegistry) -> None:
    name = f"{registry.host}/judged"
    built = world.build(
        "image", name=name, push="true", push_by_digest="true", name_canonical="true", registry__insecure="true"
    )
    assert inspected(f"docker://{name}@{built.digest}") == json.loads(built.images[0].manifest.raw)
    tags = [line for line in registry.requests() if line.startswith("PUT") and "/manifests/" in line]
    assert [line.split("/manifests/")[1].split("?")[0] for line in tags] == [built.digest]


@pytest.mark.needs_skopeo
@pytest.mark.needs_registry
def test_several_names_get_the_same_form(world: World, registry: RealRegistry) -> None:
    names = [f"{registry.host}/judged:{tag}" for tag in ("1", "2")]
    built = world.build(
        "image",
        name=",".join(names),
        push="true",
        compression="zstd",
        annotation__note="kept",
        registry__insecure="true",
    )
    for name in names:
        manifest = inspected(f"docker://{name}")
        assert {layer["mediaType"] for layer in manifest["layers"]} == {media_types.LAYER_ZSTD}
        assert manifest["annotations"] == {"note": "kept"}
    copied = world.directory / "copied"
    output(["skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", f"docker://{names[0]}", f"oci:{copied}:1"])
    assert (copied / "blobs/sha256" / built.digest.removeprefix("sha256:")).is_file()
