"""What tests of the whole program share: base images, an installation that every user can run, and a last word."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.accounts import Installation, installation
from tests.integration.bases import busybox_base, debian_base


@pytest.fixture(scope="session")
def base_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the processes of one run; PYOCI_TEST_CACHE names a directory that outlives it."""
    kept = os.environ.get("PYOCI_TEST_CACHE")
    if kept:
        return Path(kept)
    temporary = tmp_path_factory.getbasetemp()
    return (temporary.parent if "PYTEST_XDIST_WORKER" in os.environ else temporary) / "bases"


@pytest.fixture(scope="session")
def busybox_tar(base_cache: Path) -> Path:
    return busybox_base(base_cache)


@pytest.fixture(scope="session")
def debian_tar(base_cache: Path) -> Path:
    return debian_base(base_cache)


@pytest.fixture(scope="session")
def pyoci() -> Iterator[Installation]:
    """pyoci for users who can read nothing of root's, such as pytest's own temporary directories."""
    directory = Path(tempfile.mkdtemp(prefix="pyoci-installed-"))
    directory.chmod(0o755)
    try:
        yield installation(directory / "packages")
    finally:
        shutil.rmtree(directory)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what tests measured, also when they passed."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
