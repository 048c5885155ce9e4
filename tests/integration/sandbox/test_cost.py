"""What a step costs beyond its command: times beside runc in the same run, measured and not judged, and counts."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.accounts import SBIN
from tests.integration.sandbox.conftest import NAMESPACE_MODES, Worlds
from tests.integration.sandbox.world import World, eventually

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

ROUNDS = 20


def runc_in(directory: Path, root: Path) -> Callable[[], None]:
    """Runs /bin/true in a container of runc's default kind."""
    runc = shutil.which("runc", path=SBIN)
    if runc is None:
        pytest.skip("runc is not installed")
    subprocess.run([runc, "spec"], cwd=directory, check=True, timeout=60)
    config = json.loads((directory / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/true"])
    config["root"]["path"] = str(root)
    del config["linux"]["resources"]
    (directory / "config.json").write_text(json.dumps(config))

    def run() -> None:
        command: list[str | Path] = [runc, "--root", directory / "state", "run", f"pyoci-test-{os.getpid()}"]
        subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=60)

    return run


def test_a_step_beside_runc(
    busybox_worlds: Worlds, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    worlds = {mode: busybox_worlds(mode) for mode in NAMESPACE_MODES}
    runc = runc_in(tmp_path, worlds["root"].base)
    times: dict[str, list[float]] = {name: [] for name in (*worlds, "runc")}
    for _ in range(ROUNDS + 1):  # the first warms everybody up
        for mode, world in worlds.items():
            root = world.fresh()
            started = time.perf_counter()
            assert world.run(["/bin/true"], root=root, network="host").status == 0
            times[mode].append(time.perf_counter() - started)
        started = time.perf_counter()
        runc()
        times["runc"].append(time.perf_counter() - started)
    for name, all_seconds in times.items():
        seconds = all_seconds[1:]
        record_property("measured", f"{name}: min {min(seconds):.4f} s, median {statistics.median(seconds):.4f} s")


def calls_of_a_step(world: World, trace: Path) -> Counter[str]:
    """How often each system call is made for one step, by the worker and all below it."""
    strace = shutil.which("strace", path=SBIN)
    if strace is None:
        pytest.skip("strace is not installed")
    root = world.fresh()
    assert world.run("true", network="host").status == 0  # the worker runs, and has imported what it needs
    running = world.worker._running
    assert running is not None
    command: list[str | Path] = [strace, "-f", "-qq", "-o", trace, "-p", str(running.process)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        try:
            # Attached once the worker has a tracer.
            status = Path(f"/proc/{running.process}/status")
            assert eventually(lambda: f"TracerPid:\t{tracer.pid}\n" in status.read_text(), 10)
            assert world.run(["/bin/true"], root=root, network="host").status == 0
        finally:
            tracer.terminate()
    return Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))


def test_what_a_step_asks_of_the_kernel(small: World, tmp_path: Path) -> None:
    """Three processes, one wait for mounts to be let go, nothing forced to disk, no second look at anything."""
    calls = calls_of_a_step(small, tmp_path / "trace")
    assert calls["clone"] + calls["clone3"] + calls["fork"] + calls["vfork"] == 3
    assert calls["umount2"] == 1
    assert calls["pivot_root"] == 1
    assert not {"fsync", "fdatasync", "sync", "syncfs"} & calls.keys()
    assert calls["fsopen"] == 2  # the root, and the view of it in which mount points are looked for
    assert calls.total() < 700, calls
