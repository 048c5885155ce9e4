"""What a step costs beyond its command, beside runc in the same run. Measured, not judged: the machine is shared."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.accounts import SBIN
from tests.integration.sandbox.conftest import NAMESPACE_MODES, Worlds

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
