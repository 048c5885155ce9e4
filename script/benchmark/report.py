"""Figures from runs, and the forms in which they are shown: a table for the terminal, Markdown, JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmark.machine import Machine
from benchmark.measure import Usage

__all__ = ["Figures", "JobResult", "Report", "ToolResult", "json_document", "markdown", "splice", "terminal"]

OURS = "pyoci"
FLOOR = "bare"
BEGIN = "<!-- figures: written by script/bench --markdown -->"
END = "<!-- end of figures -->"
COLUMNS = ("tool", "seconds", "from–to", "÷ builder", "÷ peer", "÷ bare", "CPU s", "peak MB", "net MB")


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the rounds; `fastest_seconds` and `slowest_seconds` are the extremes of the wall time."""

    wall_seconds: float
    fastest_seconds: float
    slowest_seconds: float
    cpu_seconds: float
    peak_bytes: int
    loopback_bytes: int


@dataclass(frozen=True, slots=True)
class ToolResult:
    """How a tool did in a job: its runs, and why a run failed, empty where none did."""

    tool: str
    reads_dockerfiles: bool
    runs: tuple[Usage, ...]
    failure: str = ""

    @property
    def figures(self) -> Figures | None:
        """None where any run failed: a median of what is left would not be that of the job."""
        if self.failure or not self.runs:
            return None
        walls = [run.wall_seconds for run in self.runs]
        return Figures(
            wall_seconds=median(walls),
            fastest_seconds=min(walls),
            slowest_seconds=max(walls),
            cpu_seconds=median(run.cpu_seconds for run in self.runs),
            peak_bytes=round(median(run.peak_bytes for run in self.runs)),
            loopback_bytes=round(median(run.loopback_bytes for run in self.runs)),
        )


