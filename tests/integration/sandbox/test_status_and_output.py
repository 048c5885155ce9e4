"""What comes back from a step: status and output, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from pyoci.errors import Cancelled
from pyoci.sandbox.protocols import FileMount, Mode
from tests.integration.sandbox.conftest import Worlds
from tests.integration.sandbox.world import PATH, World, copy_of, eventually

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]


_OURS = 100_000_000 + os.getpid() * 10


def long(number: int) -> str:
    """Seconds that a step sleeps: not those of a test that runs at the same time."""
    return str(_OURS + number)


def running(*words: str) -> list[int]:
    """Processes of the machine whose command line is exactly that."""
    wanted = "\0".join(words).encode() + b"\0"
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                if (path / "cmdline").read_bytes() == wanted:
                    found.append(int(path.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exit 42", 42),
        ("exit 0", 0),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill $$", 143),
        (["/nonexistent"], 127),
        (["nonexistent"], 127),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
    ],
)
def test_the_status_is_that_of_a_shell(any_small: World, command: str | list[str], status: int) -> None:
    assert any_small.run(command).status == status


def test_what_cannot_be_executed_is_explained(small: World) -> None:
    script = (
        "printf '#!/bin/nowhere\\n' >/s; printf '#!/bin/sh\\r\\n' >/crlf; printf x=1 >/plain;chmod +x /s /crlf /plain"
    )
    root = small.fresh()
    assert small.run(script, root=root).status == 0
    said = {
        name: small.run([name], root=root) for name in ("/s", "/crlf", "/plain", "/nonexistent", "/etc", "/etc/passwd")
    }
    assert {name: (result.status, result.output) for name, result in said.items()} == {
        "/s": (127, 'pyoci: exec "/s": exists, but its interpreter "/bin/nowhere" does not\n'),
        "/crlf": (
            127,
            'pyoci: exec "/crlf": exists, but its interpreter "/bin/sh" does not'
            " (the line ends in a carriage return)\n",
        ),
        "/plain": (
            126,
            'pyoci: exec "/plain": not a program of this machine, and no script with a #! line (ENOEXEC)\n',
        ),
        "/nonexistent": (127, 'pyoci: exec "/nonexistent": not found\n'),
        "/etc": (126, 'pyoci: exec "/etc": is a directory\n'),
        "/etc/passwd": (126, 'pyoci: exec "/etc/passwd": permission denied (EACCES)\n'),
    }


def test_a_program_in_a_directory_that_its_user_may_not_enter(small: World) -> None:
    """As docker has it: 126 where the kernel says EACCES, however little can be seen of the program."""
    root = small.fresh()
    assert small.run("mkdir /shut && cp /bin/busybox /shut/true && chmod 0 /shut", root=root).status == 0
    result = small.run(["/shut/true"], root=root, uid=1000, gid=1000)
    assert (result.status, result.output) == (126, 'pyoci: exec "/shut/true": permission denied (EACCES)\n')
    assert small.run(["/etc/passwd/true"], root=root, uid=1000, gid=1000).status == 127


@pytest.mark.parametrize("background", ["(setsid sleep N &); sleep N", "sleep N & sleep N"])
def test_a_timeout_ends_everything(any_small: World, background: str) -> None:
    started = time.monotonic()
    result = any_small.run(background.replace("N", long(3)), timeout_seconds=0.5)
    assert result.status == 124
    assert result.output == "pyoci: ended after 0.5 seconds, the time that it was given\n"
    assert time.monotonic() - started < 3
    assert running("sleep", long(3)) == []


def test_a_step_that_ignores_being_ended_is_killed(any_small: World) -> None:
    started = time.monotonic()
    assert any_small.run(f"trap '' TERM; while :; do sleep {long(4)}; done", timeout_seconds=0.3).status == 124
    assert time.monotonic() - started < 3
    assert running("sleep", long(4)) == []


def test_a_step_can_end_cleanly_when_it_is_asked_to(any_small: World) -> None:
    result = any_small.run("trap 'echo bye; exit 3' TERM; while :; do sleep 0.02; done", timeout_seconds=0.3)
    assert "bye\n" in result.output


def test_cancelling_ends_it_within_a_second(any_small: World) -> None:
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        script = f"(setsid sleep {long(5)} &); trap '' TERM; while :; do sleep {long(5)}; done"
        any_small.run(script, cancelled=cancelled)
    assert time.monotonic() - started < 1.5
    assert running("sleep", long(5)) == []


def test_what_is_cancelled_before_it_began_does_not_begin(small: World) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        small.run("true", cancelled=cancelled)


def test_a_process_in_the_background_does_not_hold_the_step(any_small: World) -> None:
    started = time.monotonic()
    result = any_small.run(f"(sleep {long(6)} &); (setsid sleep {long(6)} &); echo hi")
    assert (result.status, result.output) == (0, "hi\n")
    assert time.monotonic() - started < 3
    assert running("sleep", long(6)) == []


def test_output_comes_as_it_is_written_and_in_order(any_small: World) -> None:
    came: list[tuple[float, bytes]] = []
    any_small.run(
        "for i in 1 2 3; do echo out$i; echo err$i >&2; sleep 0.3; done",
        output=lambda data: came.append((time.monotonic(), data)),
    )
    assert b"".join(data for _, data in came) == b"out1\nerr1\nout2\nerr2\nout3\nerr3\n"
    assert came[-1][0] - came[0][0] > 0.4


def test_much_output_is_complete(any_small: World) -> None:
    result = any_small.run(
        "i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done"
    )
    assert result.output == "0123456789012345678901234567890123456789\n" * 20000


def test_a_callback_that_fails_ends_the_step(small: World) -> None:
    def fail(_: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        small.run(f"echo hi; sleep {long(7)}", output=fail)
    assert eventually(lambda: running("sleep", long(7)) == [], 1)


def test_stdin_is_empty_and_nothing_else_is_open(small: World) -> None:
    result = small.run("readlink /proc/self/fd/0; ls /proc/self/fd; cat; echo end")
    # 3 is the directory that ls reads.
    assert result.output == "/dev/null\n0\n1\n2\n3\nend\n"


def test_the_step_sees_its_own_processes_only(small: World) -> None:
    result = small.run("echo $$; cd /proc; ls -d [0-9]*")
    shell, *seen = result.output.split()
    assert shell == "2"
    assert len(seen) <= 3
    assert {"1", "2"} <= set(seen)


def test_what_the_process_inherits(any_small: World) -> None:
    result = any_small.run("umask; hostname; env; pwd", cwd="/tmp", env=("LANG=C", "EMPTY="))
    name = os.uname().nodename if any_small.mode == "chroot" else "buildkitsandbox"
    umask, hostname, *rest = result.output.splitlines()
    assert (umask, hostname) == ("0022", name)
    given = {line for line in rest if not line.startswith(("PWD=", "SHLVL=", "APT_CONFIG=", "_="))}
    assert given == {PATH, "LANG=C", "EMPTY=", "/tmp"}


@pytest.mark.parametrize("entry", ["=x", ""])
def test_a_variable_without_a_name(entry: str, any_small: World) -> None:
    """The config of an image may have one. runc refuses it too."""
    result = any_small.run("true", env=("A=1", entry))
    assert (result.status, result.output) == (126, "pyoci: the environment has a variable without a name\n")


def test_the_umask_of_the_builder_shows_nowhere(small: World) -> None:
    before = os.umask(0o077)
    try:
        world = copy_of(small)
        root = world.fresh()
        secret = FileMount("/new/directory/secret", b"")
        script = "umask; stat -c %a /dev /dev/null /dev/shm /new /new/directory /proc/self/ns; touch /new/x; mkdir /y"
        result = world.run(script, [secret], root=root)
        assert result.output.split() == ["0022", "755", "666", "1777", "755", "755", "511"]
        modes = {path: change.mode for path, change in world.changes(root).items()}
        assert modes == {"new": 0o755, "new/x": 0o644, "y": 0o755}
        world.worker.close()
    finally:
        os.umask(before)


def test_another_user_may_open_its_output(busybox_worlds: Worlds) -> None:
    """/dev/stdout is opened anew, with the rights of who opens it. In other modes the pipe is not the tests'."""
    result = busybox_worlds("root").run("echo one >/dev/stdout; echo two >/dev/stderr", uid=1000, gid=1000)
    assert (result.status, result.output) == (0, "one\ntwo\n")


def test_signals_are_as_in_a_new_process(small: World) -> None:
    result = small.run(["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"])
    assert result.output.split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16]
    assert small.run("yes | head -n 1").output == "y\n"


def test_a_missing_working_directory_is_made(any_small: World) -> None:
    root = any_small.fresh()
    assert any_small.run("pwd; ls -ld /a /a/b", cwd="/a/b", root=root).output.splitlines()[0] == "/a/b"


def test_many_steps_run_at_once(small: World) -> None:
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(small.run(f"sleep 0.5; exit {n}").status)) for n in range(10)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(10))
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_builder(any_small: World, number: signal.Signals, tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        # A builder of its own: this process forks before it has a worker, and never returns.
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            copy_of(any_small).run(f"(setsid sleep {long(8)} &); trap '' TERM; sleep {long(8)}; sleep {long(8)}")
        finally:
            os._exit(0)
    try:
        assert eventually(lambda: len(running("sleep", long(8))) == 2, 10)
    finally:
        os.kill(pid, number)
        os.waitpid(pid, 0)
    assert eventually(lambda: running("sleep", long(8)) == [], 1)


def test_modes_are_told_apart(any_small: World) -> None:
    mode: Mode = any_small.sandbox.mode
    assert mode == any_small.mode
