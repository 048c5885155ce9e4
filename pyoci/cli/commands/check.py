"""`pyoci check`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyoci.cli.arguments import IMAGE_HELP, add_connection, add_platform, add_progress, working

if TYPE_CHECKING:
    from pyoci.api.check import CheckedImage

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of check."""
    add = parser.add_argument
    add(
        "image",
        nargs="+",
        metavar="IMAGE",
        help=IMAGE_HELP,
    )
    add("--for", dest="audience", choices=("kubernetes",), default="", help="look for what Kubernetes minds as well")
    add("--skip", action="append", default=[], metavar="RULE", help="leave out a rule; may be repeated")
    add_platform(parser)
    add("--all-platforms", action="store_true", help="look at every platform of an index")
    add("--format", choices=("text", "json"), default="text", help="lines, or a JSON array")
    add_progress(parser)
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the findings; exit status 1 if one of them is an error."""
    from pyoci.api.check import check

    skip = [name for text in arguments.skip for name in text.split(",")]
    checked: list[CheckedImage] = []
    with working(arguments) as options:
        for name in arguments.image:
            checked += check(
                name,
                platform=arguments.platform,
                all_platforms=arguments.all_platforms,
                audience=arguments.audience,
                skip=skip,
                options=options,
            )
    if arguments.format == "json":
        sys.stdout.write(json.dumps([_value(each) for each in checked], indent=2) + "\n")
    else:
        sys.stdout.write(_text(checked, quiet=arguments.quiet))
    return 1 if any(each.has_errors for each in checked) else 0


def _value(checked: CheckedImage) -> dict[str, object]:
    return {
        "image": checked.name,
        "platform": str(checked.platform),
        "digest": checked.digest,
        "findings": [
            {name: getattr(found, name) for name in ("rule", "severity", "path", "message", "hint")}
            for found in checked.findings
        ],
    }


def _text(checked: Sequence[CheckedImage], *, quiet: bool) -> str:
    from pyoci.cli.render_error import visible

    lines: list[str] = []
    for each in checked:
        if len(checked) > 1:
            lines.append(f"{each.name} ({each.platform}):")
        for found in each.findings:
            if quiet and found.severity != "error":
                continue
            lines.append(f"{found.severity}: {visible(found.message)} ({found.rule})")
            if found.hint:
                lines.append(f"  hint: {visible(found.hint)}")
        if not quiet and not each.findings:
            lines.append("nothing found")
    return "".join(line + "\n" for line in lines)
