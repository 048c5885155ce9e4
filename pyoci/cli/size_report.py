"""What `pyoci size` found, as lines for a terminal, as Markdown for CI, and as JSON. Pure: gives strings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyoci.cli.markdown import escaped, markdown_table
from pyoci.cli.progress import human_size
from pyoci.cli.render_error import visible

if TYPE_CHECKING:
    from pyoci.api.size import SizeReport
    from pyoci.inspection.budget import Breach
    from pyoci.inspection.sizes import FileSize, ImageSize

__all__ = ["size_json", "size_markdown", "size_text"]

_INSTRUCTION = 60


def size_text(report: SizeReport, top: int) -> str:
    """Tables one below the other: layers, directories, files, what is wasted, what grew, budgets that are exceeded."""
    from pyoci.cli.commands.images import table

    image = report.image
    parts = [f"{visible(image.name)}: {_summary(image)}\n"]
    for title, rows in _sections(report, top):
        shown = [[visible(cell) for cell in row] for row in rows]
        parts.append(f"{title}\n{table(shown)}")
    parts += [f"{_breach(breach, report)}\n" for breach in report.breaches]
    return "\n".join(parts)


def size_markdown(report: SizeReport, top: int) -> str:
    """The same in Markdown: what CI puts under a pull request."""
    image = report.image
    state = "❌ over budget" if report.breaches else "✅"
    parts = [f"### Size of {escaped(image.name)} {state}\n\n{_summary(image)}\n"]
    parts += [f"- **{escaped(_breach(breach, report))}**\n" for breach in report.breaches]
    for title, (head, *rows) in _sections(report, top):
        parts.append(f"#### {title}\n\n{markdown_table(head, rows)}")
    return "\n".join(parts)


def size_json(report: SizeReport, top: int) -> str:
    """Everything with exact numbers; of files and directories the `top` largest."""
    image, grown = report.image, report.growth
    value: dict[str, object] = {
        "image": image.name,
        "digest": image.digest,
        "size": image.size,
        "compressedSize": image.compressed_size,
        "visibleSize": image.visible_size,
        "wastedSize": image.wasted_size,
        "efficiency": round(image.efficiency, 6),
        "layers": [
            {
                "number": layer.number,
                "digest": layer.digest,
                "diffId": layer.diff_id,
                "createdBy": layer.created_by,
                "size": layer.size,
                "compressedSize": layer.compressed_size,
                "wastedSize": layer.wasted_size,
                "files": layer.files,
            }
            for layer in image.layers
        ],
        "directories": [{"path": path, "size": size} for path, size in _directories(image, top)],
        "files": [{"path": file.path, "size": file.size, "layer": file.layer} for file in _largest(image, top)],
        "wasted": [
            {"path": w.path, "size": w.size, "layer": w.layer, "hiddenBy": w.hidden_by, "how": w.how}
            for w in image.wasted[:top]
        ],
        "budgets": [
            {"budget": b.budget, "limit": b.limit, "allowed": b.allowed, "actual": b.actual} for b in report.breaches
        ],
        "measure": report.measure,
    }
    if grown is not None:
        value["growth"] = {
            "against": grown.against,
            "before": grown.before,
            "after": grown.after,
            "change": grown.change,
            "percent": round(grown.percent, 3) if grown.before else None,
            "paths": [{"path": p.path, "before": p.before, "after": p.after} for p in grown.paths[:top]],
        }
    return json.dumps(value, indent=2) + "\n"


def _summary(image: ImageSize) -> str:
    layers = f"{len(image.layers)} layer{'' if len(image.layers) == 1 else 's'}"
    return (
        f"{human_size(image.size)} in {layers}, {human_size(image.compressed_size)} compressed; "
        f"{human_size(image.wasted_size)} wasted, efficiency {100 * image.efficiency:.1f} %"
    )


def _directories(image: ImageSize, top: int) -> list[tuple[str, int]]:
    return sorted(image.directories().items(), key=lambda pair: (-pair[1], pair[0]))[:top]


def _largest(image: ImageSize, top: int) -> list[FileSize]:
    return sorted(image.files, key=lambda file: (-file.size, file.path))[:top]


def _sections(report: SizeReport, top: int) -> list[tuple[str, list[list[str]]]]:
    """Title, head and rows of every table that has rows."""
    image = report.image
    sections: list[tuple[str, list[list[str]]]] = []

    def add(title: str, head: Sequence[str], rows: list[list[str]]) -> None:
        if rows:
            sections.append((title, [list(head), *rows]))

    if report.growth is not None:
        grown = report.growth
        percent = f"{grown.percent:+.1f} %" if grown.before else "from nothing"
        title = (
            f"Against {visible(grown.against)}: {human_size(grown.before)} -> {human_size(grown.after)}, "
            f"{_signed(grown.change)} ({percent})"
        )
        paths = [p for p in grown.paths if p.change > 0][:top]
        rows = [[p.path, _was(p.before), human_size(p.after), _signed(p.change)] for p in paths]
        add(title, ("GREW", "BEFORE", "AFTER", "CHANGE"), rows or [["-", "", "", ""]])
    layers = [
        [
            str(layer.number),
            human_size(layer.size),
            human_size(layer.compressed_size),
            human_size(layer.wasted_size),
            layer.created_by[:_INSTRUCTION] + ("…" if len(layer.created_by) > _INSTRUCTION else ""),
        ]
        for layer in image.layers
    ]
    add("Layers", ("LAYER", "SIZE", "COMPRESSED", "WASTED", "CREATED BY"), layers)
    add("Directories", ("SIZE", "PATH"), [[human_size(size), path] for path, size in _directories(image, top)])
    add(
        "Largest files",
        ("SIZE", "LAYER", "PATH"),
        [[human_size(file.size), str(file.layer), file.path] for file in _largest(image, top)],
    )
    wasted = [[human_size(w.size), str(w.layer), f"{w.how} in {w.hidden_by}", w.path] for w in image.wasted[:top]]
    add("Wasted", ("SIZE", "LAYER", "HIDDEN", "PATH"), wasted)
    return sections


def _was(size: int) -> str:
    return human_size(size) if size else "-"


def _signed(size: int) -> str:
    return f"{'-' if size < 0 else '+'}{human_size(abs(size))}"


def _breach(breach: Breach, report: SizeReport) -> str:
    what = "compressed size" if report.measure == "compressed" else "size"
    if breach.budget == "max-size":
        return f"over budget: the {what} is {human_size(breach.actual)}, and --max-size is {breach.limit}"
    allowed = f" ({human_size(breach.allowed)})" if breach.limit.endswith("%") else ""
    return f"over budget: the {what} grew by {human_size(breach.actual)}, and --max-growth is {breach.limit}{allowed}"
