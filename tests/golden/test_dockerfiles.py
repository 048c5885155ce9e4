"""Whole Dockerfiles of `fixtures/dockerfiles`: what they say is as `expected.json` has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyoci.dockerfile.parser import decode_source, parse_dockerfile
from tests.golden.dump import dump

FIXTURES = Path(__file__).parents[2] / "fixtures" / "dockerfiles"
CASES = sorted(path.parent for path in FIXTURES.glob("*/Dockerfile"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_dockerfile_says_what_it_says(case: Path, golden: Callable[[Path, str], None]) -> None:
    source = decode_source("Dockerfile", (case / "Dockerfile").read_bytes())
    golden(case / "expected.json", dump(parse_dockerfile(source)))
