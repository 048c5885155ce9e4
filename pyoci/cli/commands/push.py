"""`pyoci push`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import add_connection, add_progress, working

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker push."""
    parser.add_argument("image", metavar="NAME[:TAG]")
    add_progress(parser)
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the digest."""
    from pyoci.api.transfer import push

    with working(arguments) as options:
        digest = push(arguments.image, options=options)
    sys.stdout.write(f"{digest}\n")
    return 0
