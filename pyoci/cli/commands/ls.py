"""`pyoci ls`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import add_connection, working

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The repository."""
    parser.add_argument("repository", metavar="REPOSITORY", help="name without tag, such as registry.example.com/app")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints a tag per line, as they come."""
    from pyoci.api.repositories import list_tags

    with working(arguments) as options:
        for tag in list_tags(arguments.repository, options=options):
            sys.stdout.write(f"{tag}\n")
    return 0
