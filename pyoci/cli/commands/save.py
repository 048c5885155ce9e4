"""`pyoci save`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import add_progress, working
from pyoci.errors import UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker save, and `--format` as podman has it."""
    parser.add_argument("image", nargs="+", metavar="IMAGE", help="name or ID")
    parser.add_argument("-o", "--output", metavar="FILE", help="archive to write (default: stdout)")
    parser.add_argument("--format", choices=("docker", "oci"), default="docker", help="kind of archive")
    parser.add_argument(
        "--platform", default="", metavar="OS/ARCH", help="this one of several (default: all there are)"
    )
    add_progress(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the archive."""
    from pyoci.api.transfer import save

    if not arguments.output and sys.stdout.isatty():
        raise UsageError("cowardly refusing to save to a terminal", hint="use -o FILE, or redirect the output")
    with working(arguments) as options:
        save(
            arguments.image,
            arguments.output or "-",
            format=arguments.format,
            platform=arguments.platform,
            options=options,
        )
    return 0
