"""A few threads for the length of one call: bounded, stopped by the first failure, and never waited for in vain.

`concurrent.futures` would wait at interpreter exit for a thread that sits in a stalled read; these threads are
daemons, so that an interrupt ends the command at once. What they were writing has no final name yet, so nothing
half-done stays visible.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable

from pyoci.errors import Cancelled

__all__ = ["Stop", "run_all"]

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 2.0


class Stop:
    """Tells every thread of one call to end: the user interrupted, or another thread failed."""

    def __init__(self, cancelled: threading.Event | None = None) -> None:
        self._cancelled = cancelled
        self._failed = threading.Event()

    def set(self) -> None:
        self._failed.set()

    @property
    def interrupted(self) -> bool:
        """Whether it was the user."""
        return self._cancelled is not None and self._cancelled.is_set()

    def check(self) -> None:
        """Raises Cancelled when it is time to end."""
        if self._failed.is_set() or self.interrupted:
            raise Cancelled


def run_all(tasks: Iterable[Callable[[], object]], *, jobs: int, name: str, stop: Stop) -> None:
    """Runs every task, at most `jobs` at once; returns when all are done.

    After the first failure no further task starts, those under way are told to stop, and the failure is raised.

    Raises:
        Cancelled: the user interrupted. Else what the first failing task raised.
    """
    waiting: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    count = 0
    for task in tasks:
        waiting.put(task)
        count += 1
    results: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        while True:
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                stop.check()
                task()
            except BaseException as error:  # carried to the caller's thread
                results.put(error)
                stop.set()
                return
            results.put(None)

    threads = [
        threading.Thread(target=work, name=f"pyoci-{name}-{number}", daemon=True)
        for number in range(min(max(jobs, 1), count))
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(count):
            error = _next_result(results, stop)
            if error is not None:
                raise error
    except BaseException:
        stop.set()
        for thread in threads:
            thread.join(_GRACE_SECONDS / len(threads))
        raise
    for thread in threads:
        thread.join()


def _next_result(results: queue.SimpleQueue[BaseException | None], stop: Stop) -> BaseException | None:
    while True:
        try:
            return results.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            if stop.interrupted:
                raise Cancelled from None
