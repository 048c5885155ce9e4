"""Cache mounts of stages that run at once: shared, one after the other, or each with its own."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conformance.base_image import write_base_layout

pytestmark = [pytest.mark.needs_userns]

ROOT = Path(__file__).resolve().parents[2]
COUNT = 3
STAGE = """FROM base AS sN
RUN --mount=type=cache,target=/c,sharing=SHARING cut -d' ' -f1 /proc/uptime >/begin; touch /c/N; sleep 0.7; \\
    ls /c >/saw; cut -d' ' -f1 /proc/uptime >/end
"""


def build(directory: Path, sharing: str) -> tuple[list[tuple[float, float]], list[set[str]]]:
    """When each of the stages ran, and whose files it saw in the cache at its end."""
    base = directory / "base"
    write_base_layout(base)
    stage = STAGE.replace("SHARING", sharing)
    stages = "".join(stage.replace("sN", f"s{number}").replace("/c/N", f"/c/{number}") for number in range(COUNT))
    copies = "".join(f"COPY --from=s{number} /begin /end /saw /{number}/\n" for number in range(COUNT))
    (directory / "Dockerfile").write_text(stages + "FROM scratch\n" + copies)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pyoci", "build", "--build-context", f"base=oci-layout://{base}:latest"),
            *("--output", "type=local,dest=out", "."),
        ],
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "PYOCI_HOME": str(directory / "store"),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    def read(name: str, number: int) -> list[str]:
        return (directory / "out" / str(number) / name).read_text().split()

    times = [(float(read("begin", number)[0]), float(read("end", number)[0])) for number in range(COUNT)]
    return sorted(times), [set(read("saw", number)) for number in range(COUNT)]


def test_locked_caches_are_used_one_after_the_other(tmp_path: Path) -> None:
    times, saw = build(tmp_path, "locked")
    assert all(before[1] <= after[0] for before, after in pairwise(times)), times
    assert sorted(len(names) for names in saw) == [1, 2, 3]


def test_shared_caches_are_used_at_once(tmp_path: Path) -> None:
    times, saw = build(tmp_path, "shared")
    assert max(begin for begin, _ in times) < min(end for _, end in times), times
    assert max(len(names) for names in saw) == COUNT


def test_private_caches_are_each_ones_own(tmp_path: Path) -> None:
    times, saw = build(tmp_path, "private")
    assert max(begin for begin, _ in times) < min(end for _, end in times), times
    assert saw == [{str(number)} for number in range(COUNT)]
