"""Media types of image-spec media-types.md and of Docker's schema 2, and what each one means.

The only module that spells them.
"""

from __future__ import annotations

from typing import Literal

from pyoci.errors import InvalidDocument

__all__ = [
    "ATTESTATION_MANIFEST",
    "BUILDKIT_CACHE_CONFIG",
    "CACHE_CONFIG",
    "CONFIG",
    "DOCKER_CONFIG",
    "DOCKER_INDEX",
    "DOCKER_LAYER",
    "DOCKER_LAYER_GZIP",
    "DOCKER_MANIFEST",
    "EMPTY",
    "INDEX",
    "IN_TOTO",
    "LAYER",
    "LAYER_GZIP",
    "LAYER_ZSTD",
    "MANIFEST",
    "Compression",
    "is_config",
    "is_index",
    "is_layer",
    "is_manifest",
    "layer_compression",
    "layer_media_type",
    "to_docker",
    "to_oci",
]

Compression = Literal["none", "gzip", "zstd"]

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
LAYER_ZSTD = LAYER + "+zstd"
EMPTY = "application/vnd.oci.empty.v1+json"
CACHE_CONFIG = "application/vnd.pyoci.cache.config.v1+json"
"""Of an exported build cache."""
BUILDKIT_CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"

IN_TOTO = "application/vnd.in-toto+json"
ATTESTATION_MANIFEST = "application/vnd.docker.attestation.manifest.v1+json"
"""What BuildKit calls a manifest of statements about an image."""

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
_DOCKER_LAYER_ZSTD = DOCKER_LAYER + ".zstd"
_DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar"
_NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar"

_LAYERS: dict[str, Compression] = {
    LAYER: "none",
    LAYER_GZIP: "gzip",
    LAYER_ZSTD: "zstd",
    DOCKER_LAYER: "none",
    DOCKER_LAYER_GZIP: "gzip",
    _DOCKER_LAYER_ZSTD: "zstd",
    _DOCKER_FOREIGN: "none",
    _DOCKER_FOREIGN + ".gzip": "gzip",
    _NONDISTRIBUTABLE: "none",
    _NONDISTRIBUTABLE + "+gzip": "gzip",
    _NONDISTRIBUTABLE + "+zstd": "zstd",
}
_TO_DOCKER = {
    INDEX: DOCKER_INDEX,
    MANIFEST: DOCKER_MANIFEST,
    CONFIG: DOCKER_CONFIG,
    LAYER: DOCKER_LAYER,
    LAYER_GZIP: DOCKER_LAYER_GZIP,
    LAYER_ZSTD: _DOCKER_LAYER_ZSTD,
}
_TO_OCI = {docker: oci for oci, docker in _TO_DOCKER.items()}


def is_index(media_type: str) -> bool:
    """An image index or Docker's manifest list."""
    return media_type in (INDEX, DOCKER_INDEX)


def is_manifest(media_type: str) -> bool:
    """An image manifest of either kind."""
    return media_type in (MANIFEST, DOCKER_MANIFEST)


def is_config(media_type: str) -> bool:
    """An image config of either kind."""
    return media_type in (CONFIG, DOCKER_CONFIG)


def is_layer(media_type: str) -> bool:
    """A file system changeset in tar, of any kind and compression."""
    return media_type in _LAYERS


def layer_compression(media_type: str) -> Compression:
    """How a layer's tar is compressed.

    Raises:
        InvalidDocument: not the media type of a file system layer.
    """
    try:
        return _LAYERS[media_type]
    except KeyError:
        raise InvalidDocument(
            f'"{media_type}" is not the media type of a file system layer',
            hint="the image holds an artifact that cannot be unpacked",
        ) from None


def layer_media_type(compression: Compression) -> str:
    """The OCI media type of a layer compressed so."""
    return {"none": LAYER, "gzip": LAYER_GZIP, "zstd": LAYER_ZSTD}[compression]


def to_docker(media_type: str) -> str:
    """Docker's name of an OCI media type; one without a counterpart is returned as it is."""
    return _TO_DOCKER.get(media_type, media_type)


def to_oci(media_type: str) -> str:
    """The OCI name of a Docker media type; one without a counterpart is returned as it is."""
    return _TO_OCI.get(media_type, media_type)
