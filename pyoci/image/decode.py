"""Bytes to documents: strict, and naming the JSON path of what breaks the specification.

Holds the rules of image-spec's schemas (`image/schemas/`); a test holds the two against each other and lists where they
part and why. Where images made elsewhere break a rule, containerd reads them all the same and nothing can be mistaken,
they are read as containerd does: null is a missing member, the time has Go's freedoms. Digests, sizes and media types
have none. Names of members count as they are written: Go takes them in any case, so that a document which has `layers`
and `Layers` is another image to it than to everybody else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from pyoci.digest import DiffID, Digest, parse_digest
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
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01]?[0-9]|2[0-3])(:[0-5][0-9]:[0-5][0-9])"
    r"(?:[.,]([0-9]+))?(Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)


def decode_object(raw: bytes, what: str) -> dict[str, Any]:
    """A JSON object of no known shape; `what` names it in errors.

    Raises:
        InvalidDocument: not a JSON object.
    """
    return read_object(raw, what).mapping()


def _strings(node: JsonNode) -> tuple[str, ...]:
    return tuple(item.string() for item in node.items())


def _string_map(node: JsonNode) -> dict[str, str]:
    """Null is the empty string, as in Go's maps."""
    return {key: "" if value.value is None else value.string() for key, value in node.entries()}


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
    """RFC 3339, which what Go's `time.Parse` reads beside it is made into: an hour of one digit, a comma.

    Upper case, no leap second, a day that the month has.
    """
    value = node.string()
    found = _TIME.fullmatch(value)
    if found is None or int(found[3]) > _days(int(found[1]), int(found[2])):
        node.fail(f'"{value[:80]}" is not an RFC 3339 time')
    year, month, day, hour, rest, fraction, offset = found.groups()
    tail = f".{fraction}" if fraction else ""
    return f"{year}-{month}-{day}T{hour:0>2}{rest}{tail}{offset}"


def _days(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _uris(node: JsonNode) -> tuple[str, ...]:
    """Without those that are no URIs: nothing can be fetched from them, and no document of ours repeats them."""
    return tuple(value for value in _strings(node) if _URI.fullmatch(value))


def _artifact_type(node: JsonNode) -> str:
    """Empty as if it were missing: Go has no other word for that."""
    return _media_type(node) if node.value != "" else ""


def _base64(node: JsonNode) -> bytes:
    try:
        return base64.b64decode(node.string(), validate=True)
    except (binascii.Error, ValueError):
        node.fail("is not base64")


def _digest(node: JsonNode) -> Digest:
    text = node.string()
    try:
        return parse_digest(text)
    except InvalidDocument as error:
        raise InvalidDocument(f"{node.path}: {error.message}", hint=error.hint) from error


def _platform(node: JsonNode) -> Platform:
    """System and architecture are empty where the document does not say them."""
    return Platform(
        os=node.optional("os", JsonNode.string, ""),
        architecture=node.optional("architecture", JsonNode.string, ""),
        variant=node.optional("variant", JsonNode.string, ""),
        os_version=node.optional("os.version", JsonNode.string, ""),
        os_features=node.optional("os.features", _strings, ()),
    )


def _descriptor(node: JsonNode) -> Descriptor:
    digest = _digest(node.required("digest"))
    return Descriptor(
        media_type=_media_type(node.required("mediaType")),
        digest=digest,
        size=node.required("size").integer(0),
        annotations=node.optional("annotations", _string_map, {}),
        platform=node.optional("platform", _platform, None),
        urls=node.optional("urls", _uris, ()),
        artifact_type=node.optional("artifactType", _artifact_type, ""),
        data=node.optional("data", _base64, None),
    )


def decode_descriptor(value: Any, what: str) -> Descriptor:
    """A descriptor from parsed JSON; `what` names it in errors.

    Raises:
        InvalidDocument: with the JSON path.
    """
    return _descriptor(JsonNode(value, what))


def _schema_version(root: JsonNode) -> None:
    """Missing or 0 says nothing; 1 is Docker's first form, which is another document altogether."""
    version = root.optional("schemaVersion", JsonNode.integer, 0)
    if version not in (0, 2):
        root.fail(f"schemaVersion must be 2, is {version}")


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
        artifact_type=root.optional("artifactType", _artifact_type, ""),
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
        artifact_type=root.optional("artifactType", _artifact_type, ""),
        subject=root.optional("subject", _descriptor, None),
    )
    return make_document(raw, index, declared)


def _healthcheck(node: JsonNode) -> Healthcheck:
    return Healthcheck(
        test=node.optional("Test", _strings, ()),
        interval=node.optional("Interval", JsonNode.integer, 0),
        timeout=node.optional("Timeout", JsonNode.integer, 0),
        start_period=node.optional("StartPeriod", JsonNode.integer, 0),
        start_interval=node.optional("StartInterval", JsonNode.integer, 0),
        retries=node.optional("Retries", JsonNode.integer, 0),
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
        user=node.optional("User", JsonNode.string, ""),
        exposed_ports=node.optional("ExposedPorts", _set, ()),
        env=node.optional("Env", _strings, ()),
        entrypoint=node.optional("Entrypoint", _strings, None),
        cmd=node.optional("Cmd", _strings, None),
        volumes=node.optional("Volumes", _set, ()),
        working_dir=node.optional("WorkingDir", JsonNode.string, ""),
        labels=node.optional("Labels", _string_map, {}),
        stop_signal=node.optional("StopSignal", JsonNode.string, ""),
        args_escaped=node.optional("ArgsEscaped", JsonNode.boolean, False),
        healthcheck=node.optional("Healthcheck", _healthcheck, None),
        on_build=node.optional("OnBuild", _strings, ()),
        shell=node.optional("Shell", _strings, None),
        extra={key: value for key, value in node.mapping().items() if key not in _CONTAINER_KEYS},
    )


def _history(node: JsonNode) -> History:
    return History(
        created=node.optional("created", _timestamp, None),
        created_by=node.optional("created_by", JsonNode.string, ""),
        author=node.optional("author", JsonNode.string, ""),
        comment=node.optional("comment", JsonNode.string, ""),
        empty_layer=node.optional("empty_layer", JsonNode.boolean, False),
    )


def _rootfs(node: JsonNode) -> tuple[DiffID, ...]:
    """config.md: an unknown type is an error to whoever unpacks the image. None at all leaves no doubt."""
    kind = node.optional("type", JsonNode.string, "")
    if kind not in ("", "layers"):
        node.fail(f'type must be "layers", is "{kind}"')
    return node.optional("diff_ids", lambda ids: tuple(DiffID(_digest(item)) for item in ids.items()), ())


def decode_config(raw: bytes, *, media_type: str = media_types.CONFIG) -> Document[ImageConfig]:
    """The image config in `raw`.

    Raises:
        InvalidDocument: with the JSON path.
    """
    root = read_object(raw, "config")
    config = ImageConfig(
        platform=_platform(root),
        config=root.optional("config", _container_config, ContainerConfig()),
        diff_ids=_rootfs(root.required("rootfs")),
        history=root.optional("history", lambda node: tuple(_history(item) for item in node.items()), ()),
        created=root.optional("created", _timestamp, None),
        author=root.optional("author", JsonNode.string, ""),
        extra={key: value for key, value in root.mapping().items() if key not in _CONFIG_KEYS},
    )
    return make_document(raw, config, media_type)
