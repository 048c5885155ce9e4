"""A push or pull whose process is killed, and the next one: only what was missing moves, by the server's count."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.registry import Cut, FakeRegistry, Fault, Respond, Stall, fake_registry
from tests.integration.real.programs import PATH
from tests.registry_world import sample_image, settled

SIZES = (300_000, 200_000, 100_000)
IMAGE = sample_image(*SIZES)
HELD = IMAGE.layers[2]
"""Never gets through the first time, and what is smaller waits for it."""

PROGRAM = """
import sys
from pathlib import Path
from pyoci.content import copy_graph
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient
from pyoci.store import Store
from tests.registry_world import sample_image

direction, host, directory, *sizes = sys.argv[1:]
image = sample_image(*map(int, sizes))
store = Store(Path(directory))
with RegistryClient(leftovers=store) as client:
    repository = client.repository(parse_reference(host + "/team/app:1"))
    if direction == "push":
        repository.push(image.root, image.content, jobs=1)
    else:
        copy_graph(repository.resolve(), repository, store, kind="pull", jobs=1)
        assert all(store.has(piece) for piece in image.pieces)
"""


def start(
    direction: str, registry: FakeRegistry, directory: Path, sizes: tuple[int, ...] = SIZES
) -> subprocess.Popen[bytes]:
    environment = {"PATH": PATH, "PYTHONPATH": str(Path(__file__).parents[3]), "HOME": str(directory)}
    command = [sys.executable, "-c", PROGRAM, direction, registry.host, str(directory / "store"), *map(str, sizes)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_only_what_was_missing_moves_the_second_time(direction: str, tmp_path: Path) -> None:
    with fake_registry() as registry:
        if direction == "pull":
            for piece in (IMAGE.config, *IMAGE.layers):
                registry.add_blob("team/app", IMAGE.content.open(piece).read())
            registry.add_manifest("team/app", IMAGE.manifest, IMAGE.root.media_type, "1")
        method = "PUT" if direction == "push" else "GET"
        held = HELD.digest.removeprefix("sha256:")
        registry.faults = [Fault(Stall(60), method, f"/blobs/.*{held}", 99)]
        first = start(direction, registry, tmp_path)
        try:
            assert settled(lambda: registry.requests(method, f"/blobs/.*{held}"), seconds=90)
        finally:
            first.kill()
            first.wait(10)
        registry.faults, registry.seen = [], []
        assert start(direction, registry, tmp_path).wait(120) == 0
        if direction == "push":
            assert registry.sent_bytes() == HELD.size + IMAGE.config.size + IMAGE.root.size
            assert registry.repo("team/app").tags == {"1": IMAGE.root.digest}
        else:
            fetched = [seen.path.rpartition("/")[2] for seen in registry.requests("GET", "/blobs/")]
            assert fetched == [HELD.digest, IMAGE.config.digest]


def test_a_large_layer_goes_on_where_the_killed_pull_had_it(tmp_path: Path) -> None:
    sizes = (64 << 20, 1000)
    image = sample_image(*sizes)
    layer, arrived = image.layers[0], 40 << 20
    written = arrived - (2 << 20)  # the rest may be on its way to the disk
    with fake_registry() as registry:
        for piece in (image.config, *image.layers):
            registry.add_blob("team/app", image.content.open(piece).read())
        registry.add_manifest("team/app", image.manifest, image.root.media_type, "1")
        patience = Respond(429, headers={"Retry-After": "50"})
        registry.faults = [Fault(Cut(arrived), "GET", layer.digest), Fault(patience, "GET", layer.digest, 99)]
        first = start("pull", registry, tmp_path, sizes)
        folder = tmp_path / "store" / "tmp"
        try:
            assert settled(
                lambda: [1 for path in folder.glob("arriving.*") if path.stat().st_size >= written], seconds=90
            )
        finally:
            first.kill()
            first.wait(10)
        registry.faults, registry.seen = [], []
        assert start("pull", registry, tmp_path, sizes).wait(120) == 0
        (request,) = registry.requests("GET", layer.digest)
        assert written <= int(request.headers["Range"].removeprefix("bytes=").removesuffix("-")) <= arrived
        assert list(folder.iterdir()) == []
