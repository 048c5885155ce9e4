"""`pyoci history`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyoci.cli.arguments import IMAGE_HELP, add_looking, working

if TYPE_CHECKING:
    from pyoci.api.history import ImageHistory
    from pyoci.inspection.history import HistoryRow

__all__ = ["add_arguments", "run"]

_SHOWN = 45
_MISSING = "<missing>"
_EPOCH = "1970-01-01"
_TABLE = "{{{{.ID}}}}\\t{{{{.{}}}}}\\t{{{{.CreatedBy}}}}\\t{{{{.Size}}}}\\t{{{{.Comment}}}}"
_TITLES = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
    "Author": "AUTHOR",
    "Layer": "LAYER",
    "Digest": "DIGEST",
    "DiffID": "DIFF ID",
    "SizeBytes": "BYTES",
    "SizeIsCompressed": "COMPRESSED",
}
"""What `_fields` has, as the head of a table."""
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
    add_looking(parser)


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
    form = arguments.format
    if arguments.quiet:
        lines = [str(row["ID"]) for row in rows]
    elif form == "json":
        lines = [json.dumps(row) for row in rows]
    elif form == "table" or form.startswith("table "):
        template = form.removeprefix("table").strip() or _TABLE.format("CreatedSince" if human else "CreatedAt")
        shown: list[Mapping[str, object]] = [_TITLES, *rows]
        cells = [filled(template, row).split("\t") for row in shown]
        sys.stdout.write(table(cells))
        return 0
    else:
        lines = [filled(form, row) for row in rows]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


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
