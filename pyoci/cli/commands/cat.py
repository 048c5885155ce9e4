"""`pyoci cat`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import IMAGE_HELP, add_looking, working

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Image and paths."""
    parser.add_argument("image", metavar="IMAGE", help=IMAGE_HELP)
    parser.add_argument("path", nargs="+", metavar="PATH", help="file in the image; symbolic links are followed in it")
    add_looking(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the bytes of the files as they are, one after the other."""
    from pyoci.api.files import read_file

    with working(arguments) as options:
        for piece in read_file(arguments.image, *arguments.path, platform=arguments.platform, options=options):
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    return 0
