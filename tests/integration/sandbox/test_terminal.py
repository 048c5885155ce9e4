"""A process that a person talks to: descriptors as they are, or a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyoci.errors import Cancelled
from pyoci.sandbox.protocols import Attached, Process, Stdio, Terminal
from tests.integration.sandbox.world import PATH, World

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]


class Session:
    """A step in a thread, and the descriptors of the person at the other end."""

    def __init__(self, world: World, stdio: Stdio, command: str, *, uid: int = 0) -> None:
        self.cancelled = threading.Event()
        self.status: int | None = None
        self.error: BaseException | None = None
        self._world = world
        self._stdio = stdio
        self._process = Process(("/bin/sh", "-c", command), env=(PATH, "TERM=dumb"), uid=uid, gid=uid)
        self._root = world.fresh()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.status = self._world.sandbox.run(
                self._process, self._root, (), network="host", stdio=self._stdio, cancelled=self.cancelled
            )
        except BaseException as error:
            self.error = error

    def wait(self, seconds: float = 20) -> int | None:
        self._thread.join(seconds)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.status


def read_until(descriptor: int, wanted: bytes, seconds: float = 20) -> bytes:
    data = b""
    end = time.monotonic() + seconds
    while wanted not in data and time.monotonic() < end:
        if select.select([descriptor], [], [], 0.1)[0]:
            data += os.read(descriptor, 4096)
    assert wanted in data, data
    return data


@contextmanager
def terminal(rows: int = 30, columns: int = 100) -> Iterator[tuple[int, int]]:
    """What the person sees and types at, and what pyoci gets as its terminal."""
    person, ours = pty.openpty()
    resize(ours, rows, columns)
    try:
        yield person, ours
    finally:
        os.close(person)
        os.close(ours)


def resize(descriptor: int, rows: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def test_descriptors_as_they_are(any_small: World, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("in", "out", "err")]
    paths[0].write_bytes(b"one\ntwo\n")
    for path in paths[1:]:
        path.touch()
    files = [os.open(path, os.O_RDWR) for path in paths]
    session = Session(any_small, Attached(*files), "while read x; do echo got $x; echo bad $x >&2; done; exit 5")
    assert session.wait() == 5
    for file in files:
        os.close(file)
    assert paths[1].read_bytes() == b"got one\ngot two\n"
    assert paths[2].read_bytes() == b"bad one\nbad two\n"


def test_a_terminal_of_its_own(any_small: World) -> None:
    with terminal() as (person, ours):
        before = termios.tcgetattr(ours)
        script = 'test -t 0 && test -t 1 && test -t 2 && echo tty; stty size; read x; echo "<$x>"; exit 7'
        session = Session(any_small, Terminal(ours, ours), script)
        assert b"30 100" in read_until(person, b"30 100")
        os.write(person, b"hello\r")
        read_until(person, b"<hello>")
        assert session.wait() == 7
        assert termios.tcgetattr(ours) == before


def test_the_terminal_is_the_sandboxes(small: World) -> None:
    with terminal() as (person, ours):
        session = Session(
            small,
            Terminal(ours, ours),
            "tty; ls -1 /dev/pts; echo to console >/dev/console; echo to tty >/dev/tty; echo end",
        )
        seen = read_until(person, b"end\r\n")
        assert seen.replace(b"\r\n", b"\n") == b"/dev/pts/0\n0\nptmx\nto console\nto tty\nend\n"
        assert session.wait() == 0


def test_the_terminal_follows_its_window(small: World) -> None:
    with terminal() as (person, ours):
        session = Session(small, Terminal(ours, ours), "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done")
        read_until(person, b"up")
        resize(ours, 40, 120)
        read_until(person, b"40 120")
        session.cancelled.set()
        with pytest.raises(Cancelled):
            session.wait()


def test_keys_are_signals_for_the_step(any_small: World) -> None:
    with terminal() as (person, ours):
        session = Session(
            any_small,
            Terminal(ours, ours),
            "trap 'echo interrupted; exit 9' INT; echo up; while :; do sleep 0.05; done",
        )
        read_until(person, b"up")
        os.write(person, b"\x03")
        read_until(person, b"interrupted")
        assert session.wait() == 9


def test_another_user_has_the_terminal_too(small: World) -> None:
    with terminal() as (person, ours):
        session = Session(
            small, Terminal(ours, ours), "id -u; echo again >/dev/tty; exec 5<>$(tty) && echo opened >&5", uid=1000
        )
        read_until(person, b"opened")
        assert session.wait() == 0


def test_the_end_of_what_a_person_says(small: World) -> None:
    reader, writer = os.pipe()
    with terminal() as (person, ours):
        session = Session(small, Terminal(reader, ours), "cat; echo done")
        os.write(writer, b"text\n")
        os.close(writer)
        read_until(person, b"done")
        assert session.wait() == 0
    os.close(reader)


def test_much_is_shown_in_full(small: World) -> None:
    with terminal() as (person, ours):
        session = Session(
            small, Terminal(ours, ours), "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo END"
        )
        seen = read_until(person, b"END\r\n")
        assert seen.replace(b"\r\n", b"\n") == b"".join(b"line %d\n" % number for number in range(3000)) + b"END\n"
        assert session.wait() == 0
