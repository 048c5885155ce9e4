"""`pyoci tag`."""

from __future__ import annotations

import argparse

from pyoci.cli.arguments import working

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of docker tag."""
    parser.add_argument("source", metavar="SOURCE", help="name or ID")
    parser.add_argument("target", metavar="TARGET[:TAG]", help="new name")


def run(arguments: argparse.Namespace) -> int:
    """Prints nothing."""
    from pyoci.api.images import tag

    with working(arguments) as options:
        tag(arguments.source, arguments.target, options=options)
    return 0
