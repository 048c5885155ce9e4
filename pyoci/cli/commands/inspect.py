"""`pyoci inspect`."""

from __future__ import annotations

import argparse
import json
import sys

from pyoci.cli.arguments import working

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker image inspect, and `--validate`."""
    parser.add_argument("image", nargs="+", metavar="IMAGE", help="name or ID")
    parser.add_argument(
        "--validate", action="store_true", help="hold the image against image-spec's schemas and its own digests"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints a JSON array."""
    from pyoci.api.images import inspect

    with working(arguments) as options:
        found = [inspect(name, validate=arguments.validate, options=options) for name in arguments.image]
    shown = json.dumps(found, indent=4, ensure_ascii=False)
    # Outside of its strings JSON is printable but for line ends, so whatever else there is can be escaped.
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in shown) + "\n")
    return 0
