"""Flags that scripts for docker pass and that pyoci has no part of: taken, warned of, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyoci.cli.docker_flags import REFUSED
from pyoci.cli.main import main


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A context, and a store that the command line finds by its variable."""
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    return tmp_path


def built(*flags: str) -> int:
    return main(["build", "-q", "--preflight=off", *flags, "."])


@pytest.mark.parametrize(
    "flags",
    [
        ("--rm",),
        ("--rm=true",),
        ("--rm=1",),
        ("--force-rm",),
        ("--force-rm=false",),
        ("--compress", "--compress=false"),
        ("--disable-content-trust",),
        ("--provenance=false",),
        ("--provenance", "disabled=true"),
        ("--sbom=false",),
        ("--sbom", "0"),
        ("--attest", "type=provenance,disabled=true"),
        ("--attest=type=sbom,disabled=true",),
    ],
    ids=" ".join,
)
def test_what_leaves_nothing_out_is_taken_without_a_word(
    typed: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    assert built() == 0
    plain = capsys.readouterr()
    assert built(*flags) == 0
    assert capsys.readouterr() == plain


@pytest.mark.parametrize(
    ("flags", "warning"),
    [
        (("--rm=false",), "--rm=false is left out: no container of a step is kept"),
        (("--rm", "--rm=0"), "--rm=false is left out: no container of a step is kept"),
        (("--builder", "remote"), "--builder remote is left out: pyoci builds by itself"),
        (("--cache-from=type=gha",), "no cache is imported from type=gha: there is no such cache here"),
    ],
)
def test_what_is_left_out_is_one_warning_and_the_image_is_the_same(
    typed: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], warning: str
) -> None:
    assert built() == 0
    plain = capsys.readouterr().out
    assert built(*flags) == 0
    assert capsys.readouterr() == (plain, f"warning: {warning}\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--sbom=generator=x",), 'error: --sbom=generator=x: unexpected key "generator"'),
        (("--cache-to", "type=gha"), "error: --cache-to type=gha: there is no such cache"),
        (("--rm=maybe",), "error: argument --rm: ignored explicit argument 'maybe'"),
    ],
)
def test_what_would_have_given_something_else_is_refused(
    typed: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    assert built(*flags) == 2
    assert capsys.readouterr().err.splitlines()[0] == message


@pytest.mark.parametrize("flag", REFUSED)
def test_a_flag_that_is_not_there_is_an_error_that_says_why(
    typed: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    assert built(flag, *(() if flag == "--debug" else ("x",))) == 2
    assert capsys.readouterr().err == f"error: {flag} of docker build is not there\nhint: {REFUSED[flag]}\n"


def test_a_call_that_builds_nothing_takes_them_too(typed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert built("--check", "--rm=false", "--builder=x") == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: --rm=false is left out: no container of a step is kept",
        "warning: --builder x is left out: pyoci builds by itself",
    ]
