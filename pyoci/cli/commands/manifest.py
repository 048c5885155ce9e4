"""`pyoci manifest create|annotate|inspect|push|referrers`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, TypeAlias

from pyoci.cli.arguments import add_connection, add_progress, key_value, working

if TYPE_CHECKING:
    _Verbs: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_arguments", "run"]

_PLACES = (
    "IMAGE: NAME asks its registry, store:NAME takes that of the store; oci-layout:, oci-archive: and docker-archive: "
    "as in pyoci copy."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A parser for each verb of docker manifest."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|annotate|inspect|push|referrers")

    create = _verb(verbs, "create", "Make an index of images in the store")
    create.add_argument("list", metavar="LIST", help="name of the index")
    create.add_argument("image", nargs="+", metavar="IMAGE", help="images, or indexes whose images are taken over")
    create.add_argument("-a", "--amend", action="store_true", help="add to an index that is there")
    _annotation(create, "of the index")

    annotate = _verb(verbs, "annotate", "Say more about an image of an index")
    annotate.add_argument("list", metavar="LIST", help="name of the index in the store")
    annotate.add_argument("image", metavar="IMAGE", help="one of its images, or the digest of one")
    annotate.add_argument("--os", default="", help="operating system")
    annotate.add_argument("--arch", default="", help="architecture")
    annotate.add_argument("--variant", default="", help="variant of the architecture")
    annotate.add_argument("--os-version", default="", metavar="VERSION", help="version of the operating system")
    annotate.add_argument("--os-features", action="append", default=[], metavar="A,B", help="features it must have")
    _annotation(annotate, "of the image in the index")

    inspect = _verb(verbs, "inspect", "Show a manifest or index as JSON")
    inspect.add_argument("image", metavar="IMAGE", help="an index that was made here and not pushed yet comes first")
    inspect.add_argument("--raw", action="store_true", help="print its exact bytes")

    referrers = _verb(verbs, "referrers", "List what refers to an image: signatures, SBOMs, attestations")
    referrers.add_argument("image", metavar="IMAGE", help="an image, or an index: what refers to its images is apart")
    referrers.add_argument("--artifact-type", default="", metavar="TYPE", help="only those of this type")
    referrers.add_argument("--platform", default="", metavar="OS/ARCH", help="of an index, the image for a platform")
    referrers.add_argument("--json", action="store_true", help="print an index of them, as registries list them")

    push = _verb(verbs, "push", "Send an index and all its images to a registry")
    push.add_argument("list", metavar="LIST", help="name of the index in the store")
    push.add_argument("-p", "--purge", action="store_true", help="take its name out of the store afterwards")
    add_progress(push)


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=summary, description=f"{summary}.", epilog=_PLACES, allow_abbrev=False)
    parser.add_argument("--store", metavar="DIR", default=argparse.SUPPRESS, help="content store")
    add_connection(parser)
    return parser


def _annotation(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--annotation", action="append", default=[], metavar="KEY=VALUE", help=f"annotation {what}")


def run(arguments: argparse.Namespace) -> int:
    """Prints what docker prints."""
    match arguments.verb:
        case "create":
            return _create(arguments)
        case "annotate":
            return _annotate(arguments)
        case "inspect":
            return _inspect(arguments)
        case "referrers":
            return _referrers(arguments)
        case _:
            return _push(arguments)


def _create(arguments: argparse.Namespace) -> int:
    from pyoci.api.indexes import create_index
    from pyoci.reference import parse_reference

    annotations = dict(key_value(text, "--annotation") for text in arguments.annotation)
    with working(arguments) as options:
        create_index(arguments.list, arguments.image, amend=arguments.amend, annotations=annotations, options=options)
    sys.stdout.write(f"Created manifest list {parse_reference(arguments.list)}\n")
    return 0


def _annotate(arguments: argparse.Namespace) -> int:
    from pyoci.api.indexes import PlatformChange, annotate_index

    features = tuple(feature for text in arguments.os_features for feature in text.split(","))
    change = PlatformChange(arguments.os, arguments.arch, arguments.variant, arguments.os_version, features)
    annotations = dict(key_value(text, "--annotation") for text in arguments.annotation)
    with working(arguments) as options:
        annotate_index(arguments.list, arguments.image, change, annotations=annotations, options=options)
    return 0


def _inspect(arguments: argparse.Namespace) -> int:
    from pyoci.api.indexes import read_manifest

    with working(arguments) as options:
        raw, _ = read_manifest(arguments.image, options=options)
    if arguments.raw:
        sys.stdout.buffer.write(raw)
    else:
        sys.stdout.write(json.dumps(json.loads(raw), indent=3, ensure_ascii=False) + "\n")
    return 0


def _referrers(arguments: argparse.Namespace) -> int:
    from pyoci.api.repositories import list_referrers
    from pyoci.image import Index, encode_index

    with working(arguments) as options:
        found = list_referrers(
            arguments.image,
            artifact_type=arguments.artifact_type,
            platform=arguments.platform,
            options=options,
        )
    if arguments.json:
        sys.stdout.write(json.dumps(json.loads(encode_index(Index(found)).raw), indent=3, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{entry.digest} {entry.artifact_type or '-'}\n" for entry in found)
    return 0


def _push(arguments: argparse.Namespace) -> int:
    from pyoci.api.images import remove
    from pyoci.api.transfer import push

    with working(arguments) as options:
        digest = push(arguments.list, options=options)
        if arguments.purge:
            remove(arguments.list, options=options)
    sys.stdout.write(f"{digest}\n")
    return 0
