"""Bytes to documents: strict, and naming the JSON path of what breaks the specification.

Holds the rules of image-spec's schemas (`image/schemas/`); a test holds the two against each other and lists where they
part and why.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from pyoci.digest import DiffID, parse_digest
from pyoci.errors import InvalidDocument
from pyoci.image import media_types
from pyoci.image.config import ContainerConfig, Healthcheck, History, ImageConfig
from pyoci.image.descriptor import Descriptor
from pyoci.image.document import Document, make_document
from pyoci.image.index import Index
from pyoci.image.json_node import JsonNode, read_object
from pyoci.image.manifest import Manifest
from pyoci.platforms import Platform
from pyoci.regex import regex

__all__ = ["decode_config", "decode_descriptor", "decode_index", "decode_manifest", "decode_object"]

_MEDIA_TYPE = regex(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_URI = regex(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~-]|%[0-9A-Fa-f]{2})*")
_TIME = regex(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)


def decode_object(raw: bytes, what: str) -> dict[str, Any]:
    """A JSON object of no known shape; `what` names it in errors.

    Raises:
        InvalidDocument: not a JSON object in UTF-8.
    """
    return read_object(raw, what).mapping()


def _strings(node: JsonNode) -> tuple[str, ...]:
    return tuple(item.string() for item in node.items())


def _string_map(node: JsonNode) -> dict[str, str]:
    return {key: value.string() for key, value in node.entries()}


def _set(node: JsonNode) -> tuple[str, ...]:
    """The keys of `{"80/tcp": {}}`, sorted."""
    for _, value in node.entries():
        if value.value is not None:
            value.mapping()
    return tuple(sorted(node.mapping()))


def _media_type(node: JsonNode) -> str:
    value = node.string()
    if not _MEDIA_TYPE.fullmatch(value):
        node.fail(f'"{value[:80]}" is not a media type')
    return value


def _timestamp(node: JsonNode) -> str:
    """RFC 3339 as Go writes and reads it: upper case, no leap second, a day that the month has."""
    value = node.string()
    found = _TIME.fullmatch(value)
    if found is None or int(found[3]) > _days(int(found[1]), int(found[2])):
        node.fail(f'"{value[:80]}" is not an RFC 3339 time')
    return value


def _days(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _uri(node: JsonNode) -> str:
    value = node.string()
    if not _URI.fullmatch(value):
        node.fail(f'"{value[:80]}" is not a URI')
    return value


def _base64(node: JsonNode) -> bytes:
    try:
        return base64.b64decode(node.string(), validate=True)
    except (binascii.Error, ValueError):
        node.fail("is not base64")


def _platform(node: JsonNode) -> Platform:
    return Platform(
        os=node.required("os").string(),
        architecture=node.required("architecture").string(),
        variant=node.optional("variant", JsonNode.string, ""),
        os_version=node.optional("os.version", JsonNode.string, ""),
        os_features=node.optional("os.features", _strings, ()),
    )


def _descriptor(node: JsonNode) -> Descriptor:
    digest_node = node.required("digest")
    try:
        digest = parse_digest(digest_node.string())
    except InvalidDocument as error:
        raise InvalidDocument(f"{digest_node.path}: {error.message}", hint=error.hint) from error
    return Descriptor(
        media_type=_media_type(node.required("mediaType")),
        digest=digest,
        size=node.required("size").integer(0),
        annotations=node.optional("annotations", _string_map, {}),
        platform=node.optional("platform", _platform, None),
        urls=node.optional("urls", lambda urls: tuple(_uri(item) for item in urls.items()), ()),
        artifact_type=node.optional("artifactType", _media_type, ""),
        data=node.optional("data", _base64, None),
    )


def decode_descriptor(value: Any, what: str) -> Descriptor:
    """A descriptor from parsed JSON; `what` names it in errors.

    Raises:
        InvalidDocument: with the JSON path.
    """
    return _descriptor(JsonNode(value, what))


def _schema_version(root: JsonNode) -> None:
    version = root.required("schemaVersion")
    if version.integer() != 2:
        version.fail(f"must be 2, is {version.value}")


def _declared_media_type(root: JsonNode, announced: str, default: str, accepted: Callable[[str], bool]) -> str:
    """The media type of a document: what it says itself, which must be what was announced.

    Docker's documents always say it (distribution refuses those that do not); OCI's may leave it out.
    """
    declared = root.optional("mediaType", _media_type, "")
    if not declared and announced in (media_types.DOCKER_MANIFEST, media_types.DOCKER_INDEX):
        root.fail('"mediaType" is missing')
    media_type = declared or announced or default
    if not accepted(media_type):
        root.fail(f'mediaType is "{media_type}"')
    if announced and media_type != announced:
        root.fail(f'mediaType is "{media_type}" but it was announced as "{announced}"')
    return media_type


def decode_manifest(raw: bytes, *, media_type: str = "") -> Document[Manifest]:
    """The image manifest in `raw`; `media_type` is what its descriptor or the registry announced, if anything did.

    Raises:
        InvalidDocument: not a manifest, or not of that media type, or an index as well.
    """
    root = read_object(raw, "manifest")
    _schema_version(root)
    declared = _declared_media_type(root, media_type, media_types.MANIFEST, media_types.is_manifest)
    if "manifests" in root.mapping():
        root.fail('a manifest cannot have "manifests"')
    manifest = Manifest(
        config=_descriptor(root.required("config")),
        layers=tuple(_descriptor(item) for item in root.listed("layers")),
        annotations=root.optional("annotations", _string_map, {}),
        media_type=declared,
        artifact_type=root.optional("artifactType", _media_type, ""),
        subject=root.optional("subject", _descriptor, None),
    )
    return make_document(raw, manifest, declared)


def decode_index(raw: bytes, *, media_type: str = "") -> Document[Index]:
    """The image index in `raw`; `media_type` as in `decode_manifest`.

    Raises:
        InvalidDocument: not an index, or not of that media type, or a manifest as well.
    """
    root = read_object(raw, "index")
    _schema_version(root)
    declared = _declared_media_type(root, media_type, media_types.INDEX, media_types.is_index)
    for key in ("layers", "config"):
        if key in root.mapping():
            root.fail(f'an index cannot have "{key}"')
    index = Index(
        manifests=tuple(_descriptor(item) for item in root.listed("manifests")),
        annotations=root.optional("annotations", _string_map, {}),
        media_type=declared,
        artifact_type=root.optional("artifactType", _media_type, ""),
        subject=root.optional("subject", _descriptor, None),
    )
    return make_document(raw, index, declared)


def _healthcheck(node: JsonNode) -> Healthcheck:
    return Healthcheck(
        test=node.nullable("Test", _strings, ()),
        interval=node.nullable("Interval", JsonNode.integer, 0),
        timeout=node.nullable("Timeout", JsonNode.integer, 0),
        start_period=node.nullable("StartPeriod", JsonNode.integer, 0),
        start_interval=node.nullable("StartInterval", JsonNode.integer, 0),
        retries=node.nullable("Retries", JsonNode.integer, 0),
    )


# fmt: off
_CONTAINER_KEYS = frozenset({
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "ArgsEscaped",
    "Healthcheck", "OnBuild", "Shell",
})
_CONFIG_KEYS = frozenset({
    "created", "author", "architecture", "variant", "os", "os.version", "os.features", "config", "rootfs", "history",
})
# fmt: on


def _container_config(node: JsonNode) -> ContainerConfig:
    return ContainerConfig(
        user=node.nullable("User", JsonNode.string, ""),
        exposed_ports=node.nullable("ExposedPorts", _set, ()),
        env=node.nullable("Env", _strings, ()),
        entrypoint=node.nullable("Entrypoint", _strings, None),
        cmd=node.nullable("Cmd", _strings, None),
        volumes=node.nullable("Volumes", _set, ()),
        working_dir=node.nullable("WorkingDir", JsonNode.string, ""),
        labels=node.nullable("Labels", _string_map, {}),
        stop_signal=node.nullable("StopSignal", JsonNode.string, ""),
        args_escaped=node.nullable("ArgsEscaped", JsonNode.boolean, False),
        healthcheck=node.nullable("Healthcheck", _healthcheck, None),
        on_build=node.nullable("OnBuild", _strings, ()),
        shell=node.nullable("Shell", _strings, None),
        extra={key: value for key, value in node.mapping().items() if key not in _CONTAINER_KEYS},
    )


def _history(node: JsonNode) -> History:
    return History(
        created=node.nullable("created", _timestamp, None),
        created_by=node.optional("created_by", JsonNode.string, ""),
        author=node.optional("author", JsonNode.string, ""),
        comment=node.optional("comment", JsonNode.string, ""),
        empty_layer=node.optional("empty_layer", JsonNode.boolean, False),
    )


def _diff_id(node: JsonNode) -> DiffID:
    try:
        return DiffID(parse_digest(node.string()))
    except InvalidDocument as error:
        raise InvalidDocument(f"{node.path}: {error.message}", hint=error.hint) from error


def _rootfs(node: JsonNode) -> tuple[DiffID, ...]:
    kind = node.required("type")
    if kind.string() != "layers":
        kind.fail(f'must be "layers", is "{kind.value}"')
    return node.nullable("diff_ids", lambda ids: tuple(_diff_id(item) for item in ids.items()), ())


def decode_config(raw: bytes, *, media_type: str = media_types.CONFIG) -> Document[ImageConfig]:
    """The image config in `raw`.

    Raises:
        InvalidDocument: with the JSON path.
    """
    root = read_object(raw, "config")
    config = ImageConfig(
        platform=_platform(root),
        config=root.nullable("config", _container_config, ContainerConfig()),
        diff_ids=_rootfs(root.required("rootfs")),
        history=root.nullable("history", lambda node: tuple(_history(item) for item in node.items()), ()),
        created=root.nullable("created", _timestamp, None),
        author=root.optional("author", JsonNode.string, ""),
        extra={key: value for key, value in root.mapping().items() if key not in _CONFIG_KEYS},
    )
    return make_document(raw, config, media_type)
