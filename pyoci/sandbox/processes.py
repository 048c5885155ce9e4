"""Ends whole trees of processes where no PID namespace does it. Part of the worker."""

from __future__ import annotations

import os
import time

from pyoci.sandbox import kernel

__all__ = ["kill_descendants"]


def kill_descendants(own: int) -> None:
    """Kills and reaps every descendant of this process, whose ID is `own` and which must be a subreaper.

    Whoever escapes one round by forking becomes a child of this process when its parent dies, and is met in the next.
    """
    while True:
        for process in _children(own):
            try:
                os.kill(process, kernel.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        time.sleep(0.002)


def _children(own: int) -> list[int]:
    """Children of this process, of its only thread."""
    try:
        with open(f"/proc/self/task/{own}/children", encoding="ascii") as stream:
            return [int(word) for word in stream.read().split()]
    except FileNotFoundError:
        pass  # a kernel without CONFIG_PROC_CHILDREN
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stream:
                    # The name of the program, in parentheses, may hold anything.
                    fields = stream.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == own:
                found.append(int(name))
    return found
