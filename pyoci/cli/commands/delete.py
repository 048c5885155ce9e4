"""`pyoci delete`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import add_connection, working

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to delete."""
    parser.add_argument(
        "name", nargs="+", metavar="NAME:TAG|NAME@DIGEST", help="a tag, or a manifest with all the tags that it has"
    )
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what is gone, as docker rmi does."""
    from pyoci.api.repositories import delete

    with working(arguments) as options:
        for name in arguments.name:
            delete(name, options=options)
            sys.stdout.write(f"{'Deleted' if '@' in name else 'Untagged'}: {name}\n")
    return 0
