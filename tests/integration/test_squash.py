"""`--squash`: the files of the image are the same, in one layer over the base's; what was removed is in none."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pyoci.api.build import BuildResult, build
from pyoci.api.services import Options
from pyoci.build.request import BuildRequest, Output
from pyoci.content.layout import DirectoryLayout
from pyoci.environment import Environment
from pyoci.layer.compression import open_decompressed
from tests.builders import check_image
from tests.integration.go_base import small_base
from tests.integration.judged import HOST
from tests.integration.real.docker import RealDocker
from tests.integration.real.podman import RealPodman

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

BELOW = """\
FROM small
RUN mkdir -p /d/keep /d/gone /was-dir/x && echo base > /d/keep/f && echo base > /d/gone/f && echo base > /file \\
    && ln -s d /link && touch /was-dir/x/y && ln /file /hard && mkdir /emptied && touch /emptied/a /emptied/b
"""
ABOVE = """\
FROM base
RUN dd if=/dev/urandom of=/huge bs=1M count=3 && echo secret > /secret && mkdir /d/new && echo 1 > /d/new/f
RUN rm /huge /secret && rm -r /d/gone /emptied && mkdir /emptied && chown 5:6 /emptied && touch /emptied/c
RUN rm -r /was-dir && echo file > /was-dir && echo 2 > /d/new/f && ln /d/new/f /d/new/g && rm /link && ln -s d/new /link
RUN rm /file && mkdir /file && touch /file/in && chmod 4711 /d/keep/f && mknod /pipe p
COPY Dockerfile /d/keep/
WORKDIR /work
CMD ["sh", "-c", "cat /d/new/g /was-dir; ls -A /d /emptied"]
"""


class World:
    def __init__(self, directory: Path, base: Path) -> None:
        self.directory = directory
        self.small = base
        (directory / "context").mkdir()

    def build(self, dockerfile: str, *outputs: Output, squash: bool = False, **contexts: str) -> BuildResult:
        (self.directory / "context/Dockerfile").write_text(dockerfile)
        environment = Environment(
            store=self.directory / "store",
            working_directory=self.directory,
            home=self.directory,
            uid=0,
            gid=0,
            platform=HOST,
            now=0,
            variables={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        request = BuildRequest(
            "context",
            tags=("app:1",),
            outputs=outputs,
            squash=squash,
            preflight="off",
            build_contexts={"small": f"oci-layout://{self.small}", **contexts},
        )
        return build(request, options=Options(environment=environment))


@pytest.fixture
def world(tmp_path: Path, base_cache: Path) -> World:
    made = World(tmp_path, small_base(base_cache))
    made.build(BELOW, Output("oci", "base", {"tar": "false"}))
    return made


def listing(path: Path) -> dict[str, tuple[object, ...]]:
    """What a tar of a root file system says of everything in it, contents included."""
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(path) as tar:
        for one in tar:
            data = tar.extractfile(one) if one.isreg() else None
            found[one.name.rstrip("/")] = (
                *(one.type, oct(one.mode), one.uid, one.gid, one.linkname),
                data.read() if data else b"",
            )
    return found


BASE = "oci-layout://base"


def test_the_files_are_the_same_and_what_was_removed_is_gone(world: World) -> None:
    tars = (Output("tar", "plain.tar"), Output("tar", "squashed.tar"))
    plain = world.build(ABOVE, tars[0], base=BASE)
    layout = Output("oci", "layout", {"tar": "false"})
    joined = world.build(ABOVE, tars[1], layout, squash=True, base=BASE)
    assert listing(world.directory / "squashed.tar") == listing(world.directory / "plain.tar")
    below = len(world.build("FROM base\n", base=BASE).images[0].layers)
    image = joined.images[0]
    source = DirectoryLayout(world.directory / "layout")
    check_image(image, source)
    assert image.layers[:below] == plain.images[0].layers[:below]
    assert len(image.layers) == below + 1
    layer = image.layers[-1].descriptor
    with (
        open_decompressed(source.open(layer), "gzip") as stream,
        tarfile.open(fileobj=io.BytesIO(stream.read())) as tar,
    ):
        names = {name.rstrip("/") for name in tar.getnames()}
    assert not {"huge", "secret"} & names
    assert {".wh.hard", ".wh.huge"} & names == set()
    assert {"d/.wh.gone", "emptied/.wh.a", "emptied/.wh.b"} <= names
    assert layer.size < 1 << 20


def test_the_config_is_kept_and_the_history_counts(world: World) -> None:
    plain, joined = (world.build(ABOVE, squash=squash, base=BASE).images[0] for squash in (False, True))
    assert joined.config.value.config == plain.config.value.config
    texts = [entry.created_by for entry in joined.config.value.history]
    assert texts[:-1] == [entry.created_by for entry in plain.config.value.history]
    last = joined.config.value.history[-1]
    assert (last.empty_layer, last.comment) == (False, "squashed 6 layers")


def test_it_is_the_same_again_and_nothing_to_do_where_there_is_one_layer(world: World) -> None:
    first = world.build(ABOVE, squash=True, base=BASE)
    assert world.build(ABOVE, squash=True, base=BASE).digest == first.digest
    one = "FROM base\nCOPY Dockerfile /\n"
    assert world.build(one, squash=True, base=BASE).digest == world.build(one, base=BASE).digest
    scratch = "FROM scratch\nCOPY Dockerfile /a\nCOPY Dockerfile /b\nCOPY Dockerfile /c\n"
    assert len(world.build(scratch, squash=True).images[0].layers) == 1


@pytest.mark.needs_docker
@pytest.mark.needs_podman
def test_engines_see_the_same_files(world: World, docker: RealDocker, podman: RealPodman) -> None:
    world.build(ABOVE, Output("docker", "plain.tar"), base=BASE)
    docker.load(world.directory / "plain.tar")
    expected = docker.run("app:1")
    docker.remove_images()
    world.build(ABOVE, Output("docker", "squashed.tar"), squash=True, base=BASE)
    docker.load(world.directory / "squashed.tar")
    assert docker.run("app:1") == expected
    podman.load(world.directory / "squashed.tar")
    assert podman.run("docker.io/library/app:1") == expected


def test_as_it_is_typed(world: World) -> None:
    (world.directory / "context/Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /a\nCOPY Dockerfile /b\n")
    command = ["pyoci", "build", "--squash", "-q", "--preflight=off", f"--store={world.directory / 'typed'}", "-t", "x"]
    words = [sys.executable, "-m", *command, str(world.directory / "context")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    shown = [sys.executable, "-m", "pyoci", "inspect", f"--store={world.directory / 'typed'}", "x"]
    inspected = subprocess.run(shown, capture_output=True, text=True, timeout=120, check=True)
    assert len(json.loads(inspected.stdout)[0]["RootFS"]["Layers"]) == 1
