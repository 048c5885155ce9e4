"""`pyoci load`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import add_progress, working
from pyoci.reference import Reference

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker load."""
    parser.add_argument("-i", "--input", metavar="FILE", help="archive to read (default: stdin)")
    add_progress(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what was loaded, as docker does."""
    from pyoci.api.transfer import load

    with working(arguments) as options:
        source = arguments.input if arguments.input and arguments.input != "-" else sys.stdin.buffer
        loaded = load(source, options=options)
    for one in loaded:
        if isinstance(one, Reference):
            sys.stdout.write(f"Loaded image: {one.familiar}\n")
        else:
            sys.stdout.write(f"Loaded image ID: {one}\n")
    return 0
