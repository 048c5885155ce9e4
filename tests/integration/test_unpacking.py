"""A base image whose layers are unpacked for a RUN: while they arrive, each read once, and only if they are right."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyoci.digest import DiffID, sha256_digest
from pyoci.image import media_types
from pyoci.image.config import ImageConfig
from pyoci.image.descriptor import Descriptor
from pyoci.platforms import parse_platform
from tests.builders import BuiltLayer, make_image, make_layer
from tests.fakes.registry import FakeRegistry, Fault, Hold, fake_registry
from tests.integration.accounts import ROOT
from tests.integration.test_counts import LISTENER
from tests.registry_world import settled

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

RUN = "FROM {base}\nRUN test -s /zz/last\n"
WORKDIR = "FROM {base}\nWORKDIR /src/app\nCOPY file .\nRUN test -s /zz/last && test -s file\n"


def large_layer(busybox: Path) -> BuiltLayer:
    """busybox, and files that do not compress, so that the layer takes several reads."""
    out = io.BytesIO(busybox.read_bytes())
    with tarfile.open(fileobj=out, mode="a") as tar:
        for name in ("zz/first", "zz/middle", "zz/last"):
            member = tarfile.TarInfo(name)
            member.size = 3_000_000
            tar.addfile(member, io.BytesIO(random.Random(name).randbytes(member.size)))
    blob = gzip.compress(out.getvalue(), 1, mtime=0)
    descriptor = Descriptor(media_types.LAYER_GZIP, sha256_digest(blob), len(blob))
    return BuiltLayer(blob, descriptor, DiffID(sha256_digest(out.getvalue())))


class World:
    """A registry with a base of two layers, the upper one without its directories, and builds from it."""

    def __init__(self, directory: Path, registry: FakeRegistry, busybox: Path) -> None:
        self.registry = registry
        self.directory = directory
        self.store = directory / "store"
        self.large = large_layer(busybox)
        self.small = make_layer({"zz/more": b"more"}, parents=False)
        config = ImageConfig(parse_platform("linux/amd64"))
        content, image = make_image([self.large, self.small], config)
        for descriptor in (image.config.descriptor(), *(layer.descriptor for layer in image.layers)):
            registry.add_blob("team/base", content.open(descriptor).read())
        registry.add_manifest("team/base", image.manifest.raw, image.manifest.media_type, "latest")
        (directory / "listener").mkdir()
        (directory / "listener/sitecustomize.py").write_text(LISTENER)
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(directory / "listener"), str(ROOT))),
            "COUNTS": str(directory / "counts.json"),
            "HOME": str(directory),
        }

    def command(self, dockerfile: str, *more: str) -> list[str]:
        context = self.directory / "context"
        context.mkdir(exist_ok=True)
        (context / "file").write_text("hello\n")
        (context / "Dockerfile").write_text(dockerfile.format(base=f"{self.registry.host}/team/base"))
        return [
            *(sys.executable, "-m", "pyoci", "build", "--store", str(self.store), "--progress", "plain"),
            *("--insecure-registry", self.registry.host, "-t", "made", *more, str(context)),
        ]

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300)

    def unpacked(self) -> list[str]:
        """Every directory of a layer, under its name or another."""
        return sorted(path.name for path in self.store.glob("unpacked/*/*"))

    def builder_imports(self) -> list[str]:
        counts: dict[str, list[str]] = json.loads((self.directory / "counts.json").read_text())
        return counts["modules"]


@pytest.fixture
def world(tmp_path: Path, busybox_tar: Path) -> Iterator[World]:
    with fake_registry() as registry:
        yield World(tmp_path, registry, busybox_tar)


@contextmanager
def under_way(world: World, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, env=world.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def hold(world: World, released: threading.Event) -> None:
    """Has the registry keep the last bytes of the large layer to itself."""
    action = Hold(len(world.large.blob) - 1000, released)
    world.registry.faults = [Fault(action, "GET", world.large.descriptor.digest)]


@pytest.mark.parametrize("dockerfile", [RUN, WORKDIR], ids=["RUN", "WORKDIR"])
def test_unpacking_begins_before_the_download_has_ended(world: World, dockerfile: str) -> None:
    released = threading.Event()
    hold(world, released)
    try:
        with under_way(world, world.command(dockerfile)) as build:
            assert settled(lambda: list(world.store.glob("unpacked/*/*/files/zz/middle")), seconds=60)
            assert not (world.store / "blobs/sha256" / world.large.descriptor.digest[7:]).exists()
            assert not [name for name in world.unpacked() if re.fullmatch(r"[0-9a-f-]+", name)]
            assert build.poll() is None
            released.set()
            said, _ = build.communicate(timeout=120)
            assert build.returncode == 0, said
    finally:
        released.set()
    assert len(world.unpacked()) == (2 if dockerfile == RUN else 4)
    assert all(re.fullmatch(r"[0-9a-f-]+", name) for name in world.unpacked())


@pytest.mark.parametrize("dockerfile", [RUN, WORKDIR], ids=["RUN", "WORKDIR"])
def test_a_layer_is_read_and_decompressed_once(world: World, dockerfile: str, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace not installed")
    (tmp_path / "traces").mkdir()
    strace = ["strace", "-ff", "-y", "-qq", "-o", str(tmp_path / "traces/of"), "-e", "trace=read,pread64,readv,mmap"]
    done = world.run([*strace, *world.command(dockerfile)])
    assert done.returncode == 0, done.stderr
    for layer in (world.large, world.small):
        calls = [
            call
            for trace in (tmp_path / "traces").iterdir()
            for call in trace.read_text(errors="replace").splitlines()
            if layer.descriptor.digest[7:] in call and "/origins/" not in call
        ]
        assert sum(int(call.rpartition("= ")[2]) for call in calls) == layer.descriptor.size
        assert all(call.startswith("pread64(") for call in calls)
    assert "isal" not in world.builder_imports(), "the worker is who decompresses"
    indexes = {path.name for path in (world.store / "indexes").iterdir()}
    assert {layer.diff_id[7:] for layer in (world.large, world.small)} <= indexes


def test_what_no_step_runs_in_is_not_unpacked(world: World) -> None:
    done = world.run(world.command("FROM {base}\nWORKDIR /src/app\nCOPY file .\n"))
    assert done.returncode == 0, done.stderr
    assert world.unpacked() == []


def test_a_step_that_is_cached_unpacks_nothing(world: World) -> None:
    assert world.run(world.command(WORKDIR)).returncode == 0
    shutil.rmtree(world.store / "unpacked")
    (world.store / "unpacked").mkdir()
    done = world.run(world.command(WORKDIR + "ENV A=1\n"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("CACHED") == 3
    assert world.unpacked() == []


def test_bytes_that_turn_out_wrong_leave_nothing(world: World) -> None:
    blobs = world.registry.repo("team/base").blobs
    damaged = bytearray(world.large.blob)
    damaged[len(damaged) // 2] ^= 1
    blobs[world.large.descriptor.digest] = bytes(damaged)
    done = world.run(world.command(RUN))
    assert done.returncode == 1
    assert f"error: expected {world.large.descriptor.digest}, got " in done.stderr
    assert not any(world.large.diff_id[7:] in name for name in world.unpacked())
    assert world.large.diff_id[7:] not in {path.name for path in (world.store / "indexes").iterdir()}
    blobs[world.large.descriptor.digest] = world.large.blob
    assert world.run(world.command(RUN)).returncode == 0


def test_a_layer_that_is_another_than_the_config_says_leaves_nothing(world: World) -> None:
    wrong = BuiltLayer(world.large.blob, world.large.descriptor, DiffID(sha256_digest(b"another")))
    content, image = make_image([wrong], ImageConfig(parse_platform("linux/amd64")))
    world.registry.add_blob("team/base", content.open(image.config.descriptor()).read())
    world.registry.add_manifest("team/base", image.manifest.raw, image.manifest.media_type, "latest")
    done = world.run(world.command(RUN))
    assert done.returncode == 1
    assert f"error: the layer unpacks to {world.large.diff_id} instead of {wrong.diff_id}" in done.stderr
    assert world.unpacked() == []
    assert list((world.store / "indexes").iterdir()) == []


def test_an_interrupted_build_leaves_no_directory_under_a_layers_name(world: World) -> None:
    released = threading.Event()
    hold(world, released)
    try:
        with under_way(world, world.command(RUN)):
            assert settled(lambda: list(world.store.glob("unpacked/*/*/files/zz/middle")), seconds=60)
    finally:
        released.set()
    assert not [name for name in world.unpacked() if re.fullmatch(r"[0-9a-f]{64}(-[0-9a-f]{16})?", name)]
    world.registry.faults = []
    done = world.run(world.command(RUN))
    assert done.returncode == 0, done.stderr
