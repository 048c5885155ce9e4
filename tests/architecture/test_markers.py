"""The markers of pyproject.toml and the probes behind them, so that no skip is unexplained and no promise unkept."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from tests import conftest
from tests.architecture.source import ROOT

pytest_plugins = ["pytester"]


def test_every_marker_has_a_probe_and_the_other_way_round() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    markers = pyproject["tool"]["pytest"]["ini_options"]["markers"]
    named = {line.partition(":")[0].removeprefix("needs_") for line in markers if line.startswith("needs_")}
    assert named == set(conftest.PARTS)


@pytest.fixture
def without_docker(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.Pytester]:
    """One test that needs docker, on a machine without it."""
    monkeypatch.setitem(conftest.PARTS, "docker", lambda: "dockerd not installed")
    conftest.missing.cache_clear()
    monkeypatch.delenv("PYOCI_REQUIRE", raising=False)
    pytester.makeconftest("from tests.conftest import pytest_configure, pytest_runtest_setup")
    pytester.makepyfile("import pytest\n@pytest.mark.needs_docker\ndef test_it(): pass")
    pytester.makeini("[pytest]\nmarkers =\n    needs_docker: needs dockerd\n")
    yield pytester
    conftest.missing.cache_clear()


def test_what_is_missing_is_skipped_with_its_name(without_docker: pytest.Pytester) -> None:
    result = without_docker.runpytest("-rs", "-p", "no:xdist", "-p", "no:cacheprovider")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*needs docker: dockerd not installed*"])


def test_what_is_required_and_missing_fails(without_docker: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYOCI_REQUIRE", "docker")
    result = without_docker.runpytest("-p", "no:xdist", "-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*needs docker, which PYOCI_REQUIRE promises: dockerd not installed*"])


def test_a_misspelt_requirement_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYOCI_REQUIRE", "docker,regsitry")
    with pytest.raises(pytest.UsageError, match="regsitry"):
        conftest.required_parts()
