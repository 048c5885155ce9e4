"""What README and docs/inspecting.md tell people to type can be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pyoci.cli.main import main

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "inspecting.md").read_text()


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """app:1.0, app:1.1 and app, in a store that everything finds."""
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    for tag in ("1.0", "1.1"):
        (tmp_path / "version").write_text("x" * 1000)
        (tmp_path / "Dockerfile").write_text(
            f'FROM scratch\nENV VERSION={tag}\nCOPY passwd /etc/\nCOPY version /\nUSER 1\nCMD ["/version"]\n'
        )
        assert main(["build", "-q", "--preflight=off", "-t", f"app:{tag}", "-t", "app", "."]) == 0


def test_the_commands_of_the_readme(images: None, capsys: pytest.CaptureFixture[str]) -> None:
    section = README.split("## What is in an image")[1].split("\n## ")[0]
    lines = re.findall(r"^pyoci (.*?) *(?:#.*)?$", section, re.MULTILINE)
    assert {shlex.split(line)[0] for line in lines} == {"history", "ls", "cat", "diff", "size", "check"}
    for line in lines:
        status = main(shlex.split(line))
        shown = capsys.readouterr()
        assert status == (1 if line.startswith("check") else 0), (line, shown.err)
        assert shown.out
    assert Path("report.html").read_text().startswith("<!DOCTYPE html>")


def test_the_python_of_the_guide(images: None, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["passwd"] == b"root:x:0:0::/:/bin/sh\n"
    assert names["changed"] == []
    out = capsys.readouterr().out
    assert "COPY passwd /etc/ # buildkit 22\n" in out
    assert "/etc/passwd 0o644 0\n" in out
    assert out.endswith("0 False\n")


def test_every_flag_is_told() -> None:
    from pyoci.cli.arguments import make_parser
    from pyoci.cli.commands import cat, diff, history, ls, size

    for verb, command in {"history": history, "ls": ls, "cat": cat, "diff": diff, "size": size}.items():
        parser = make_parser(verb, "")
        command.add_arguments(parser)
        own = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
        own = {flag for flag in own if "=" not in flag}  # --flag=false of a switch
        own -= {"--help", "--store", "--insecure-registry", "--ca-file", "--cert-dir", "--config"}  # as everywhere
        own -= {"--long", "--recursive", "--numeric", "--human-readable"}  # by their letters
        missing = sorted(flag for flag in own if f"`{flag}" not in GUIDE and f" {flag} " not in GUIDE)
        assert missing == [], verb
