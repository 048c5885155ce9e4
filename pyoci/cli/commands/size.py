"""`pyoci size`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import IMAGE_HELP, add_looking, working
from pyoci.errors import UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is measured, how it is shown, and budgets."""
    add = parser.add_argument
    add("image", metavar="IMAGE", help=IMAGE_HELP)
    add("--top", type=int, default=10, metavar="N", help="rows of each table (default: 10)")
    add("--max-size", default="", metavar="SIZE", help="exit with 1 if the image is larger: 20MB, 19.5MiB, bytes")
    add("--max-growth", default="", metavar="GROWTH", help="exit with 1 if it grew by more: 5%%, 2MB")
    add("--against", default="", metavar="IMAGE", help="what it grew from; what grew is shown")
    add("--compressed", action="store_true", help="hold the compressed size against the budgets, not that of the files")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown, for a comment in CI")
    add("--html", metavar="FILE", help="write a page with a treemap that needs nothing but a browser")
    add_looking(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints where the bytes are; exit status 1 if a budget is exceeded."""
    from pyoci.api.size import size
    from pyoci.cli.size_report import size_json, size_markdown, size_text

    if arguments.top < 0:
        raise UsageError(f"invalid number {arguments.top} for --top", hint="write how many rows to show")
    with working(arguments) as options:
        report = size(
            arguments.image,
            against=arguments.against,
            max_size=arguments.max_size,
            max_growth=arguments.max_growth,
            compressed=arguments.compressed,
            platform=arguments.platform,
            options=options,
        )
    if arguments.html:
        from pyoci.cli.outputs import write_result
        from pyoci.inspection.treemap import treemap_html

        write_result(arguments.html, treemap_html(report.image))
    shown = size_json if arguments.json else size_markdown if arguments.markdown else size_text
    sys.stdout.write(shown(report, arguments.top))
    return 1 if report.breaches else 0
