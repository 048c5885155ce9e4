"""Nothing accumulates, whoever calls and however often."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyoci.errors import SandboxError
from pyoci.sandbox.worker import Worker
from tests.integration.sandbox.conftest import Worlds
from tests.integration.sandbox.world import World, copy_of, eventually, interpreter

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]


def children_of(process: int) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                if int((path / "stat").read_text().rpartition(")")[2].split()[1]) == process:
                    found.append(int(path.name))
            except OSError:
                continue
    return found


def state_of(process: int, world: World) -> tuple[int, int, int]:
    """Mounts at places of the world's, descriptors and children of a process."""
    base = Path(f"/proc/{process}")
    mounts = (base / "mountinfo").read_text().count(str(world.account.home))
    return mounts, len(list((base / "fd").iterdir())), len(children_of(process))


def worker_process(world: World) -> int:
    running = world.worker._running
    assert running is not None
    return running.process


@pytest.mark.parametrize("mode", ["root", "subuid", "single"])
def test_two_hundred_steps_leave_nothing(busybox_worlds: Worlds, mode: str) -> None:
    world = busybox_worlds(mode)
    root = world.fresh()
    world.run("true", root=root)
    worker = worker_process(world)

    def measure() -> list[object]:
        return [state_of(worker, world), state_of(os.getpid(), world), len(list(Path("/proc/self/task").iterdir()))]

    assert eventually(lambda: children_of(worker) == [], 5)
    before = measure()
    for number in range(200):
        command = ["/bin/true", "/bin/false", "/missing"][number % 3]
        assert world.run([command], root=root).status == [0, 1, 127][number % 3]
    assert eventually(lambda: measure() == before, 5), measure()


def test_failures_leave_nothing_either(small: World) -> None:
    small.run("true")
    worker = worker_process(small)
    root = small.fresh(small.account.home / "missing")
    assert eventually(lambda: children_of(worker) == [], 5)
    before = state_of(worker, small), state_of(os.getpid(), small)
    for _ in range(20):
        with pytest.raises(SandboxError):
            small.run("true", root=root)
    assert eventually(lambda: (state_of(worker, small), state_of(os.getpid(), small)) == before, 5)


def test_threads_that_end_take_no_step_with_them(small: World) -> None:
    """PR_SET_PDEATHSIG is about the thread that forked, which the worker is not."""
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(lambda number: small.run(f"sleep 0.2; exit {number}").status, range(20))) == list(
            range(20)
        )
    results: list[int] = []
    starters = [
        threading.Thread(target=lambda: results.append(small.run("sleep 0.3; exit 4").status)) for _ in range(5)
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert results == [4] * 5


def test_nothing_is_started_before_it_is_needed(small: World) -> None:
    world = copy_of(small)
    assert not world.worker.started
    assert world.run("exit 3").status == 3
    process = worker_process(world)
    world.worker.close()
    world.worker.close()
    assert not Path(f"/proc/{process}").exists()
    with pytest.raises(SandboxError, match="has been closed"):
        world.run("true")


def test_closing_ends_what_runs(small: World) -> None:
    world = copy_of(small)
    said = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            world.run("echo up; sleep 60", output=lambda data: said.set())
        except SandboxError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert said.wait(20)
    started = time.monotonic()
    world.worker.close()
    thread.join(5)
    assert time.monotonic() - started < 2
    assert [str(error) for error in errors] == ["a process of the sandbox was killed"]


def test_a_worker_that_is_killed_is_an_error(small: World) -> None:
    world = copy_of(small)
    world.run("true")
    os.kill(worker_process(world), 9)
    with pytest.raises(SandboxError, match="killed"):
        world.run("true")
    world.worker.close()


def test_a_worker_that_cannot_start_says_why(busybox_worlds: Worlds) -> None:
    world = busybox_worlds("root")
    for command, reason in (
        (["/proc/nonexistent"], 'cannot start "/proc/nonexistent": No such file or directory'),
        (["/bin/false"], "the worker of the sandbox could not start"),
    ):
        worker = Worker(world.worker.privilege, interpreter=command)
        with pytest.raises(SandboxError, match=reason):
            worker.call("pyoci.sandbox.execute:run", {})
        worker.close()
    worker = Worker(world.worker.privilege, packages=Path("/proc/nonexistent"))
    with pytest.raises(SandboxError) as raised:
        worker.call("pyoci.sandbox.execute:run", {})
    assert raised.value.hint == "ModuleNotFoundError: No module named 'pyoci'"


def test_operations(busybox_worlds: Worlds) -> None:
    world = busybox_worlds("single")
    with pytest.raises(ValueError, match="not in"):
        world.worker.call("os:system", {})
    with pytest.raises(SandboxError, match="no such file"):
        world.ask("read", path="/proc/nonexistent")
    with pytest.raises(SandboxError, match="KeyError: 'path'"):
        world.ask("read")
    worker = Worker(
        world.worker.privilege,
        operations=("no.such:thing",),
        interpreter=interpreter(world.account),
        packages=world.package,
    )
    with worker, pytest.raises(SandboxError, match="the worker has no operation no"):
        worker.call("no.such:thing", {})


@pytest.mark.parametrize("is_prepared", [True, False])
def test_what_is_prepared_for_is_imported_when_there_is_nothing_else_to_do(
    busybox_worlds: Worlds, is_prepared: bool
) -> None:
    world = busybox_worlds("single")
    later = "pyoci.snapshot.operations:diff"
    worker = Worker(
        world.worker.privilege,
        operations=("sandbox_operations:loaded", later),
        interpreter=interpreter(world.account),
        packages=world.package,
    )

    def is_loaded() -> bool:
        return bool(worker.call("sandbox_operations:loaded", {"module": "pyoci.snapshot.diff"}).values["loaded"])

    with worker:
        if is_prepared:
            worker.prepare(later)
            assert worker.started
            deadline = time.monotonic() + 30
            while not is_loaded() and time.monotonic() < deadline:
                time.sleep(0.1)
        assert is_loaded() is is_prepared
    with pytest.raises(SandboxError, match="closed"):
        worker.prepare(later)


def test_large_requests_and_replies(busybox_worlds: Worlds) -> None:
    world = busybox_worlds("single")
    path = world.directory() / "large"
    content = os.urandom(1 << 20) * 20
    world.ask("write", path=str(path), content=content)
    assert world.ask("read", path=str(path))["content"] == content
