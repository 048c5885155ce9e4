"""Every case of `fixtures/bake` as pyoci understands it, held against what buildx said of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyoci.cli.main import main
from tests.conformance.bake_cases import HOME, BakeCase, BakeServers, bake_servers, read_bake_cases, shown_output
from tests.conformance.known_bake_differences import KNOWN

CASES = read_bake_cases()


def said(case: BakeCase, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What pyoci says of a case, as it is recorded."""
    with bake_servers(case, directory.parent / "servers") as servers:
        return said_with(case, directory, servers, monkeypatch, capsys)


def said_with(
    case: BakeCase,
    directory: Path,
    servers: BakeServers | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """The same, with the remote files of the case where `servers` says."""
    case.write(directory)
    monkeypatch.chdir(directory)
    for name in list(os.environ):
        if name not in ("PATH", "PYTEST_CURRENT_TEST"):
            monkeypatch.delenv(name)
    for name, value in {"HOME": HOME, "PYOCI_HOME": str(directory.parent / "store"), **case.variables}.items():
        monkeypatch.setenv(name, value)
    status = main(["bake", *case.command(servers)])
    output = capsys.readouterr()
    if status:
        return {"error": next(line for line in output.err.splitlines() if line.startswith("error: "))}
    return {"output": shown_output(output.out, directory, servers)}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_like_buildx(
    case: BakeCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = case.recorded
    directory = tmp_path / "work"
    directory.mkdir()
    found = said(case, directory, monkeypatch, capsys)
    same = ("error" in found and "error" in recorded) or _written(found) == _written(recorded)
    if case.name in KNOWN:
        assert not same, f"no longer differs: take it out of known_bake_differences.py ({KNOWN[case.name]})"
        return
    if "error" in found or "error" in recorded:
        assert same, f"{found} / buildx: {recorded}"
    assert "error" in found or found["output"] == recorded["output"]
    assert same, "the names are in another order"


def _written(said: Any) -> str:
    """An output with its names in their order."""
    return json.dumps(said.get("output", said))


def test_known_differences_name_cases() -> None:
    assert set(KNOWN) <= {case.name for case in CASES}
