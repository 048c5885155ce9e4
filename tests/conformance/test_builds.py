"""Every case of `fixtures/builds` built by pyoci and held against what BuildKit made of it, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyoci.api.build import build
from pyoci.api.services import Options
from pyoci.build.request import BuildRequest, Output
from pyoci.environment import Environment
from pyoci.errors import PyociError
from pyoci.platforms import Platform
from tests.conformance.base_image import BASE_LAYERS, write_base_layout
from tests.conformance.cases import Case, read_cases
from tests.conformance.known_differences import KNOWN
from tests.conformance.normal_form import normal_form

CASES = read_cases()


@pytest.fixture(scope="session")
def base_layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("conformance") / "base"
    write_base_layout(path)
    yield path


def built(case: Case, directory: Path, base: Path) -> dict[str, Any]:
    """What pyoci makes of a case, in the same form."""
    context = directory / "context"
    case.write_context(context)
    output = directory / "out.tar"
    contexts = {name: str(context / folder) for name, folder in case.contexts.items()}
    request = BuildRequest(
        context=str(context),
        target=case.options.get("target", ""),
        platforms=(case.options["platform"],) if "platform" in case.options else (),
        build_args=case.args,
        build_contexts={"base": f"oci-layout://{base}:latest", **contexts},
        outputs=(Output("oci", str(output)),),
    )
    environment = Environment(
        store=directory / "store",
        working_directory=directory,
        home=directory,
        uid=0,
        gid=0,
        platform=Platform("linux", "amd64"),
        now=0,
    )
    try:
        build(request, options=Options(environment=environment, offline=True))
    except PyociError as error:
        return {"error": error.message}
    return normal_form(output, base_layers=BASE_LAYERS if case.final_on_base else 0)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_like_buildkit(case: Case, tmp_path: Path, base_layout: Path) -> None:
    recorded = case.recorded
    recorded.pop("buildkit")
    assert ("error" in recorded) == case.fails, "the record and the case disagree: run script/record-builds"
    found = built(case, tmp_path, base_layout)
    differences = differing(found, recorded)
    if case.name in KNOWN:
        assert differences, f"no longer differs: take it out of known_differences.py ({KNOWN[case.name]})"
        return
    assert not differences


def differing(found: dict[str, Any], recorded: dict[str, Any]) -> list[str]:
    """What is not the same, a line each."""
    if "error" in found or "error" in recorded:
        return (
            []
            if "error" in found and "error" in recorded
            else [f"{found.get('error', 'built')} / {recorded.get('error', 'built')}"]
        )
    lines = []
    for part in ("config", "history", "files"):
        lines.extend(_lines(part, found[part], recorded[part]))
    if len(found["layers"]) != len(recorded["layers"]):
        lines.append(f"{len(found['layers'])} layers, BuildKit has {len(recorded['layers'])}")
    for number, (mine, theirs) in enumerate(zip(found["layers"], recorded["layers"], strict=False)):
        lines.extend(_lines(f"layer {number}", mine, theirs))
    return lines


def _lines(where: str, mine: Any, theirs: Any) -> list[str]:
    if mine == theirs:
        return []
    if isinstance(mine, dict) and isinstance(theirs, dict):
        lines = []
        for key in sorted({*mine, *theirs}):
            lines.extend(_lines(f"{where}: {key}", mine.get(key), theirs.get(key)))
        return lines
    if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        return [
            line for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) for line in _lines(f"{where}[{i}]", a, b)
        ]
    return [f"{where}: {mine!r}, BuildKit {theirs!r}"]
