"""`pyoci login` and `logout`, as they are typed: docker's words and files, and no secret where others can see it."""

from __future__ import annotations

import base64
import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.cli.main import main
from tests.fakes.registry import FakeRegistry, fake_registry

Captured = pytest.CaptureFixture[str]
SECRET = "hunter2-secret"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    """A registry that wants a user, and a home directory of this test's own."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with fake_registry(FakeRegistry(auth="basic")) as running:
        yield running


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def kept(tmp_path: Path) -> object:
    return json.loads((tmp_path / ".docker/config.json").read_text())["auths"]


@pytest.mark.parametrize("spelling", ["{}", "http://{}", "https://{}/v2/"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_on_standard_input_is_kept_as_docker_keeps_it(
    registry: FakeRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
    spelling: str,
    end: str,
) -> None:
    type_in(monkeypatch, SECRET + end)
    assert main(["login", "-u", "joe", "--password-stdin", spelling.format(registry.host)]) == 0
    said = capsys.readouterr()
    assert said.out == "Login Succeeded\n"
    path = tmp_path / ".docker/config.json"
    assert said.err.startswith(f"warning: the password is kept unencrypted in {path}; ")
    assert SECRET not in said.err
    assert kept(tmp_path) == {registry.host: {"auth": base64.b64encode(f"joe:{SECRET}".encode()).decode()}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_password_that_is_not_accepted_is_not_kept(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    type_in(monkeypatch, "wrong-password")
    assert main(["login", "-u", "joe", "--password-stdin", registry.host]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: cannot log in to {registry.host}: ")
    assert "wrong-password" not in said.err
    assert not (tmp_path / ".docker/config.json").exists()


@pytest.mark.parametrize("flags", [["-p", SECRET], [f"-p{SECRET}"], [f"--password={SECRET}"]])
def test_a_password_on_the_command_line_is_refused(registry: FakeRegistry, capsys: Captured, flags: list[str]) -> None:
    assert main(["login", "-u", "joe", registry.host, *flags]) == 2
    said = capsys.readouterr()
    assert "--password-stdin" in said.err
    assert SECRET not in said.err
    assert registry.seen == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--password-stdin"], "--password-stdin needs a user name"),
        (["-u", "joe"], "standard input is not a terminal"),
        ([], "standard input is not a terminal"),
        (["-u", "joe", "--password-stdin"], "the password for docker.io is empty"),
        (["-u", "joe", "--password-stdin", "nohost"], '"nohost" is not a registry'),
        (["-u", "joe", "--password-stdin", "host.example:tag"], '"host.example:tag" is not a registry'),
    ],
)
def test_what_cannot_be_a_login_is_status_2(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, capsys: Captured, arguments: list[str], words: str
) -> None:
    type_in(monkeypatch, "")
    assert main(["login", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_logout_forgets(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    type_in(monkeypatch, SECRET)
    assert main(["login", "-u", "joe", "--password-stdin", registry.host]) == 0
    capsys.readouterr()
    assert main(["logout", registry.host]) == 0
    assert capsys.readouterr().out == f"Removing login credentials for {registry.host}\n"
    assert kept(tmp_path) == {}
    assert main(["logout", registry.host]) == 0
    assert capsys.readouterr().out == f"Not logged in to {registry.host}\n"
