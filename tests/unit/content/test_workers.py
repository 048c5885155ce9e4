"""Bounded threads: all of them, at most so many at once, none after a failure, and no waiting for one that hangs."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from pyoci.content.workers import Crew, Stop, run_all
from pyoci.errors import Cancelled, ContentNotFound


def test_everything_runs_and_never_more_than_so_many_at_once() -> None:
    lock = threading.Lock()
    running, most, done = 0, 0, []

    def task(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1
            done.append(number)

    run_all([partial(task, number) for number in range(20)], jobs=3, name="test", stop=Stop())
    assert sorted(done) == list(range(20))
    assert most == 3


def test_nothing_to_do() -> None:
    run_all([], jobs=4, name="test", stop=Stop())


def test_after_a_failure_no_further_one_starts_and_the_failure_is_the_first() -> None:
    started: list[int] = []
    stop = Stop()

    def task(number: int) -> None:
        started.append(number)
        if number == 1:
            raise ContentNotFound("number 1")
        for _ in range(1000):
            stop.check()
            time.sleep(0.002)

    with pytest.raises(ContentNotFound, match="number 1"):
        run_all([partial(task, number) for number in range(10)], jobs=2, name="test", stop=stop)
    assert started == [0, 1]


def test_an_interrupt_does_not_wait_for_a_thread_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyoci.content.workers._GRACE_SECONDS", 0.1)
    cancelled, release = threading.Event(), threading.Event()
    threading.Timer(0.05, cancelled.set).start()
    begun = time.monotonic()
    try:
        with pytest.raises(Cancelled):
            run_all([partial(release.wait, 30)], jobs=1, name="test", stop=Stop(cancelled))
        assert time.monotonic() - begun < 10
    finally:
        release.set()


def test_a_keyboard_interrupt_of_a_task_comes_through() -> None:
    def task() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all([task], jobs=1, name="test", stop=Stop())


def test_a_crew_does_all_that_it_is_given_and_not_too_much_at_once() -> None:
    lock, done, at_once, most = threading.Lock(), list[int](), 0, 0

    def work(number: int) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        with lock:
            at_once -= 1
            done.append(number)

    crew = Crew(work, jobs=3, name="test")
    assert not crew.used
    crew.wait()
    for number in range(20):
        crew.give(number)
    crew.wait()
    assert crew.used
    assert sorted(done) == list(range(20))
    assert 1 <= most <= 3
    crew.give(20)
    crew.wait()
    assert done[-1] == 20
    crew.close(10)
    crew.give(21)
    crew.wait()
    assert done[-1] == 20
    assert not [thread for thread in threading.enumerate() if thread.name == "pyoci-test"]


def test_a_crew_that_hangs_is_not_waited_for_in_vain() -> None:
    release = threading.Event()

    def hang(seconds: float) -> None:
        release.wait(seconds)

    crew = Crew(hang, jobs=1, name="hanging")
    crew.give(30)
    begun = time.monotonic()
    crew.close(0.1)
    assert time.monotonic() - begun < 10
    release.set()
