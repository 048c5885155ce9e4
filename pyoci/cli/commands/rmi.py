"""`pyoci rmi`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import working

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker rmi."""
    parser.add_argument("image", nargs="+", metavar="IMAGE", help="name or ID")


def run(arguments: argparse.Namespace) -> int:
    """Prints what was untagged and deleted, as docker does."""
    from pyoci.api.images import remove

    with working(arguments) as options:
        for name in arguments.image:
            for line in remove(name, options=options):
                sys.stdout.write(line + "\n")
    return 0
