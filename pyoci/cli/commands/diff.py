"""`pyoci diff`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import IMAGE_HELP, add_looking, working

__all__ = ["add_arguments", "run"]

_EPILOG = """\
A is what was added, C what changed, D what was removed. As with git diff, the exit status is 0 whatever is found,
unless --exit-code or --quiet is given: then it is 1 where the images differ. Images whose times, history or way of
being cut into layers alone differ do not.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two images, and how to show what differs."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("before", metavar="A", help=IMAGE_HELP)
    add("after", metavar="B", help="what it is compared with")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown, for a comment in CI")
    form.add_argument("-q", "--quiet", action="store_true", help="print nothing; exit with 1 if the images differ")
    add("--exit-code", action="store_true", help="exit with 1 if the images differ")
    add("--layers", action="store_true", help="show which layers are shared as well")
    add("--times", action="store_true", help="count times as well: of files, and of creation")
    add_looking(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what differs."""
    from pyoci.api.diff import diff
    from pyoci.cli.diff_report import diff_json, diff_markdown, diff_text

    with working(arguments) as options:
        found = diff(
            arguments.before,
            arguments.after,
            times=arguments.times,
            platform=arguments.platform,
            options=options,
        )
    if arguments.json:
        sys.stdout.write(diff_json(found))
    elif arguments.markdown:
        sys.stdout.write(diff_markdown(found, layers=arguments.layers))
    elif not arguments.quiet:
        sys.stdout.write(diff_text(found, layers=arguments.layers))
    return int(found.is_different and (arguments.quiet or arguments.exit_code))
