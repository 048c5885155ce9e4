"""`pyoci prune`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import working
from pyoci.cli.progress import human_size

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker builder prune, as far as they mean something here."""
    parser.add_argument("-a", "--all", action="store_true", help="remove the build cache and cache mounts too")


def run(arguments: argparse.Namespace) -> int:
    """Prints how much was freed."""
    from pyoci.api.images import prune

    with working(arguments) as options:
        removed = prune(everything=arguments.all, options=options)
    sys.stdout.write(f"Total reclaimed space: {human_size(removed.bytes)}\n")
    return 0
