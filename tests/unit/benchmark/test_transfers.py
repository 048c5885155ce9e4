"""Which tool takes part in which transfer, and how what came out of a pull is looked at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmark.peers import all_tools
from benchmark.registry import NotThere, Registry
from benchmark.tools import Kind, Lab, Task

LAYOUTS = {"pyoci", "skopeo", "crane"}
STORES = {"pyoci", "docker", "buildah", "podman"}


@pytest.mark.parametrize(
    ("kind", "able"),
    [
        ("pull", {*LAYOUTS, "bare"}),
        ("push", {*LAYOUTS, "bare"}),
        ("pull-store", STORES),
        ("push-store", STORES),
        ("load", STORES),
        ("look", STORES),
    ],
)
def test_who_takes_part(kind: Kind, able: set[str], tmp_path: Path) -> None:
    lab = Lab("127.0.0.1:5000", tmp_path / "go", tmp_path / "work", tmp_path)
    task = Task(kind, tmp_path / "context", "push/x")
    lines = {tool.name: tool.command(task) for tool in all_tools(lab, tmp_path / "pyoci")}
    assert {name for name, line in lines.items() if line is not None} == able
    for line in filter(None, lines.values()):
        pushes = kind.startswith("push") or kind == "load"
        assert ("127.0.0.1:5000/bases/layers" in line or "/v2/bases/layers" in line) != pushes
        assert ("push/x" in line) == pushes


@dataclass(frozen=True, slots=True)
class Known(Registry):
    """A registry whose manifests are known without asking."""

    found: dict[str, Any]

    def manifest(self, repository: str, tag: str = "latest") -> dict[str, Any]:
        return self.found


def test_a_layout_is_held_against_what_the_registry_has(tmp_path: Path) -> None:
    blobs = {f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in (b"config", b"layer")}
    config, layer = blobs
    registry = Known("registry", 0, tmp_path, {"config": {"digest": config}, "layers": [{"digest": layer}]})
    directory = tmp_path / "blobs/sha256"
    directory.mkdir(parents=True)
    (directory / config[7:]).write_bytes(blobs[config])
    with pytest.raises(NotThere, match=f"the layout has no {layer}"):
        registry.check_layout("bases/layers", tmp_path)
    (directory / layer[7:]).write_bytes(b"other")
    with pytest.raises(NotThere, match=f"the layout has something else as {layer}"):
        registry.check_layout("bases/layers", tmp_path)
    (directory / layer[7:]).write_bytes(blobs[layer])
    registry.check_layout("bases/layers", tmp_path)
