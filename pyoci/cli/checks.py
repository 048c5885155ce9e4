"""What `--check` and `--call` print: findings, outlines and targets, as docker buildx prints them, or as its JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pyoci.dockerfile.findings import Finding
from pyoci.dockerfile.outline import Outline, OutlineNeed, Target
from pyoci.location import Location

__all__ = [
    "findings_as_json",
    "findings_as_text",
    "outline_as_json",
    "outline_as_text",
    "targets_as_json",
    "targets_as_text",
]


def _excerpt(location: Location, lines: tuple[int, int]) -> list[str]:
    """The lines of a finding with two around, the finding's own marked."""
    first, last = lines
    count = location.source.text.count("\n") + 1
    shown = range(max(1, first - 2), min(count, last + 2) + 1)
    text = [f"{n:4} | {'>>>' if first <= n <= last else '   '} {location.source.line(n)}" for n in shown]
    while text and text[-1].endswith("|     "):
        text.pop()
    return ["--------------------", *text, "--------------------"]


def findings_as_text(findings: Sequence[Finding]) -> str:
    """Each finding with its lines; what was found in all."""
    if not findings:
        return "Check complete, no warnings found.\n"
    count = len(findings)
    lines = [f"Check complete, {count} warning{'s have' if count > 1 else ' has'} been found!", ""]
    for finding in findings:
        lines.append(f"WARNING: {finding.rule.name} - {finding.rule.description}")
        lines.append(finding.message)
        lines.append(f"{finding.location.source.name}:{finding.lines[0]}")
        lines.extend(_excerpt(finding.location, finding.lines))
        lines.append("")
    return "\n".join(lines)


def _place(first: int, last: int) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": first}, "end": {"line": last}}]}


def findings_as_json(findings: Sequence[Finding]) -> str:
    """The `lint` result of BuildKit's frontend."""
    warnings = [
        {
            "ruleName": finding.rule.name,
            "description": finding.rule.description,
            "detail": finding.message,
            "location": _place(*finding.lines),
        }
        for finding in findings
    ]
    return json.dumps({"warnings": warnings}, indent=2) + "\n"


def _table(title: str, rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [title, *text, ""] if title else [*text, ""]


def outline_as_text(outline: Outline) -> str:
    """Target, arguments, secrets and agents as tables."""
    lines = [f"TARGET:      {outline.name or '(last stage)'}"]
    if outline.description:
        lines.append(f"DESCRIPTION: {outline.description}")
    lines.append("")
    if outline.args:
        rows = [["BUILD ARG", "VALUE", "DESCRIPTION"], *([a.name, a.value, a.description] for a in outline.args)]
        lines.extend(_table("", rows))
    for title, needs in (("SECRET", outline.secrets), ("SSH", outline.ssh)):
        if needs:
            lines.extend(_table("", [[title, "REQUIRED"], *([n.id, "true" if n.required else ""] for n in needs)]))
    return "\n".join(lines)


def outline_as_json(outline: Outline) -> str:
    """The `outline` result of BuildKit's frontend."""

    def need(entry: OutlineNeed) -> dict[str, Any]:
        return {"name": entry.id, "required": entry.required, "location": _at(entry.location)}

    value: dict[str, Any] = {"name": outline.name or "", "description": outline.description}
    value["args"] = [
        {"name": a.name, "value": a.value, "description": a.description, "location": _at(a.location)}
        for a in outline.args
    ]
    value["secrets"] = [need(entry) for entry in outline.secrets]
    value["ssh"] = [need(entry) for entry in outline.ssh]
    return json.dumps({key: found for key, found in value.items() if found}, indent=2) + "\n"


def _at(location: Location) -> dict[str, Any]:
    return _place(location.line, location.last_line)


def targets_as_text(targets: Sequence[Target]) -> str:
    """The stages as a table."""
    rows = [["TARGET", "DESCRIPTION"]]
    for target in targets:
        name = target.name or "(unnamed)"
        rows.append([f"{name} (default)" if target.is_default else name, target.description])
    return "\n".join(_table("", rows))


def targets_as_json(targets: Sequence[Target]) -> str:
    """The `targets` result of BuildKit's frontend."""
    value = [
        {
            "name": target.name or "",
            "description": target.description,
            "default": target.is_default,
            "base": target.base,
            "platform": target.platform or "",
            "location": _at(target.location),
        }
        for target in targets
    ]
    kept = [{key: found for key, found in entry.items() if found not in ("", False)} for entry in value]
    return json.dumps({"targets": kept}, indent=2) + "\n"
