"""`pyoci copy`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import add_connection, add_progress, working

__all__ = ["add_arguments", "run"]

_PLACES = """\
places:
  NAME[:TAG|@DIGEST]              an image of a registry
  store:NAME[:TAG]                an image of the store
  oci-layout:DIR[:NAME]           a directory with an OCI layout
  oci-archive:FILE[:NAME]         the same as a tar
  docker-archive:FILE[:NAME]      for docker load, or from docker save

A NAME without a prefix is always a registry's. The NAME in a layout or archive is a tag or a whole name; without it, an
image keeps the name that it has.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Source, destination and platform."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _PLACES
    parser.add_argument("source", metavar="SOURCE", help="where the image is")
    parser.add_argument("destination", metavar="DESTINATION", help="where it goes")
    parser.add_argument(
        "--platform", default="", metavar="OS/ARCH", help="copy this image of an index (default: all that it has)"
    )
    parser.add_argument(
        "-r", "--referrers", action="store_true", help="copy what refers to it as well: signatures, SBOMs, attestations"
    )
    parser.add_argument(
        "--digest-tags",
        action="store_true",
        help="copy what tags attach to it as well: sha256-HEX.sig, .att and .sbom of cosign, and others of that form",
    )
    add_progress(parser)
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the digest."""
    from pyoci.api.copying import copy

    with working(arguments) as options:
        digest = copy(
            arguments.source,
            arguments.destination,
            platform=arguments.platform,
            referrers=arguments.referrers,
            digest_tags=arguments.digest_tags,
            options=options,
        )
    sys.stdout.write(f"{digest}\n")
    return 0
