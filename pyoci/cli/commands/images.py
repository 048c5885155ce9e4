"""`pyoci images`."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

from pyoci.cli.arguments import working
from pyoci.cli.progress import human_size

__all__ = ["add_arguments", "ago", "run", "table"]

_COLUMNS = ("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker images."""
    parser.add_argument("repository", nargs="?", metavar="REPOSITORY[:TAG]", help="show only these")
    parser.add_argument("-q", "--quiet", action="store_true", help="print IDs alone")
    parser.add_argument("--digests", action="store_true", help="show the digests as well")
    parser.add_argument("--no-trunc", action="store_true", help="show whole IDs")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="table, or a JSON object per line")


def run(arguments: argparse.Namespace) -> int:
    """Prints a table as docker prints it."""
    from pyoci.api.images import images
    from pyoci.reference import parse_reference

    with working(arguments) as options:
        found = images(options=options)
        now = options.environment.now
    if arguments.repository:
        wanted = parse_reference(arguments.repository, default_tag=None)
        found = [
            row
            for row in found
            if row.reference.name == wanted.name and (wanted.tag is None or wanted.tag == row.reference.tag)
        ]
    rows = []
    for row in found:
        identifier = row.image_id if arguments.no_trunc else row.image_id.partition(":")[2][:12]
        if arguments.quiet:
            sys.stdout.write(f"{identifier}\n")
            continue
        tag = row.reference.tag or "<none>"
        cells = [row.reference.familiar_name, tag, identifier, ago(row.created, now), human_size(row.size)]
        if arguments.digests:
            cells.insert(2, row.root.digest)
        rows.append(cells)
    if arguments.quiet:
        return 0
    columns = list(_COLUMNS)
    if arguments.digests:
        columns.insert(2, "DIGEST")
    if arguments.format == "json":
        for cells in rows:
            sys.stdout.write(json.dumps(dict(zip(columns, cells, strict=True))) + "\n")
        return 0
    sys.stdout.write(table([columns, *rows]))
    return 0


def table(rows: list[list[str]]) -> str:
    """Rows as columns, three spaces apart, as docker's tables are."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "".join(line.rstrip() + "\n" for line in lines)


def ago(created: str | None, now: int) -> str:
    """How long ago a time was, in docker's words; `N/A` for none."""
    if not created:
        return "N/A"
    try:
        then = datetime.fromisoformat(created.replace("Z", "+00:00"))
    except ValueError:
        return "N/A"
    seconds = int((datetime.fromtimestamp(now, UTC) - then).total_seconds())
    for limit, size, name in (
        (60, 1, "second"),
        (46 * 60, 60, "minute"),
        (48 * 3600, 3600, "hour"),
        (14 * 86400, 86400, "day"),
        (60 * 86400, 7 * 86400, "week"),
        (730 * 86400, 30 * 86400, "month"),
    ):
        if seconds < limit:
            count = max(seconds // size, 0)
            if name == "second" and count < 1:
                return "Less than a second ago"
            if count == 1 and name in ("minute", "hour"):
                return "About a minute ago" if name == "minute" else "About an hour ago"
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return f"{seconds // (365 * 86400)} years ago"
