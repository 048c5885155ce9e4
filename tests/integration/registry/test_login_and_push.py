"""Logging in to a registry with users, and what a build says that may not push there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.real.programs import output
from tests.integration.real.registry import RealRegistry, real_registry
from tests.integration.registry.command_line import CommandLine

pytestmark = pytest.mark.needs_registry

SECRET = "hunter2-secret"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with real_registry(tmp_path_factory.mktemp("guarded"), users={"joe": SECRET}) as registry:
        yield registry


@pytest.fixture
def pyoci(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def write_context(pyoci: CommandLine, *lines: str) -> None:
    (pyoci.directory / "Dockerfile").write_text("\n".join(lines) + "\n")
    (pyoci.directory / "data").write_text("data")


def test_a_build_that_may_not_push_runs_no_step(guarded: RealRegistry, pyoci: CommandLine) -> None:
    write_context(pyoci, "FROM base", "RUN echo ran")
    name = f"{guarded.host}/team/app:1"
    done = pyoci("build", "--build-context", pyoci.base(), "-t", name, "--push", ".")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.endswith(
        f"error: cannot push to {guarded.host}/team/app: authentication required (HTTP 401 from {guarded.host})\n"
        f"hint: log in first: pyoci login {guarded.host}\n"
    )
    assert "RUN" not in done.stderr
    assert list((pyoci.directory / "store/snapshots").iterdir()) == []
    assert list((pyoci.directory / "store/records").iterdir()) == []


def test_after_a_login_it_may(guarded: RealRegistry, pyoci: CommandLine) -> None:
    write_context(pyoci, "FROM scratch", "COPY data /data")
    name = f"{guarded.host}/team/app:2"
    assert pyoci.ok("login", "-u", "joe", "--password-stdin", guarded.host, stdin=f"{SECRET}\n") == "Login Succeeded"
    pyoci.ok("build", "-q", "--preflight=off", "-t", name, "-o", "type=registry", ".")
    assert pyoci.ok("pull", name) == pyoci.ok("push", name)
    assert pyoci.ok("logout", guarded.host) == f"Removing login credentials for {guarded.host}"
    assert pyoci("push", name).returncode == 1


@pytest.mark.needs_skopeo
def test_skopeo_uses_the_login(guarded: RealRegistry, pyoci: CommandLine) -> None:
    write_context(pyoci, "FROM scratch", "COPY data /data")
    name = f"{guarded.host}/team/seen:1"
    pyoci.ok("login", "-u", "joe", "--password-stdin", guarded.host, stdin=SECRET)
    pyoci.ok("build", "-q", "--preflight=off", "-t", name, "--push", ".")
    login = str(pyoci.directory / ".docker/config.json")
    seen = json.loads(output(["skopeo", "inspect", "--tls-verify=false", "--authfile", login, f"docker://{name}"]))
    assert seen["Digest"] == pyoci.ok("push", name)


@pytest.mark.parametrize("given", [(), ("-u", "joe")], ids=["both asked for", "password asked for"])
def test_on_a_terminal_it_asks(guarded: RealRegistry, pyoci: CommandLine, given: tuple[str, ...]) -> None:
    ours, its = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *pyoci.command("login", *given, guarded.host)],
        cwd=pyoci.directory,
        env=pyoci.environment(),
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    try:
        said = b""
        answers = {b"Username: ": b"joe\n", b"Password: ": f"{SECRET}\n".encode()}
        while chunk := _read(ours):
            said += chunk
            for prompt in [prompt for prompt in answers if said.endswith(prompt)]:
                os.write(ours, answers.pop(prompt))
        assert process.wait(timeout=60) == 0, said
    finally:
        process.kill()
        process.wait(timeout=10)
        os.close(ours)
    assert b"Login Succeeded" in said
    assert SECRET.encode() not in said
    assert (b"Username: " in said) == (given == ())
    assert guarded.host in (pyoci.directory / ".docker/config.json").read_text()


def _read(terminal: int) -> bytes:
    """What it shows next; nothing when the other side is closed."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
