"""Reading images whose config does not say its platform, or not in Go's names; the judge was BuildKit 0.32."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from pyoci.content import MemoryContent
from pyoci.errors import InvalidDocument
from pyoci.image import Descriptor, Index, Manifest, encode_index, encode_manifest, media_types
from pyoci.image.document import make_document
from pyoci.platforms import Platform
from pyoci.resolver import read_image

AMD64, ARM = Platform("linux", "amd64"), Platform("linux", "arm", "v6")


def image(content: MemoryContent, **members: Any) -> Descriptor:
    """The manifest of an image without layers whose config has these members."""
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": []}, **members}).encode()
    described = make_document(config, None, media_types.CONFIG).descriptor()
    content.put(described, io.BytesIO(config))
    manifest = encode_manifest(Manifest(described, ()))
    content.put(manifest.descriptor(), io.BytesIO(manifest.raw))
    return manifest.descriptor()


def in_index(content: MemoryContent, manifest: Descriptor, platform: Platform) -> Descriptor:
    index = encode_index(Index((Descriptor(manifest.media_type, manifest.digest, manifest.size, platform=platform),)))
    content.put(index.descriptor(), io.BytesIO(index.raw))
    return index.descriptor()


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"os": "linux", "architecture": "x86_64"}, AMD64),
        ({"os": "Linux", "architecture": "AMD64"}, AMD64),
        ({"os": "linux", "architecture": "aarch64"}, Platform("linux", "arm64")),
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, Platform("linux", "arm64", "v8")),
        ({"architecture": "amd64"}, AMD64),
    ],
)
def test_the_platform_of_a_config(members: dict[str, str], expected: Platform) -> None:
    content = MemoryContent()
    found = read_image(image(content, **members), content, AMD64, name="x")
    assert found.platform == expected
    assert json.loads(found.config.raw).get("architecture") == members["architecture"]


def test_what_the_config_leaves_out_is_said_by_the_index() -> None:
    content = MemoryContent()
    root = in_index(content, image(content), ARM)
    assert read_image(root, content, ARM, name="x").platform == ARM


def test_an_architecture_that_nobody_says_is_not_guessed() -> None:
    content = MemoryContent()
    with pytest.raises(InvalidDocument, match=r'^config: "architecture" is missing$'):
        read_image(image(content, os="linux"), content, AMD64, name="x")
