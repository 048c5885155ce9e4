"""A blob passes through in memory that does not grow with it: measured in a process of its own, both ways."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.integration.real.programs import output
from tests.integration.real.registry import real_registry

pytestmark = pytest.mark.needs_registry

SIZE = 512 << 20
LIMIT = 32 << 20
"""What a transfer of any size may add to the process."""

TRANSFER = """
import hashlib, json, resource, sys, time
from pathlib import Path
from pyoci.content.verify import VerifyingReader
from pyoci.digest import Digest
from pyoci.image.descriptor import Descriptor
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient

host, size, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
source = directory / "source"
with source.open("wb") as file:
    file.truncate(size)
with source.open("rb") as file:
    digest = Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
blob = Descriptor("application/vnd.oci.image.layer.v1.tar", digest, size)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

with RegistryClient() as client:
    repository = client.repository(parse_reference(f"{host}/big/app:1"))
    repository.check_push()
    before, started = peak(), time.monotonic()
    with source.open("rb") as file:
        repository.put(blob, file)
    pushed, push_seconds = peak(), time.monotonic() - started
    started = time.monotonic()
    with repository.open(blob) as stream, (directory / "target").open("wb") as file:
        while data := stream.read(1 << 20):
            file.write(data)
    pulled, pull_seconds = peak(), time.monotonic() - started
assert (directory / "target").stat().st_size == size
print(json.dumps({"before": before, "push": pushed - before, "pull": pulled - before,
                  "push_seconds": push_seconds, "pull_seconds": pull_seconds}))
"""


def test_memory_does_not_grow_with_a_blob(tmp_path: Path, record_property: object) -> None:
    with real_registry(tmp_path / "registry") as registry:
        command = [sys.executable, "-c", TRANSFER, registry.host, str(SIZE), str(tmp_path)]
        measured = json.loads(output(command, environment={"PYTHONPATH": str(Path(__file__).parents[3])}, timeout=300))
    assert measured["push"] < LIMIT
    assert measured["pull"] < LIMIT
    if callable(record_property):
        speeds = ", ".join(
            f"{way} {SIZE / measured[f'{way}_seconds'] / 1e6:.0f} MB/s (+{measured[way] >> 20} MiB)"
            for way in ("push", "pull")
        )
        record_property("measured", f"a blob of {SIZE >> 20} MiB: {speeds}, {measured['before'] >> 20} MiB before")
