"""One command line, and what it takes: wall time, CPU time, memory and bytes over the loopback interface.

What a tool starts is found by descent: from the command, from the tool's daemon, and, because this process makes itself
the one that orphans fall to, from what outlived its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CommandFailed", "Processes", "Usage", "adopt_orphans", "loopback_bytes", "measure", "own_network"]

SAMPLE_SECONDS = 0.02
SAMPLE_SHARE = 0.05
"""The sampler sleeps for as long as keeps it below this share of one core."""

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
PROC = Path("/proc")
DEVICES = Path("/proc/self/net/dev")
"""Of the namespace of whoever reads it; /sys/class/net shows that of its mount."""


class CommandFailed(Exception):
    """The command ended with another status than 0, or not in time; the message is one line."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run took.

    `cpu_seconds` is user and system time of the command and all it waited for, and of its daemon's processes.
    `peak_bytes` is the largest sum of proportional set sizes (a page shared by n processes counts as 1/n in each) that
    was seen in the samples. `loopback_bytes` counts what the interface sent, headers included, whoever sent it.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    loopback_bytes: int


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def own_network() -> bool:
    """Moves this process, which must have one thread, into a network namespace where it is alone on the loopback.

    Returns whether that was done: only root may. Else the bytes of other programs count as well.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
    return True


def loopback_bytes(devices: str) -> int:
    """What the loopback interface has sent, given the text of /proc/net/dev."""
    for line in devices.splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[8])
    return 0


@dataclass(slots=True)
class Processes:
    """Those below `roots` and, but for `strangers` and what is below them, those below `reaper`.

    Each process is asked for its parent once; whoever belonged stays until it ends, wherever its parent has gone.
    """

    roots: Collection[int]
    reaper: int
    strangers: Collection[int]
    proc: Path = PROC
    _known: dict[int, bool] = field(default_factory=dict)

    def members(self) -> list[int]:
        """Process IDs, now."""
        names = os.listdir(self.proc)  # noqa: PTH208 - fifty times a second, and strings are enough
        present = sorted(int(name) for name in names if name.isdigit())
        self._known = {pid: self._known[pid] for pid in present if pid in self._known}
        for pid in present:
            self._belongs(pid, set())
        return [pid for pid in present if self._known.get(pid)]

    def _belongs(self, pid: int, asked: set[int]) -> bool:
        if pid not in self._known:
            asked.add(pid)
            parent = self._parent(pid)
            if pid in self.roots:
                self._known[pid] = True
            elif pid in self.strangers or pid == self.reaper or parent == 0 or parent in asked:
                self._known[pid] = False
            else:
                self._known[pid] = parent == self.reaper or self._belongs(parent, asked)
        return self._known[pid]

    def _parent(self, pid: int) -> int:
        stat = read(self.proc / str(pid) / "stat")
        return int(stat.rpartition(")")[2].split()[1]) if stat else 0

    def cpu_seconds(self) -> float:
        """User and system time of the members, and of what each of them has waited for."""
        total = 0
        for pid in self.members():
            stat = read(self.proc / str(pid) / "stat")
            if stat:
                total += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
        return total / TICKS

    def memory_bytes(self, above: int) -> int:
        """The sum of proportional set sizes; 0 where it cannot be more than `above`, which is cheaper to find out.

        A resident set size is never less than the proportional one, and one line of statm tells it.
        """
        members = self.members()
        resident = 0
        for pid in members:
            statm = read(self.proc / str(pid) / "statm").split()
            resident += int(statm[1]) * PAGE if len(statm) > 1 else 0
        if resident <= above:
            return 0
        return sum(self._proportional(pid) for pid in members)

    def _proportional(self, pid: int) -> int:
        for line in read(self.proc / str(pid) / "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return 0


def read(path: Path) -> str:
    """A file of /proc; empty where its process has ended."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


class Sampler(threading.Thread):
    """Keeps the highest sum of memory that it has seen."""

    def __init__(self, processes: Processes) -> None:
        super().__init__(name="sampler", daemon=True)
        self._processes = processes
        self._stopped = threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            began = time.thread_time()
            self.peak_bytes = max(self.peak_bytes, self._processes.memory_bytes(self.peak_bytes))
            pause = max(SAMPLE_SECONDS, (time.thread_time() - began) / SAMPLE_SHARE)

    def stop(self) -> int:
        """Ends the thread; returns the peak."""
        self._stopped.set()
        self.join()
        return self.peak_bytes


def measure(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    output: Path,
    daemons: Collection[int],
    strangers: Collection[int],
    timeout_seconds: float,
) -> Usage:
    """Runs the command to its end; what it prints goes to the file `output`.

    `daemons` work for it, `strangers` are other children of this process. What it leaves running is ended.

    Raises:
        CommandFailed: with the last line that it printed.
    """
    servants = Processes(daemons, -1, strangers)
    before = servants.cpu_seconds()
    sent = loopback_bytes(DEVICES.read_text())
    with output.open("wb") as log:
        began = time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    sampler = Sampler(Processes({child.pid, *daemons}, os.getpid(), strangers))
    deadline = threading.Timer(timeout_seconds, end_group, [child.pid])
    try:
        sampler.start()
        deadline.start()
        _, status, spent = os.wait4(child.pid, 0)
        wall_seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        late = not deadline.is_alive()
    finally:
        deadline.cancel()
        if child.returncode is None:
            end_group(child.pid)
            child.wait()
        peak_bytes = sampler.stop()
        orphans_seconds = end_orphans({*daemons, *strangers})
    if child.returncode != 0:
        reason = f"not done after {timeout_seconds:.0f} s" if late else last_line(output)
        raise CommandFailed(reason or f"exit status {child.returncode}")
    cpu_seconds = spent.ru_utime + spent.ru_stime + orphans_seconds + servants.cpu_seconds() - before
    return Usage(wall_seconds, cpu_seconds, peak_bytes, loopback_bytes(DEVICES.read_text()) - sent)


def end_group(pid: int) -> None:
    """Kills the command and what stayed in its session's group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def end_orphans(own: Collection[int]) -> float:
    """Ends the children of this process that are not its own; returns the CPU time that they took, in seconds."""
    seconds = 0.0
    for pid in Processes((), os.getpid(), own).members():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    for _ in range(50):
        left = Processes((), os.getpid(), own).members()
        if not left:
            break
        for pid in left:
            try:
                reaped, _, spent = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if reaped:
                seconds += spent.ru_utime + spent.ru_stime
        time.sleep(0.01)
    return seconds


def last_line(output: Path) -> str:
    """The last line of a log that says something, without control characters."""
    text = output.read_bytes()[-8192:].decode(errors="replace")
    lines = ["".join(letter for letter in line if letter.isprintable()).strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if line.lower().startswith(("error", "fatal"))]
    return (errors or lines or [""])[-1]
