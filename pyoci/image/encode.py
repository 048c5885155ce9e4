"""Documents to bytes: keys sorted and no white space, so that equal values give equal bytes."""

from __future__ import annotations

import base64
import json
from typing import Any

from pyoci.image import media_types
from pyoci.image.config import ContainerConfig, Healthcheck, History, ImageConfig
from pyoci.image.descriptor import Descriptor
from pyoci.image.document import Document, make_document
from pyoci.image.index import Index
from pyoci.image.manifest import Manifest
from pyoci.platforms import Platform

__all__ = [
    "canonical_json",
    "encode_config",
    "encode_descriptor",
    "encode_index",
    "encode_manifest",
]


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
    platform = descriptor.platform
    if (
        platform and platform.os and platform.architecture
    ):  # image-index.md: both are required; foreign ones may lack them
        members["platform"] = _platform_members(platform)
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
