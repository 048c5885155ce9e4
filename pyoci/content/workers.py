"""A few threads for the length of one call: bounded, stopped by the first failure, and never waited for in vain.

`concurrent.futures` would wait at interpreter exit for a thread that sits in a stalled read; these threads are
daemons, so that an interrupt ends the command at once. What they were writing has no final name yet, so nothing
half-done stays visible.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from pyoci.errors import Cancelled

__all__ = ["Crew", "Stop", "run_all"]

T = TypeVar("T")

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


class Crew(Generic[T]):
    """Threads that do one thing with everything that they are given, started when there is something to do."""

    def __init__(self, work: Callable[[T], None], *, jobs: int, name: str) -> None:
        """`work` must not raise: there is nobody to hear of it."""
        self._work = work
        self._jobs = jobs
        self._name = name
        self._waiting: queue.SimpleQueue[tuple[T] | None] = queue.SimpleQueue()
        self._progress = threading.Condition()
        self._unfinished = 0
        self._threads: list[threading.Thread] = []
        self._closed = False

    @property
    def used(self) -> bool:
        """Whether there was ever anything to do."""
        return bool(self._threads)

    def give(self, item: T) -> None:
        """Has the work done, and does not wait for it. After `close` it is not done any more."""
        with self._progress:
            if self._closed:
                return
            self._unfinished += 1
            self._waiting.put((item,))
            if len(self._threads) < min(self._jobs, self._unfinished):
                thread = threading.Thread(target=self._run, name=f"pyoci-{self._name}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def wait(self) -> None:
        """Returns when everything that was given is done."""
        with self._progress:
            self._progress.wait_for(lambda: not self._unfinished)

    def close(self, seconds: float) -> None:
        """Ends the threads, the idle ones at once, and waits that long for those that are at work."""
        with self._progress:
            self._closed = True
        for _ in self._threads:
            self._waiting.put(None)
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0, until - time.monotonic()))

    def _run(self) -> None:
        while (given := self._waiting.get()) is not None:
            try:
                self._work(*given)
            finally:
                with self._progress:
                    self._unfinished -= 1
                    self._progress.notify_all()
