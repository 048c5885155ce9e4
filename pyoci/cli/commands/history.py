"""`pyoci history`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from pyoci.cli.arguments import IMAGE_HELP, add_connection, add_platform, working

if TYPE_CHECKING:
    from pyoci.api.history import ImageHistory
    from pyoci.inspection.history import HistoryRow

__all__ = ["add_arguments", "run"]

_SHOWN = 45
_MISSING = "<missing>"
_EPOCH = "1970-01-01"
_TRUE = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker history."""
    add = parser.add_argument
    add("image", metavar="IMAGE", help=IMAGE_HELP)
    add("--no-trunc", action="store_true", help="show whole IDs and instructions")
    add("-q", "--quiet", action="store_true", help="print IDs alone")
    add("--format", default="table", metavar="FORMAT", help="table, json (an object per line), or a template")
    add(
        "-H",
        "--human",
        nargs="?",
        const="true",
        default="true",
        choices=sorted(_TRUE),
        help="sizes and times to be read by people (default: true; --human=false prints bytes and RFC 3339)",
    )
    add_platform(parser)
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints a row per instruction, the newest first, as docker does."""
    from pyoci.api.history import history
    from pyoci.cli.commands.images import table
    from pyoci.cli.templates import filled

    with working(arguments) as options:
        found = history(arguments.image, platform=arguments.platform, options=options)
        now = options.environment.now
    human = _TRUE[arguments.human]
    rows = [
        _fields(found, number, row, now, human=human, whole=arguments.no_trunc) for number, row in enumerate(found.rows)
    ]
    template = arguments.format.removeprefix("table ") if arguments.format.startswith("table ") else ""
    if arguments.quiet:
        lines = [str(row["ID"]) for row in rows]
    elif arguments.format == "json":
        lines = [json.dumps(row) for row in rows]
    elif arguments.format == "table":
        created = "CreatedSince" if human else "CreatedAt"
        columns = ["ID", created, "CreatedBy", "Size", "Comment"]
        titles = ["IMAGE", "CREATED" if human else "CREATED AT", "CREATED BY", "SIZE", "COMMENT"]
        cells = [filled("\0".join(f"{{{{.{name}}}}}" for name in columns), row).split("\0") for row in rows]
        sys.stdout.write(table([titles, *cells]))
        return 0
    else:
        lines = [filled(template or arguments.format, row) for row in rows]
        if template:
            titles_of = dict.fromkeys(rows[0] if rows else (), "") | {"ID": "IMAGE", "CreatedSince": "CREATED"}
            heads = {name: title or _title(name) for name, title in titles_of.items()}
            lines = [row.rstrip("\n") for row in [filled(template, heads), *lines]]
            sys.stdout.write(table(_even([line.split("\t") for line in lines])))
            return 0
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _title(name: str) -> str:
    return "".join(f" {sign}" if sign.isupper() and at else sign for at, sign in enumerate(name)).upper()


def _even(rows: list[list[str]]) -> list[list[str]]:
    """Rows of one length."""
    widest = max(map(len, rows))
    return [row + [""] * (widest - len(row)) for row in rows]


def _fields(
    found: ImageHistory, number: int, row: HistoryRow, now: int, *, human: bool, whole: bool
) -> dict[str, object]:
    """A row by the names that docker's templates have, and some of our own behind them."""
    from pyoci.cli.commands.images import ago
    from pyoci.cli.progress import human_size

    identifier = found.image_id if whole else found.image_id.partition(":")[2][:12]
    words = row.created_by.replace("\t", " ")
    if not whole and len(words) > _SHOWN:
        words = words[: _SHOWN - 1] + "…"
    size = human_size(row.size.size) if human else str(row.size.size)
    is_epoch = (row.created or "").startswith(f"{_EPOCH}T00:00:00")
    return {
        "ID": identifier if number == 0 else _MISSING,
        "CreatedSince": _EPOCH if is_epoch else ago(row.created, now),
        "CreatedAt": row.created or "N/A",
        "CreatedBy": words,
        "Size": f"{size} compressed" if row.size.is_compressed else size,
        "Comment": row.comment,
        "Author": row.author,
        "Layer": row.layer,
        "Digest": row.digest or "",
        "DiffID": row.diff_id or "",
        "SizeBytes": row.size.size,
        "SizeIsCompressed": row.size.is_compressed,
    }
