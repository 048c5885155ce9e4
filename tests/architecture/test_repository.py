"""What is kept in the repository speaks of the project alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import conftest
from tests.architecture.source import ROOT

PUBLIC_INDEXES = {"pypi.org", "files.pythonhosted.org"}
SYSTEM_PREFIXES = {"/", "/usr", "/usr/local"}


def kept_files() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]


def traces_of_this_machine() -> Iterator[str]:
    """Strings that can only have come from the machine that the tests run on."""
    yield str(ROOT) + "/"
    for prefix in (sys.prefix, sys.base_prefix):
        if prefix not in SYSTEM_PREFIXES:
            yield prefix
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=False
    )
    for word in pip.stdout.replace("'", " ").split():
        host = urlsplit(word).hostname
        if host and host not in PUBLIC_INDEXES:
            yield host


def test_no_file_names_the_machine_that_it_was_written_on() -> None:
    traces = [trace.encode() for trace in traces_of_this_machine()]
    found = [
        f"{path.relative_to(ROOT)}: {trace.decode()}"
        for path in kept_files()
        if path.is_file()
        for trace in traces
        if trace in path.read_bytes()
    ]
    assert not found


def test_every_file_is_text() -> None:
    binary = [str(path.relative_to(ROOT)) for path in kept_files() if path.is_file() and b"\0" in path.read_bytes()]
    assert not binary


def test_the_gate_lets_no_part_be_missing() -> None:
    required = re.search(r"^export PYOCI_REQUIRE=(\S+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert required and set(required[1].split(",")) == set(conftest.PARTS)
