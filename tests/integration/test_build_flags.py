"""Flags of `pyoci build` that only a RUN can feel, as they are typed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pyoci.cli.main import main
from tests.conformance.base_image import write_base_layout

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Builds `RUN [OPTIONS] COMMAND` with flags; what the command printed, or pyoci where it refused."""
    write_base_layout(tmp_path / "base")
    (tmp_path / "context").mkdir()
    monkeypatch.chdir(tmp_path / "context")
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))

    def say(run: str, *flags: str, status: int = 0) -> str:
        Path("Dockerfile").write_text(f"FROM base\nRUN {run}\n")
        base = f"--build-context=base=oci-layout://{tmp_path / 'base'}:latest"
        found = main(["build", "--progress=plain", "--preflight=off", base, *flags, "."])
        shown = capsys.readouterr().err
        assert found == status, shown
        return shown

    return say


def test_a_layer_that_is_there_twice(say: Say) -> None:
    """As layers are in which nothing changed: all of them are one."""
    say("true\nRUN :", "-t", "twice")
    assert "still here" in say("true\nFROM twice\nRUN echo still here")


def test_secrets_come_from_files_and_variables(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("of a file")
    monkeypatch.setenv("TOKEN", "of a variable")
    run = "--mount=type=secret,id=a --mount=type=secret,id=b,env=B tr a-z A-Z </run/secrets/a && echo $B | tr a-z A-Z"
    shown = say(run, "--secret", f"id=a,src={tmp_path / 'token'}", "--secret=id=b,env=TOKEN")
    assert "OF A FILE" in shown
    assert "OF A VARIABLE" in shown
    assert "of a file" not in shown


@pytest.mark.needs_git
def test_an_agent_is_reached(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        path = tmp_path / "agent"
        agent.bind(str(path))
        agent.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        run = "--mount=type=ssh --mount=type=ssh,id=other test -S $SSH_AUTH_SOCK && echo socket: $SSH_AUTH_SOCK"
        assert "socket: /run/buildkit/ssh_agent.0" in say(run, "--ssh=default", "--ssh", f"other={path}")


def test_hosts_limits_and_sizes(say: Say) -> None:
    run = "cat /etc/hosts; ulimit -n; stat -f -c shm:%b:%S /dev/shm"
    shown = say(run, "--add-host", "there:10.1.2.3", "--ulimit", "nofile=77:99", "--shm-size=8m")
    assert "10.1.2.3\tthere" in shown
    assert " 77\n" in shown
    assert "shm:2048:4096" in shown


def test_the_network(say: Say) -> None:
    assert " lo:" in say("cat /proc/net/dev")
    alone = say("cat /proc/net/dev", "--network=none")
    assert [line.split()[-17] for line in alone.splitlines() if line.endswith(" 0")] == ["lo:"]
    hosts = str(Path("/proc/self/ns/net").readlink())
    assert hosts in say("readlink /proc/self/ns/net", "--network=host")
    assert hosts not in say("readlink /proc/self/ns/net", "--network=none")


def test_insecure_needs_to_be_allowed(say: Say) -> None:
    run = "--security=insecure grep CapEff /proc/self/status"
    assert "RUN --security=insecure is not allowed" in say(run, status=1)
    full = Path("/proc/self/status").read_text().partition("CapEff:\t")[2][:16]
    assert full in say(run, "--allow=security.insecure")


def test_a_step_has_its_time(say: Say) -> None:
    assert "it took longer than --step-timeout allows" in say("sleep 60", "--step-timeout=1", status=1)


def test_memory_has_an_end(say: Say) -> None:
    shown = say("x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo held", "--memory=64m", status=1)
    assert "killed at the memory limit of 67108864 bytes" in shown


def test_a_mode_that_is_asked_for_is_taken(say: Say) -> None:
    chroot = say("readlink /proc/self/ns/mnt; echo tried", "--isolation=chroot")
    assert str(Path("/proc/self/ns/mnt").readlink()) not in chroot
    assert "tried" in chroot
    assert 'unknown isolation "jail"' in say("true", "--isolation=jail", status=2)


def test_devices_are_refused_by_name(say: Say) -> None:
    assert "RUN --device" in say("--device=vendor.com/gpu=all true", status=1)
