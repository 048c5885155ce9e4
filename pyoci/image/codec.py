"""Bytes to documents and back: strict on the way in, canonical on the way out.

Decoding holds the rules of image-spec's schemas (`image/schemas/`; a test holds the two against each other) and names the
JSON path of what breaks them. Encoding sorts keys and uses no white space, so that equal values give equal bytes.
The only module where a value may be of any type.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from pyoci.digest import DiffID, parse_digest
from pyoci.errors import InvalidDocument
from pyoci.image import media_types
from pyoci.image.config import ContainerConfig, Healthcheck, History, ImageConfig
from pyoci.image.descriptor import Descriptor
from pyoci.image.document import Document, make_document
from pyoci.image.index import Index
from pyoci.image.manifest import Manifest
from pyoci.platforms import Platform

__all__ = [
    "canonical_json",
    "decode_config",
    "decode_descriptor",
    "decode_index",
    "decode_manifest",
    "decode_object",
    "encode_config",
    "encode_descriptor",
    "encode_index",
    "encode_manifest",
]

T = TypeVar("T")

_INT64_MAX = 2**63 - 1
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}(?:;.*)?", re.DOTALL
)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")


class _Node:
    """A JSON value with the path that leads to it."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def fail(self, problem: str) -> NoReturn:
        raise InvalidDocument(f"{self.path}: {problem}")

    def _of(self, kind: type | tuple[type, ...], name: str) -> Any:
        if not isinstance(self.value, kind) or (isinstance(self.value, bool) and kind is not bool):
            self.fail(f"must be {name}, is {_kind(self.value)}")
        return self.value

    def string(self) -> str:
        return str(self._of(str, "a string"))

    def boolean(self) -> bool:
        return bool(self._of(bool, "true or false"))

    def integer(self, minimum: int = -_INT64_MAX - 1) -> int:
        value = self._of(int, "an integer")
        if not minimum <= value <= _INT64_MAX:
            self.fail(f"{value} is out of range")
        return int(value)

    def mapping(self) -> dict[str, Any]:
        value: dict[str, Any] = self._of(dict, "an object")
        return value

    def items(self) -> list[_Node]:
        return [_Node(item, f"{self.path}[{i}]") for i, item in enumerate(self._of(list, "an array"))]

    def entries(self) -> Iterator[tuple[str, _Node]]:
        for key, value in self.mapping().items():
            yield key, _Node(value, f"{self.path}.{key}")

    def required(self, key: str) -> _Node:
        mapping = self.mapping()
        if key not in mapping:
            self.fail(f'"{key}" is missing')
        return _Node(mapping[key], f"{self.path}.{key}")

    def optional(self, key: str, decode: Callable[[_Node], T], default: T) -> T:
        """The decoded member, or `default` where it is missing. Null is a value, and mostly a wrong one."""
        mapping = self.mapping()
        return decode(_Node(mapping[key], f"{self.path}.{key}")) if key in mapping else default

    def nullable(self, key: str, decode: Callable[[_Node], T], default: T) -> T:
        """The decoded member, or `default` where it is missing or null (as Go writes an empty slice or map)."""
        value = self.mapping().get(key)
        return default if value is None else decode(_Node(value, f"{self.path}.{key}"))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names[type(value)]


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _root(raw: bytes, what: str) -> _Node:
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_reject_constant)
    except RecursionError:
        raise InvalidDocument(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise InvalidDocument(f"{what} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidDocument(f"{what} must be a JSON object, is {_kind(value)}")
    return _Node(value, what)


def decode_object(raw: bytes, what: str) -> dict[str, Any]:
    """A JSON object of no known shape; `what` names it in errors.

    Raises:
        InvalidDocument: not a JSON object in UTF-8.
    """
    return _root(raw, what).mapping()


def _strings(node: _Node) -> tuple[str, ...]:
    return tuple(item.string() for item in node.items())


def _string_map(node: _Node) -> dict[str, str]:
    return {key: value.string() for key, value in node.entries()}


def _set(node: _Node) -> tuple[str, ...]:
    """The keys of `{"80/tcp": {}}`, sorted."""
    for _, value in node.entries():
        if value.value is not None:
            value.mapping()
    return tuple(sorted(node.mapping()))


def _media_type(node: _Node) -> str:
    value = node.string()
    if not _MEDIA_TYPE.fullmatch(value):
        node.fail(f'"{value[:80]}" is not a media type')
    return value


def _timestamp(node: _Node) -> str:
    value = node.string()
    if not _RFC3339.fullmatch(value):
        node.fail(f'"{value[:80]}" is not an RFC 3339 time')
    return value


def _base64(node: _Node) -> bytes:
    try:
        return base64.b64decode(node.string(), validate=True)
    except (binascii.Error, ValueError):
        node.fail("is not base64")


def _platform(node: _Node) -> Platform:
    return Platform(
        os=node.required("os").string(),
        architecture=node.required("architecture").string(),
        variant=node.optional("variant", _Node.string, ""),
        os_version=node.optional("os.version", _Node.string, ""),
        os_features=node.optional("os.features", _strings, ()),
    )


def _descriptor(node: _Node) -> Descriptor:
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
        urls=node.optional("urls", _strings, ()),
        artifact_type=node.optional("artifactType", _media_type, ""),
        data=node.optional("data", _base64, None),
    )


def decode_descriptor(value: Any, what: str) -> Descriptor:
    """A descriptor from parsed JSON; `what` names it in errors.

    Raises:
        InvalidDocument: with the JSON path.
    """
    return _descriptor(_Node(value, what))


def _schema_version(root: _Node) -> None:
    version = root.required("schemaVersion")
    if version.integer() != 2:
        version.fail(f"must be 2, is {version.value}")


def _declared_media_type(root: _Node, expected: str, accepted: Callable[[str], bool]) -> str:
    declared = root.optional("mediaType", _media_type, expected)
    if not accepted(declared):
        root.fail(f'mediaType is "{declared}"')
    if expected and declared != expected:
        root.fail(f'mediaType is "{declared}" but it was announced as "{expected}"')
    return declared or media_types.MANIFEST


def decode_manifest(raw: bytes, *, media_type: str = "") -> Document[Manifest]:
    """The image manifest in `raw`; `media_type` is what its descriptor or the registry announced, if anything did.

    Raises:
        InvalidDocument: not a manifest, or not of that media type. A document that is both manifest and index is refused.
    """
    root = _root(raw, "manifest")
    _schema_version(root)
    declared = _declared_media_type(root, media_type, lambda m: m == "" or media_types.is_manifest(m))
    if "manifests" in root.mapping():
        root.fail('a manifest cannot have "manifests"')
    manifest = Manifest(
        config=_descriptor(root.required("config")),
        layers=tuple(_descriptor(item) for item in root.required("layers").items()),
        annotations=root.optional("annotations", _string_map, {}),
        media_type=declared,
        artifact_type=root.optional("artifactType", _media_type, ""),
        subject=root.optional("subject", _descriptor, None),
    )
    return make_document(raw, manifest, declared)


def decode_index(raw: bytes, *, media_type: str = "") -> Document[Index]:
    """The image index in `raw`; `media_type` as in `decode_manifest`.

    Raises:
        InvalidDocument: not an index, or not of that media type.
    """
    root = _root(raw, "index")
    _schema_version(root)
    declared = root.optional("mediaType", _media_type, media_type or media_types.INDEX)
    if not media_types.is_index(declared) or (media_type and declared != media_type):
        root.fail(f'mediaType is "{declared}"' + (f' but it was announced as "{media_type}"' if media_type else ""))
    for key in ("layers", "config"):
        if key in root.mapping():
            root.fail(f'an index cannot have "{key}"')
    index = Index(
        manifests=tuple(_descriptor(item) for item in root.required("manifests").items()),
        annotations=root.optional("annotations", _string_map, {}),
        media_type=declared,
        artifact_type=root.optional("artifactType", _media_type, ""),
        subject=root.optional("subject", _descriptor, None),
    )
    return make_document(raw, index, declared)


def _healthcheck(node: _Node) -> Healthcheck:
    return Healthcheck(
        test=node.nullable("Test", _strings, ()),
        interval=node.nullable("Interval", _Node.integer, 0),
        timeout=node.nullable("Timeout", _Node.integer, 0),
        start_period=node.nullable("StartPeriod", _Node.integer, 0),
        start_interval=node.nullable("StartInterval", _Node.integer, 0),
        retries=node.nullable("Retries", _Node.integer, 0),
    )


_CONTAINER_KEYS = frozenset(
    "User ExposedPorts Env Entrypoint Cmd Volumes WorkingDir Labels StopSignal ArgsEscaped Healthcheck OnBuild Shell".split()
)
_CONFIG_KEYS = frozenset("created author architecture variant os os.version os.features config rootfs history".split())


def _container_config(node: _Node) -> ContainerConfig:
    return ContainerConfig(
        user=node.nullable("User", _Node.string, ""),
        exposed_ports=node.nullable("ExposedPorts", _set, ()),
        env=node.nullable("Env", _strings, ()),
        entrypoint=node.nullable("Entrypoint", _strings, None),
        cmd=node.nullable("Cmd", _strings, None),
        volumes=node.nullable("Volumes", _set, ()),
        working_dir=node.nullable("WorkingDir", _Node.string, ""),
        labels=node.nullable("Labels", _string_map, {}),
        stop_signal=node.nullable("StopSignal", _Node.string, ""),
        args_escaped=node.nullable("ArgsEscaped", _Node.boolean, False),
        healthcheck=node.nullable("Healthcheck", _healthcheck, None),
        on_build=node.nullable("OnBuild", _strings, ()),
        shell=node.nullable("Shell", _strings, None),
        extra={key: value for key, value in node.mapping().items() if key not in _CONTAINER_KEYS},
    )


def _history(node: _Node) -> History:
    return History(
        created=node.nullable("created", _timestamp, None),
        created_by=node.optional("created_by", _Node.string, ""),
        author=node.optional("author", _Node.string, ""),
        comment=node.optional("comment", _Node.string, ""),
        empty_layer=node.optional("empty_layer", _Node.boolean, False),
    )


def _diff_id(node: _Node) -> DiffID:
    try:
        return DiffID(parse_digest(node.string()))
    except InvalidDocument as error:
        raise InvalidDocument(f"{node.path}: {error.message}", hint=error.hint) from error


def _rootfs(node: _Node) -> tuple[DiffID, ...]:
    kind = node.required("type")
    if kind.string() != "layers":
        kind.fail(f'must be "layers", is "{kind.value}"')
    if node.mapping().get("diff_ids", ...) is None:
        return ()
    return tuple(_diff_id(item) for item in node.required("diff_ids").items())


def decode_config(raw: bytes, *, media_type: str = media_types.CONFIG) -> Document[ImageConfig]:
    """The image config in `raw`.

    Raises:
        InvalidDocument: with the JSON path.
    """
    root = _root(raw, "config")
    config = ImageConfig(
        platform=_platform(root),
        config=root.nullable("config", _container_config, ContainerConfig()),
        diff_ids=_rootfs(root.required("rootfs")),
        history=root.nullable("history", lambda node: tuple(_history(item) for item in node.items()), ()),
        created=root.nullable("created", _timestamp, None),
        author=root.optional("author", _Node.string, ""),
        extra={key: value for key, value in root.mapping().items() if key not in _CONFIG_KEYS},
    )
    return make_document(raw, config, media_type)


def canonical_json(value: Any) -> bytes:
    """JSON in UTF-8 with sorted keys and no white space; bytes that are not UTF-8 become U+FFFD, as Go writes them."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode("utf-8")


def _set_keys(target: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Adds the members that are not empty."""
    target.update((key, value) for key, value in members.items() if value not in (None, "", (), {}, False, 0))
    return target


def _platform_members(platform: Platform) -> dict[str, Any]:
    members: dict[str, Any] = {"os": platform.os, "architecture": platform.architecture}
    _set_keys(members, variant=platform.variant)
    _set_keys(members, **{"os.version": platform.os_version, "os.features": list(platform.os_features) or None})
    return members


def encode_descriptor(descriptor: Descriptor) -> dict[str, Any]:
    """The descriptor as JSON values."""
    members: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    _set_keys(
        members,
        annotations=dict(descriptor.annotations),
        urls=list(descriptor.urls) or None,
        artifactType=descriptor.artifact_type,
    )
    if descriptor.platform:
        members["platform"] = _platform_members(descriptor.platform)
    if descriptor.data is not None:
        members["data"] = base64.b64encode(descriptor.data).decode("ascii")
    return members


def encode_manifest(manifest: Manifest) -> Document[Manifest]:
    """The manifest as a document."""
    members: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": manifest.media_type,
        "config": encode_descriptor(manifest.config),
        "layers": [encode_descriptor(layer) for layer in manifest.layers],
    }
    _set_keys(members, annotations=dict(manifest.annotations), artifactType=manifest.artifact_type)
    if manifest.subject:
        members["subject"] = encode_descriptor(manifest.subject)
    return make_document(canonical_json(members), manifest, manifest.media_type)


