"""Running the programs that judge: with a time limit, an environment of their own, and all they said on failure."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["daemon", "output", "run", "scratch_directory"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(
    command: Sequence[str | Path],
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    input: bytes | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program to its end, whatever its exit status. It sees PATH, a HOME, and what `environment` adds."""
    seen = {"PATH": PATH, "HOME": str(directory or "/nonexistent"), "LC_ALL": "C.UTF-8", **(environment or {})}
    return subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        env=seen,
        input=input if input is not None else b"",
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def output(
    command: Sequence[str | Path],
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    input: bytes | None = None,
    timeout: float = 120,
) -> str:
    """What a program printed; fails the test with everything that it said when it did not succeed."""
    done = run(command, directory=directory, environment=environment, input=input, timeout=timeout)
    words = " ".join(str(word) for word in command)
    assert done.returncode == 0, f"{words}: exit status {done.returncode}\n{done.stderr.decode()}{done.stdout.decode()}"
    return done.stdout.decode()


@contextmanager
def scratch_directory(prefix: str) -> Iterator[Path]:
    """A directory with a path short enough for sockets. What was mounted in it is unmounted before it is removed.

    What earlier runs left because they were killed is removed too: the name has the process that it belongs to.
    """
    for left in Path("/tmp").glob(f"pyoci-{prefix}-*-*"):
        if not Path("/proc", left.name.split("-")[2]).exists():
            _remove(left)
    directory = Path(tempfile.mkdtemp(prefix=f"pyoci-{prefix}-{os.getpid()}-", dir="/tmp"))
    try:
        yield directory
    finally:
        _remove(directory)


def _remove(directory: Path) -> None:
    """Programs like podman's conmon tidy up for a moment after the command that started them has ended."""
    for _ in range(20):
        _unmount(directory)
        try:
            shutil.rmtree(directory)
        except FileNotFoundError:
            if not directory.exists():
                return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EBUSY):
                raise
        else:
            return
        time.sleep(0.25)
    _unmount(directory)
    shutil.rmtree(directory)


def _unmount(directory: Path) -> None:
    """What is mounted below the directory, the last one first: daemons leave network namespaces, for instance."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    points = [line.split(" ")[4].replace("\\040", " ") for line in lines]
    for point in reversed([point for point in points if point.startswith(f"{directory}/")]):
        subprocess.run(["umount", "--lazy", point], check=True, timeout=30)


@contextmanager
def daemon(
    command: Sequence[str | Path], log: Path, *, ready: Callable[[], bool], start_seconds: float = 60
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs while the block does, begun when `ready`; it ends with the tests, even if they are killed."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig=TERM", *(str(word) for word in command)],
            env={"PATH": PATH, "HOME": str(log.parent)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + start_seconds
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
