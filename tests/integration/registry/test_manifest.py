"""`pyoci manifest` with a real registry, as machines of two architectures would use it; skopeo reads the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyoci.digest import sha256_digest
from tests.integration.real.programs import output
from tests.integration.real.registry import real_registry
from tests.integration.registry.command_line import CommandLine

pytestmark = [pytest.mark.needs_registry, pytest.mark.needs_skopeo]

ARCHITECTURES = ("amd64", "s390x")


def test_two_machines_push_and_a_third_makes_the_index(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n")
    for name in ARCHITECTURES:
        (tmp_path / name).write_text(name)
    with real_registry(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/app:1"
        for architecture in ARCHITECTURES:
            pyoci = CommandLine(tmp_path / f"machine-{architecture}")
            pyoci.directory.mkdir()
            where = ["--preflight=off", "--platform", f"linux/{architecture}", str(tmp_path)]
            pyoci.ok("build", "-q", "-t", f"{name}-{architecture}", "--push", *where)
        pyoci = CommandLine(tmp_path / "machine")
        pyoci.directory.mkdir()
        before = len(registry.requests())
        made = pyoci.ok("manifest", "create", name, *(f"{name}-{one}" for one in ARCHITECTURES))
        assert made == f"Created manifest list {name}"
        pyoci.ok("manifest", "annotate", name, f"{name}-amd64", "--variant", "v2")
        digest = pyoci.ok("manifest", "push", name)
        blobs = [line for line in registry.requests()[before:] if line.startswith("GET") and "/blobs/" in line]
        assert len(blobs) == 2  # the configs, which say the platforms

        raw = output(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"])
        assert sha256_digest(raw.encode()) == digest
        assert [entry["platform"] for entry in json.loads(raw)["manifests"]] == [
            {"architecture": "amd64", "os": "linux", "variant": "v2"},
            {"architecture": "s390x", "os": "linux"},
        ]
        assert json.loads(pyoci.ok("manifest", "inspect", name)) == json.loads(raw)
        place = f"dir:{tmp_path / 'copied'}"
        output(["skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{name}", place])