def encode_index(index: Index) -> Document[Index]:
    """The index as a document."""
    members: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": index.media_type,
        "manifests": [encode_descriptor(manifest) for manifest in index.manifests],
    }
    _set_keys(members, annotations=dict(index.annotations), artifactType=index.artifact_type)
    if index.subject:
        members["subject"] = encode_descriptor(index.subject)
    return make_document(canonical_json(members), index, index.media_type)


def _healthcheck_members(health: Healthcheck) -> dict[str, Any]:
    return _set_keys(
        {},
        Test=list(health.test) or None,
        Interval=health.interval,
        Timeout=health.timeout,
        StartPeriod=health.start_period,
        StartInterval=health.start_interval,
        Retries=health.retries,
    )


def _empty_objects(keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: {} for key in keys}


def _container_members(config: ContainerConfig) -> dict[str, Any]:
    members: dict[str, Any] = dict(config.extra)
    _set_keys(
        members,
        User=config.user,
        ExposedPorts=_empty_objects(config.exposed_ports),
        Env=list(config.env) or None,
        Volumes=_empty_objects(config.volumes),
        WorkingDir=config.working_dir,
        Labels=dict(config.labels),
        StopSignal=config.stop_signal,
        ArgsEscaped=config.args_escaped,
        OnBuild=list(config.on_build) or None,
    )
    optional = {"Entrypoint": config.entrypoint, "Cmd": config.cmd, "Shell": config.shell}
    members.update((key, list(value)) for key, value in optional.items() if value is not None)
    if config.healthcheck is not None:
        members["Healthcheck"] = _healthcheck_members(config.healthcheck)
    return members


def _history_members(entry: History) -> dict[str, Any]:
    return _set_keys(
        {},
        created=entry.created,
        created_by=entry.created_by,
        author=entry.author,
        comment=entry.comment,
        empty_layer=entry.empty_layer,
    )


def encode_config(config: ImageConfig, *, media_type: str = media_types.CONFIG) -> Document[ImageConfig]:
    """The config as a document."""
    members: dict[str, Any] = {
        **config.extra,
        **_platform_members(config.platform),
        "config": _container_members(config.config),
        "rootfs": {"type": "layers", "diff_ids": list(config.diff_ids)},
        "history": [_history_members(entry) for entry in config.history],
    }
    _set_keys(members, created=config.created, author=config.author)
    return make_document(canonical_json(members), config, media_type)
