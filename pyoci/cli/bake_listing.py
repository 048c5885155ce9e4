"""What `pyoci bake --list` shows: targets with their groups, or variables; a table or JSON, as buildx shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyoci.cli.arguments import key_values
from pyoci.errors import UsageError

if TYPE_CHECKING:
    from pyoci.bake.read import BakeFile
    from pyoci.bake.values import Value

__all__ = ["listing"]

_TAB = 8


def listing(text: str, found: BakeFile) -> str:
    """What `--list text` shows.

    Raises:
        UsageError: it names nothing that can be listed, or no format.
    """
    values = {"type": text} if "=" not in text else key_values(text, "--list")
    shown = values.pop("format", "table")
    kind = values.pop("type", "")
    if values or shown not in ("table", "json") or kind not in ("targets", "variables"):
        raise UsageError(
            f'invalid value "{text}" for --list', hint="write --list targets, or type=variables,format=json"
        )
    rows = _variables(found) if kind == "variables" else _targets(found)
    if shown == "json":
        from pyoci.bake.render import render_json

        shown_rows = [{key: one for key, one in row.items() if one or (key, one) == ("value", "")} for row in rows]
        return render_json(shown_rows) + "\n"
    columns = ("name", "type", "value", "description") if kind == "variables" else ("name", "description")
    head = ["VARIABLE", "TYPE", "VALUE", "DESCRIPTION"] if kind == "variables" else ["TARGET", "DESCRIPTION"]
    return _table([head, *([_cell(row.get(key, "")) for key in columns] for row in rows)])


def _cell(value: object) -> str:
    return "<null>" if value is None else str(value)


def _targets(found: BakeFile) -> list[dict[str, Any]]:
    groups, targets = found.definitions.groups, found.definitions.targets
    rows: list[dict[str, Any]] = []
    for name, target in targets.items():
        rows.append({"name": name, "description": target.description or ""})
    for name, group in groups.items():
        members = ", ".join(sorted(group.targets))
        about = f"{group.description} ({members})" if group.description and members else group.description or members
        rows.append({"name": name, "description": about, "group": True})
    return sorted((row for row in rows if not row["name"].startswith("_")), key=lambda row: str(row["name"]))


def _variables(found: BakeFile) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "description": one.description, "type": one.type, "value": _shown(one.value)}
        for one in found.variables
    ]


def _shown(value: Value) -> str | None:
    from pyoci.bake.values import as_text, json_text

    if value is None:
        return None
    return as_text(value) if isinstance(value, str | bool | int | float) else json_text(value)


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns at tab stops, tabs between, as Go's text/tabwriter sets them."""
    stops = [-(-(max(len(row[i]) for row in rows) + 1) // _TAB) for i in range(len(rows[0]) - 1)]
    lines = []
    for *cells, last in rows:
        padded = [cell + "\t" * (stop - len(cell) // _TAB) for cell, stop in zip(cells, stops, strict=True)]
        lines.append("".join(padded) + last + "\n")
    return "".join(lines)
