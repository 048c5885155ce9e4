"""`pyoci pull`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import add_connection, add_progress, working

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker pull."""
    parser.add_argument("image", metavar="NAME[:TAG|@DIGEST]")
    parser.add_argument("--platform", default="", metavar="OS/ARCH", help="platform to fetch (default: this machine's)")
    parser.add_argument("--all-platforms", action="store_true", help="fetch every platform of an index")
    add_progress(parser)
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the digest."""
    from pyoci.api.transfer import pull

    with working(arguments) as options:
        digest = pull(
            arguments.image, platform=arguments.platform, all_platforms=arguments.all_platforms, options=options
        )
    sys.stdout.write(f"{digest}\n")
    return 0
