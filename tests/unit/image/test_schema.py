"""What `validate` answers; that it agrees with the decoder is a property (tests/property/test_schema_agreement.py)."""

from __future__ import annotations

import json

import pytest

from pyoci.errors import UsageError
from pyoci.image import media_types
from pyoci.image.schema import SchemaProblem, validate

DIGEST = "sha256:" + "0" * 64
DESCRIPTOR = "application/vnd.oci.descriptor.v1+json"
LAYOUT = "application/vnd.oci.layout.header.v1+json"


def test_names_every_fault_with_its_place() -> None:
    layer = {"mediaType": "tar", "digest": DIGEST, "size": -1}
    document = {"schemaVersion": 2, "config": {"digest": DIGEST, "size": "7"}, "layers": [layer]}
    places = [problem.path for problem in validate(json.dumps(document).encode(), media_types.MANIFEST)]
    assert places == [
        "manifest.config",
        "manifest.config.size",
        "manifest.layers[0].mediaType",
        "manifest.layers[0].size",
    ]


def test_a_manifest_that_is_an_index_too_is_told_in_one_short_line() -> None:
    config = {"mediaType": "a/b", "digest": DIGEST, "size": 1}
    document = {"schemaVersion": 2, "config": config, "layers": [config] * 50, "manifests": []}
    assert validate(json.dumps(document).encode(), media_types.MANIFEST) == [
        SchemaProblem("manifest", 'a manifest cannot have "manifests"')
    ]


def test_a_long_value_is_not_quoted_whole() -> None:
    document = {"imageLayoutVersion": "9" * 5000}
    (problem,) = validate(json.dumps(document).encode(), LAYOUT)
    assert len(problem.message) < 250


def test_the_layout_version_is_still_1_0_0() -> None:
    assert validate(b'{"imageLayoutVersion":"1.0.0"}', LAYOUT) == []
    assert validate(b'{"imageLayoutVersion":"1.1.0"}', LAYOUT) != []


@pytest.mark.parametrize(
    "digest",
    [
        "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
        "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564",
        "sha512:" + "0" * 128,
    ],
)
def test_digests_of_descriptor_md_are_valid(digest: str) -> None:
    """The table of descriptor.md#digests; sha512 in full length."""
    assert validate(json.dumps({"mediaType": "a/b", "size": 0, "digest": digest}).encode(), DESCRIPTOR) == []


@pytest.mark.parametrize(
    "digest", ["sha256:" + "A" * 64, "sha256:00", "sha512:" + "0" * 64, "SHA256:00", "a+-b:00", "sha256"]
)
def test_digests_outside_its_grammar_are_not(digest: str) -> None:
    assert validate(json.dumps({"mediaType": "a/b", "size": 0, "digest": digest}).encode(), DESCRIPTOR) != []


def test_a_media_type_without_schema_is_an_error() -> None:
    with pytest.raises(UsageError, match=r'^"text/plain" has no schema$'):
        validate(b"{}", "text/plain")
