"""The bar chart: one group of bars for each job, each with a scale of its own, as an SVG with nothing outside of it.

It brings its own background, so that it reads the same on light and on dark pages.
"""

from __future__ import annotations

from html import escape

from benchmark.report import FLOOR, OURS, JobResult, Report, ToolResult, ordered, seconds, summary

__all__ = ["svg"]

WIDTH = 860
MARGIN = 20
LABELS = 130
"""Room for the tools' names, left of the bars."""
BAR = 16
STEP = 22
TITLE = 34
GAP = 18
SIZE = 13
LETTER = 0.62
"""Width of a letter, in sizes: more than that of common sans-serif fonts."""

PAPER, INK, FAINT = "#ffffff", "#1f2328", "#59636e"
OUR_BAR, PEER_BAR, FLOOR_BAR = "#0969da", "#afb8c1", "#d8dee4"


def svg(report: Report) -> str:
    """The chart of a report."""
    parts: list[str] = []
    top = MARGIN + SIZE
    parts += lines(summary(report), MARGIN, top, FAINT)
    top += GAP
    for job in report.jobs:
        drawn, height = group(job, top)
        parts += drawn
        top += height
    height = top + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="{SIZE}">'
    )
    title = "<title>Wall time in seconds of every tool in every job; shorter is better</title>"
    paper = f'<rect width="{WIDTH}" height="{height}" rx="8" fill="{PAPER}"/>'
    return "\n".join([head, title, paper, *parts, "</svg>"]) + "\n"


def group(job: JobResult, top: int) -> tuple[list[str], int]:
    """The bars of one job from `top` down, and the height that they take."""
    heading = lines(f"{job.title} (seconds)", MARGIN, top + SIZE, INK, weight="600")
    parts, y = [*heading], top + TITLE - 10 + (len(heading) - 1) * (SIZE + 4)
    found = ordered(job)
    longest = max((tool.figures.wall_seconds for tool in found if tool.figures), default=0.0)
    for tool in found:
        parts += bar(tool, y, longest)
        y += STEP
    return parts, y - top + GAP


def bar(tool: ToolResult, y: int, longest: float) -> list[str]:
    """One tool's name, bar and figure."""
    ours = tool.tool == OURS
    colour = OUR_BAR if ours else FLOOR_BAR if tool.tool == FLOOR else PEER_BAR
    weight = "600" if ours else "400"
    base = y + BAR - 3
    name = text(tool.tool, MARGIN + LABELS - 8, base, INK, weight=weight, anchor="end")
    left = MARGIN + LABELS
    if tool.figures is None:
        return [name, text(shortened(f"failed: {tool.failure}", WIDTH - MARGIN - left), left, base, FAINT)]
    value = seconds(tool.figures.wall_seconds)
    room = WIDTH - MARGIN - left - 8 - width(value)
    length = max(1.0, room * tool.figures.wall_seconds / longest)
    return [
        name,
        f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
        text(value, left + length + 6, base, INK, weight=weight),
    ]


def width(words: str) -> float:
    """At most how wide the words are."""
    return len(words) * SIZE * LETTER


def shortened(words: str, room: float) -> str:
    """The words, or as many of their letters as fit."""
    letters = int(room / (SIZE * LETTER))
    return words if len(words) <= letters else words[: letters - 1] + "…"


def lines(words: str, x: float, y: int, colour: str, weight: str = "400") -> list[str]:
    """Text over the whole width, broken between words where it is too long."""
    letters = int((WIDTH - MARGIN - x) / (SIZE * LETTER))
    rows = [""]
    for word in words.split():
        if rows[-1] and len(rows[-1]) + 1 + len(word) > letters:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    return [text(row, x, y + number * (SIZE + 4), colour, weight) for number, row in enumerate(rows)]


def text(words: str, x: float, y: int, colour: str, weight: str = "400", anchor: str = "start") -> str:
    """A line of text."""
    return (
        f'<text x="{x:.1f}" y="{y}" fill="{colour}" font-weight="{weight}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )
