"""Annotations and where they go: into a manifest, an index, or the descriptor by which something else points at one.

Spec: image-spec annotations.md; the spellings are buildx's (`--annotation`) and BuildKit's (`--output`,
docs/annotations.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, cast, get_args

from pyoci.errors import UsageError
from pyoci.platforms import Platform, normalized, parse_platform
from pyoci.regex import regex
from pyoci.values import dataclass

__all__ = [
    "Annotation",
    "AnnotationTarget",
    "annotation_attributes",
    "check_annotations",
    "chosen",
    "parse_annotations",
]

AnnotationTarget = Literal["manifest", "manifest-descriptor", "index", "index-descriptor"]

_TARGETS = get_args(AnnotationTarget)
_PREFIX = regex(r"([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?")
_ATTRIBUTE = regex(r"annotation(?:-([a-z-]+))?(?:\[([A-Za-z0-9_/-]+)\])?\.(\S+)")
_HINT = f"the prefixes are {', '.join(_TARGETS)}; a platform stands in brackets: manifest[linux/arm64]:KEY=VALUE"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One key with its value, and where it is wanted."""

    target: AnnotationTarget
    platform: Platform | None
    """Of the image that it is about; None means every one."""
    key: str
    value: str


def parse_annotations(given: Mapping[str, str]) -> tuple[Annotation, ...]:
    """What `--annotation` asks for: `KEY` is the manifest's, `TYPE[PLATFORM],TYPE:KEY` says where else it belongs.

    Raises:
        UsageError: there is no such type or platform.
    """
    found = []
    for name, value in given.items():
        prefixes, colon, key = name.partition(":")
        if not colon:
            found.append(Annotation("manifest", None, name, value))
            continue
        for prefix in prefixes.split(","):
            matched = _PREFIX.fullmatch(prefix)
            if matched is None:
                raise UsageError(
                    f'invalid annotation type "{prefix}", expected type and optional platform in square brackets',
                    hint=_HINT,
                )
            found.append(_annotation(matched[1], matched[2], key, value))
    return tuple(found)


def annotation_attributes(attributes: Mapping[str, str]) -> tuple[tuple[Annotation, ...], dict[str, str]]:
    """The annotations among the attributes of an output (`annotation-index.KEY`), and the other attributes.

    Raises:
        UsageError: there is no such type or platform.
    """
    found, others = [], {}
    for name, value in attributes.items():
        matched = _ATTRIBUTE.fullmatch(name)
        if matched is None:
            others[name] = value
        else:
            found.append(_annotation(matched[1] or "manifest", matched[2], matched[3], value))
    return tuple(found), others


def _annotation(target: str, platform: str | None, key: str, value: str) -> Annotation:
    if target not in _TARGETS:
        raise UsageError(f'unknown annotation type "{target}"', hint=_HINT)
    return Annotation(cast("AnnotationTarget", target), parse_platform(platform) if platform else None, key, value)


def check_annotations(
    annotations: Iterable[Annotation], platforms: Iterable[Platform], *, docker_types: bool, indexed: bool
) -> None:
    """Refuses what an image for these platforms has no place for, as BuildKit does.

    Raises:
        UsageError: it is about a platform that is not built, or about an index where there is none.
    """
    built = [normalized(platform) for platform in platforms]
    for one in annotations:
        if one.platform is not None and one.platform not in built:
            raise UsageError(
                f'invalid annotation "{one.key}": no platform {one.platform} is built',
                hint=f"what is built: {', '.join(map(str, built))}",
            )
        if docker_types and one.target != "manifest":
            raise UsageError(
                f'annotation "{one.key}" of the {one.target}: docker\'s media types have no place for it',
                hint="leave out oci-mediatypes=false",
            )
        if one.target.startswith("index") and len(built) == 1 and not indexed:
            raise UsageError(
                f'annotation "{one.key}" of the {one.target}: an image for a single platform has no index',
                hint="write manifest: or manifest-descriptor:, or build for several platforms",
            )


def chosen(
    annotations: Iterable[Annotation], target: AnnotationTarget, platform: Platform | None = None
) -> dict[str, str]:
    """Keys and values for one place; those that name its platform come after, and so before, those that name none."""
    mine = [one for one in annotations if one.target == target]
    general = {one.key: one.value for one in mine if one.platform is None or target.startswith("index")}
    if platform is None:
        return general
    here = normalized(platform)
    return general | {one.key: one.value for one in mine if one.platform == here}
