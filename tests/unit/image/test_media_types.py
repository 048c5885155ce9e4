"""Media types against image-spec media-types.md and distribution's manifest-v2-2.md."""

from __future__ import annotations

import pytest

from pyoci.errors import InvalidDocument
from pyoci.image import media_types
from pyoci.image.media_types import Compression


@pytest.mark.parametrize(
    ("media_type", "compression"),
    [
        ("application/vnd.oci.image.layer.v1.tar", "none"),
        ("application/vnd.oci.image.layer.v1.tar+gzip", "gzip"),
        ("application/vnd.oci.image.layer.v1.tar+zstd", "zstd"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", "none"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "gzip"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "zstd"),
        ("application/vnd.docker.image.rootfs.diff.tar", "none"),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "gzip"),
    ],
)
def test_layers_say_how_they_are_compressed(media_type: str, compression: Compression) -> None:
    assert media_types.is_layer(media_type)
    assert media_types.layer_compression(media_type) == compression


@pytest.mark.parametrize("media_type", ["application/vnd.in-toto+json", "application/vnd.oci.empty.v1+json", ""])
def test_what_is_not_a_layer_cannot_be_unpacked(media_type: str) -> None:
    assert not media_types.is_layer(media_type)
    with pytest.raises(InvalidDocument, match="is not the media type of a file system layer"):
        media_types.layer_compression(media_type)


@pytest.mark.parametrize(
    ("oci", "docker"),
    [
        ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"),
        ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"),
        ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"),
        ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        ("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"),
    ],
)
def test_the_two_families_correspond(oci: str, docker: str) -> None:
    assert media_types.to_docker(oci) == docker
    assert media_types.to_oci(docker) == oci
    assert media_types.to_docker(docker) == docker


def test_kinds_of_documents() -> None:
    both = (media_types.MANIFEST, media_types.DOCKER_MANIFEST)
    assert [one for one in vars(media_types).values() if isinstance(one, str) and media_types.is_manifest(one)] == list(
        both
    )
    assert media_types.is_index(media_types.INDEX) and media_types.is_index(media_types.DOCKER_INDEX)
    assert media_types.is_config(media_types.CONFIG) and media_types.is_config(media_types.DOCKER_CONFIG)
    assert not media_types.is_index(media_types.MANIFEST)
    assert [media_types.layer_media_type(one) for one in ("none", "gzip", "zstd")] == [
        media_types.LAYER,
        media_types.LAYER_GZIP,
        media_types.LAYER_ZSTD,
    ]
