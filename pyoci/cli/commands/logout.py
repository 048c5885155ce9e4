"""`pyoci logout`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import working

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker logout."""
    parser.add_argument("registry", nargs="?", default="", metavar="REGISTRY", help="host[:port] (default: docker.io)")


def run(arguments: argparse.Namespace) -> int:
    """Says what docker says; not to have been logged in is no failure."""
    from pyoci.api.logins import logout

    registry = arguments.registry or "docker.io"
    with working(arguments) as options:
        found = logout(arguments.registry, options=options)
    sys.stdout.write(f"Removing login credentials for {registry}\n" if found else f"Not logged in to {registry}\n")
    return 0
