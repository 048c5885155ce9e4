"""Malformed Dockerfiles of `fixtures/dockerfiles-invalid`: the text that a user reads is as `error.txt` has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyoci.cli.render_error import render
from pyoci.dockerfile.parser import decode_source, parse_dockerfile
from pyoci.errors import DockerfileError

FIXTURES = Path(__file__).parents[2] / "fixtures" / "dockerfiles-invalid"
CASES = sorted(path.parent for path in FIXTURES.glob("*/Dockerfile"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_explained(case: Path, golden: Callable[[Path, str], None]) -> None:
    source = decode_source("Dockerfile", (case / "Dockerfile").read_bytes())
    with pytest.raises(DockerfileError) as caught:
        parse_dockerfile(source)
    golden(case / "error.txt", render(caught.value))


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60
