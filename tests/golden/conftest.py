"""`--update-golden` rewrites the files that these tests compare with; read the difference before committing it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compares a text with a golden file, or rewrites the file."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden", default=False):
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert path.exists(), f"{path} is missing: run pytest tests/golden --update-golden, then read it"
        assert text == path.read_bytes().decode("utf-8", "surrogateescape")

    return compare