@dataclass(frozen=True, slots=True)
class JobResult:
    """A job, and every tool that was asked to do it."""

    name: str
    title: str
    tools: tuple[ToolResult, ...]

    def fastest(self, *, builders_only: bool) -> float | None:
        """The least median among the peers, in seconds: all of them, or those that read Dockerfiles."""
        walls = [
            found.figures.wall_seconds
            for found in self.tools
            if found.figures and found.tool not in (OURS, FLOOR) and (found.reads_dockerfiles or not builders_only)
        ]
        return min(walls, default=None)

    def floor(self) -> float | None:
        """What the bare tools took, in seconds."""
        return next((found.figures.wall_seconds for found in self.tools if found.tool == FLOOR and found.figures), None)


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run of the benchmark; `missing` says why a tool is not in it, `day` is that of the run (UTC)."""

    day: str
    rounds: int
    quick: bool
    machine: Machine
    missing: dict[str, str]
    jobs: tuple[JobResult, ...]


def ratio(value: float, other: float | None) -> str:
    """How many times `other` the value is."""
    return f"{value / other:.2f}" if other else "–"


def seconds(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def ordered(job: JobResult) -> list[ToolResult]:
    """The fastest first, failures last."""
    return sorted(job.tools, key=lambda found: found.figures.wall_seconds if found.figures else float("inf"))


def cells(job: JobResult, found: ToolResult) -> list[str]:
    """A row as COLUMNS has it."""
    figures = found.figures
    name = found.tool if found.reads_dockerfiles or found.tool == FLOOR else f"{found.tool} (no Dockerfile)"
    if figures is None:
        return [name, f"failed: {found.failure}"]
    wall = figures.wall_seconds
    return [
        name,
        seconds(wall),
        f"{seconds(figures.fastest_seconds)}–{seconds(figures.slowest_seconds)}",
        ratio(wall, job.fastest(builders_only=True)),
        ratio(wall, job.fastest(builders_only=False)),
        ratio(wall, job.floor()),
        seconds(figures.cpu_seconds),
        f"{figures.peak_bytes / 1e6:.0f}" if figures.peak_bytes else "–",  # over before it was looked at
        f"{figures.loopback_bytes / 1e6:.1f}",
    ]


def summary(report: Report) -> str:
    """How the figures came about, in a line."""
    size = "small contexts (--quick)" if report.quick else "full contexts"
    rounds = "1 round" if report.rounds == 1 else f"medians of {report.rounds} interleaved rounds"
    return f"{report.day}, {rounds}, {size}"


def terminal(report: Report) -> str:
    """Everything as text in columns."""
    parts = [summary(report)]
    parts += [f"  {name}: {value}" for name, value in report.machine.lines()]
    parts += [f"  {name}: not here: {reason}" for name, reason in report.missing.items()]
    for job in report.jobs:
        rows = [list(COLUMNS), *(cells(job, found) for found in ordered(job))]
        whole = [row for row in rows if len(row) == len(COLUMNS)]
        widths = [max(len(row[column]) for row in whole) for column in range(len(COLUMNS))]
        widths[0] = max(len(row[0]) for row in rows)
        parts += ["", f"{job.title} ({job.name})"]
        for row in rows:
            words = [row[0].ljust(widths[0])]
            words += [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=False)]
            parts.append("  " + "  ".join(words).rstrip())
    return "\n".join(parts) + "\n"


def markdown(report: Report, chart: str = "") -> str:
    """Everything as tables; `chart` is the address of the bar chart, seen from the document."""
    parts = [f"{summary(report)}.", ""]
    parts += ["| machine | |", "|---|---|", *(f"| {name} | {value} |" for name, value in report.machine.lines())]
    parts += [f"| {name} | not here: {escaped(reason)} |" for name, reason in report.missing.items()]
    if chart:
        parts += ["", f"![wall time of every tool in every job]({chart})"]
    for job in report.jobs:
        parts += [
            "",
            f"### {job.title}",
            "",
            "| " + " | ".join(COLUMNS) + " |",
            "|---" + "|--:" * (len(COLUMNS) - 1) + "|",
        ]
        for found in ordered(job):
            row = [escaped(cell) for cell in cells(job, found)]
            row += [""] * (len(COLUMNS) - len(row))
            if found.tool == OURS:
                row[0] = f"**{row[0]}**"
            parts.append("| " + " | ".join(row) + " |")
    return "\n".join(parts) + "\n"


def escaped(cell: str) -> str:
    """Text that stays within a cell of a Markdown table."""
    return re.sub(r"([|<>`*_\\])", r"\\\1", cell)


def splice(document: str, figures: str) -> str:
    """The document with the figures between its two marks; what stands around them is a person's.

    Raises:
        ValueError: it has no marks.
    """
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN!r} with {END!r} after it")
    return f"{head}{BEGIN}\n\n{figures}\n{END}{tail}"


def json_document(report: Report) -> dict[str, Any]:
    """Every single run with the medians, for programs."""
    jobs = []
    for job in report.jobs:
        tools = [
            {
                "tool": found.tool,
                "reads_dockerfiles": found.reads_dockerfiles,
                "failure": found.failure or None,
                "median": asdict(found.figures) if found.figures else None,
                "runs": [asdict(run) for run in found.runs],
            }
            for found in job.tools
        ]
        ratios = {"fastest_builder_seconds": job.fastest(builders_only=True), "floor_seconds": job.floor()}
        ratios["fastest_peer_seconds"] = job.fastest(builders_only=False)
        jobs.append({"name": job.name, "title": job.title, **ratios, "tools": tools})
    return {
        "day": report.day,
        "rounds": report.rounds,
        "quick": report.quick,
        "machine": asdict(report.machine),
        "missing": report.missing,
        "jobs": jobs,
    }


def redacted(text: str, places: Sequence[Path], registry: str) -> str:
    """A message without the directories of this machine and the port of this run."""
    for place in places:
        text = text.replace(str(place), "…")
    return text.replace(registry, "registry")
