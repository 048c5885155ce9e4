"""`pyoci check` and the preflight flags of `pyoci build`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyoci.cli.main import main
from tests.unit.preflight.looking import STATIC


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A context, and a store that the command line finds by its variable."""
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program").write_bytes(STATIC)
    (tmp_path / "program").chmod(0o755)
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY program /app\nUSER web\nENTRYPOINT ["/app"]\n')
    return tmp_path


def test_findings_are_lines_and_errors_are_status_1(typed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "-q", "-t", "app", "."]) == 0
    assert 'warning: preflight: USER: user "web" is not in /etc/passwd' in capsys.readouterr().err
    assert main(["check", "app"]) == 1
    assert capsys.readouterr().out == (
        'error: USER: user "web" is not in /etc/passwd of the image (UserUnknown)\n'
        "  hint: add it with RUN adduser, or give its number\n"
    )
    assert main(["check", "app", "--skip", "UserUnknown"]) == 0
    assert capsys.readouterr().out == "nothing found\n"


def test_json_says_everything(typed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "-q", "--preflight", "off", "-t", "app", "."]) == 0
    assert capsys.readouterr().err == ""
    assert main(["check", "--format", "json", "app"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found["image"] == "app"
    assert found["platform"] == "linux/amd64"
    assert found["digest"].startswith("sha256:")
    assert found["findings"] == [
        {
            "rule": "UserUnknown",
            "severity": "error",
            "path": "/etc/passwd",
            "message": 'USER: user "web" is not in /etc/passwd of the image',
            "hint": "add it with RUN adduser, or give its number",
        }
    ]


def test_a_build_that_must_not_ship_a_fault_fails(typed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "-q", "--preflight=error", "-t", "app", "."]) == 1
    assert capsys.readouterr().err == (
        'error: USER: user "web" is not in /etc/passwd of the image (UserUnknown)\n'
        " --> Dockerfile:3:1\n"
        "  |\n"
        "3 | USER web\n"
        "  | ^^^^^^^^\n"
        "hint: add it with RUN adduser, or give its number\n"
    )
    assert main(["build", "-q", "--preflight=error", "--preflight-skip", "UserUnknown", "-t", "app", "."]) == 0


def test_kubernetes_and_misspelt_rules(typed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (typed / "Dockerfile").write_text('FROM scratch\nCOPY program /app\nENTRYPOINT ["/app"]\n')
    assert main(["build", "-q", "-t", "app", "--preflight-for", "kubernetes", "."]) == 0
    assert "(RootUser)" in capsys.readouterr().err
    assert main(["check", "--for", "kubernetes", "app"]) == 1
    capsys.readouterr()
    assert main(["check", "--skip", "RotUser", "app"]) == 2
    assert 'hint: did you mean "RootUser"?' in capsys.readouterr().err


def test_several_images_are_told_apart(typed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "-q", "-t", "app", "-t", "other", "."]) == 0
    capsys.readouterr()
    assert main(["check", "app", "other"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "app (linux/amd64):"
    assert lines[3] == "other (linux/amd64):"
