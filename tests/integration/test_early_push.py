"""A real registry has the first layer of an image while a RUN above it still runs, and no name before the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.api.build import build
from pyoci.image import Image
from pyoci.reference import parse_reference
from pyoci.resolver import read_image
from pyoci.store import Store
from tests.integration.accounts import ROOT
from tests.integration.real.registry import RealRegistry, real_registry
from tests.unit.api.world import options_in

pytestmark = pytest.mark.needs_registry

BELOW = "FROM scratch\nADD busybox.tar /\n"
UNTIL_IT_IS_THERE = "for i in $(seq 600); do wget -q -O /dev/null URL && exit 0; sleep 0.1; done; exit 1"


class World:
    """A context, a store, and a registry to push to."""

    def __init__(self, directory: Path, busybox: Path, registry: RealRegistry) -> None:
        self.registry = registry
        self.context = directory / "context"
        self.context.mkdir()
        shutil.copy(busybox, self.context / "busybox.tar")
        self.environment = {**os.environ, "PYOCI_HOME": str(directory / "store"), "PYTHONPATH": str(ROOT)}
        self.name = f"{registry.host}/early/app:1"
        (self.context / "Dockerfile").write_text(BELOW)
        first = build(self.context, options=options_in(directory / "elsewhere"))
        self.below = first.images[0].layers[0].descriptor

    @property
    def url(self) -> str:
        """Where the first layer will be."""
        return f"{self.registry.url}/v2/early/app/blobs/{self.below.digest}"

    def made_elsewhere(self, dockerfile: str) -> Image:
        """What a Dockerfile comes to: built with another store, and not pushed."""
        (self.context / "Dockerfile").write_text(dockerfile)
        store, said = self.context.parent / "other-store", self.context.parent / "metadata.json"
        command = [sys.executable, "-m", "pyoci", "build", "-t", "x", "--metadata-file", str(said), str(self.context)]
        environment = {**self.environment, "PYOCI_HOME": str(store)}
        subprocess.run(command, env=environment, capture_output=True, timeout=200, check=True)
        digest = json.loads(said.read_text())["containerimage.digest"]
        with Store(store) as opened:
            found = opened.tags.get(parse_reference("x"))
            assert found is not None
            assert found.digest == digest
            return read_image(found, opened, None, name="x")

    def start(self, dockerfile: str) -> subprocess.Popen[str]:
        (self.context / "Dockerfile").write_text(dockerfile)
        command = [sys.executable, "-m", "pyoci", "build", "--progress=plain", "--push", "-t", self.name]
        return subprocess.Popen(
            [*command, str(self.context)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def tags(self) -> list[str]:
        try:
            with urllib.request.urlopen(f"{self.registry.url}/v2/early/app/tags/list", timeout=30) as answer:
                return list(json.load(answer)["tags"] or [])
        except urllib.error.HTTPError as error:
            assert error.code == 404
            return []


@pytest.fixture
def world(tmp_path: Path, busybox_tar: Path) -> Iterator[World]:
    with real_registry(tmp_path / "registry") as registry:
        yield World(tmp_path, busybox_tar, registry)


def test_a_run_finds_the_layer_below_it_in_the_registry(world: World) -> None:
    run = UNTIL_IT_IS_THERE.replace("URL", world.url)
    with world.start(f"{BELOW}RUN {run}\nRUN echo done >/done\n") as process:
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert world.tags() == ["1"]
    requests = world.registry.requests()
    pushed = [number for number, line in enumerate(requests) if line.startswith("PUT ") and "digest=" in line]
    assert len({requests[number] for number in pushed}) == len(pushed) == 4  # three layers and the config, once each
    first_read = next(n for n, line in enumerate(requests) if line == f"GET /v2/early/app/blobs/{world.below.digest}")
    assert len([number for number in pushed if number < first_read]) == 1, "the rest is made after the RUN"
    manifests = [number for number, line in enumerate(requests) if line.startswith("PUT /v2/early/app/manifests/")]
    assert len(manifests) == 1
    assert manifests[0] > max(pushed)


def test_a_run_finds_the_layer_of_the_run_below_it_in_the_registry(world: World) -> None:
    below = f"{BELOW}RUN head -c 3000000 /dev/zero | tr '\\0' x >/made\n"
    layer = world.made_elsewhere(below).layers[1].descriptor
    url = f"{world.registry.url}/v2/early/app/blobs/{layer.digest}"
    with world.start(f"{below}RUN {UNTIL_IT_IS_THERE.replace('URL', url)}\n") as process:
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert world.tags() == ["1"]


@pytest.mark.parametrize("ending", ["fails", "is interrupted"])
def test_a_build_that_ends_otherwise_names_nothing(world: World, ending: str) -> None:
    run = UNTIL_IT_IS_THERE.replace("URL", world.url).replace("exit 0", "break" if ending == "fails" else "sleep 300")
    with world.start(f"{BELOW}RUN {run}\n") as process:
        if ending == "is interrupted":
            deadline = time.monotonic() + 100
            while not any("GET" in line and world.below.digest in line for line in world.registry.requests()):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=200)
    assert process.returncode == (1 if ending == "fails" else 130), output
    assert world.tags() == []
    requests = world.registry.requests()
    assert not [line for line in requests if "/manifests/" in line]
    with urllib.request.urlopen(world.url, timeout=30) as answer:
        assert len(answer.read()) == world.below.size
