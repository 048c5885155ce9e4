"""A report with invented figures, which no document shows."""

from __future__ import annotations

from benchmark.machine import Machine
from benchmark.measure import Usage
from benchmark.report import JobResult, Report, ToolResult

MACHINE = Machine(
    processor="a processor",
    cores=2,
    memory_bytes=8 * 2**30,
    kernel="6.1",
    file_system="ext4",
    system="a system",
    python="3.11.2",
    versions={"pyoci": "1", "buildah": "2"},
)


def usage(wall_seconds: float, *, peak_bytes: int = 10_000_000) -> Usage:
    return Usage(wall_seconds, wall_seconds / 2, peak_bytes, 2_500_000)


def result(tool: str, *walls: float, dockerfile: bool = True, failure: str = "") -> ToolResult:
    return ToolResult(tool, dockerfile, tuple(map(usage, walls)), failure)


def job(*tools: ToolResult, title: str = "a job", name: str = "job") -> JobResult:
    return JobResult(name, title, tools)


def report(*jobs: JobResult, missing: dict[str, str] | None = None) -> Report:
    return Report("2024-02-29", 3, False, MACHINE, missing or {}, jobs)
