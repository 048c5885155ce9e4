from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from pyoci.digest import DiffID, Digest
from pyoci.errors import InvalidDocument
from pyoci.image import Descriptor, Image, ImageConfig, Manifest, encode_config, encode_manifest, media_types
from pyoci.platforms import Platform

LAYERS = (
    Descriptor(media_types.LAYER_GZIP, Digest("sha256:" + "1" * 64), 10),
    Descriptor(media_types.LAYER_GZIP, Digest("sha256:" + "2" * 64), 20),
)
DIFF_IDS = (DiffID(Digest("sha256:" + "a" * 64)), DiffID(Digest("sha256:" + "b" * 64)))
CONFIG = encode_config(ImageConfig(Platform("linux", "arm64"), diff_ids=DIFF_IDS))
MANIFEST = encode_manifest(Manifest(CONFIG.descriptor(), LAYERS))


def test_layers_are_descriptors_with_what_they_unpack_to() -> None:
    image = Image.of(MANIFEST, CONFIG)
    assert [(layer.descriptor.size, layer.diff_id) for layer in image.layers] == [(10, DIFF_IDS[0]), (20, DIFF_IDS[1])]
    assert (image.digest, image.image_id) == (MANIFEST.digest, CONFIG.digest)
    assert str(image.platform) == "linux/arm64"


def test_a_config_of_another_image_is_refused() -> None:
    other = encode_config(ImageConfig(Platform("linux", "arm64"), diff_ids=DIFF_IDS, author="x"))
    with pytest.raises(InvalidDocument, match="is not the one that manifest"):
        Image.of(MANIFEST, other)


def test_a_config_of_another_size_is_refused() -> None:
    named = replace(CONFIG.descriptor(), size=CONFIG.size + 1)
    with pytest.raises(InvalidDocument, match="is not the one that manifest"):
        Image.of(encode_manifest(Manifest(named, LAYERS)), CONFIG)


def test_layers_and_diff_ids_must_be_as_many() -> None:
    manifest = encode_manifest(Manifest(CONFIG.descriptor(), LAYERS[:1]))
    with pytest.raises(InvalidDocument, match=r"has 1 layers, its config has 2 diff_ids$"):
        Image.of(manifest, CONFIG)


def test_a_manifest_may_name_its_config_by_sha512() -> None:
    named = replace(CONFIG.descriptor(), digest=Digest("sha512:" + hashlib.sha512(CONFIG.raw).hexdigest()))
    assert Image.of(encode_manifest(Manifest(named, LAYERS)), CONFIG).image_id == CONFIG.digest
