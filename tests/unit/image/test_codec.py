"""Decoding and encoding by example: messages, defaults, and what a document keeps. The rules at large are in
tests/property/test_schema_agreement.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyoci.digest import DiffID, Digest, sha256_digest
from pyoci.errors import InvalidDocument
from pyoci.image import (
    ContainerConfig,
    Descriptor,
    Healthcheck,
    History,
    ImageConfig,
    Index,
    Manifest,
    decode_config,
    decode_index,
    decode_manifest,
    encode_config,
    encode_index,
    encode_manifest,
    media_types,
)
from pyoci.image.codec import canonical_json, decode_descriptor, decode_object
from pyoci.platforms import Platform

DIGEST = Digest("sha256:" + "0" * 64)
CONFIG = {"mediaType": media_types.CONFIG, "digest": DIGEST, "size": 7}
LAYER = {"mediaType": media_types.LAYER_GZIP, "digest": DIGEST, "size": 9}


def raw(**members: Any) -> bytes:
    return json.dumps(members).encode()


def manifest(**members: Any) -> bytes:
    return raw(**{"schemaVersion": 2, "config": CONFIG, "layers": [LAYER], **members})


def index(**members: Any) -> bytes:
    return raw(**{"schemaVersion": 2, "manifests": [], **members})


def config(**members: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [DIGEST]}
    return raw(**{"os": "linux", "architecture": "amd64", "rootfs": rootfs, **members})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "manifest is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "manifest must be a JSON object, is an array"),
        (b"null", "manifest must be a JSON object, is null"),
        (b"\xff", "manifest is not valid JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b'{"a": NaN}', "manifest is not valid JSON: NaN is not JSON"),
        (b'{"a": 1e999}', "manifest is not valid JSON: 1e999 is out of range"),
        (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "manifest is nested more than 100 deep"),
        (b'{"a":' + b"[" * 99_999, "manifest is nested too deeply"),
        (raw(), 'manifest: "config" is missing'),
        (manifest(schemaVersion=1), "manifest: schemaVersion must be 2, is 1"),
        (manifest(schemaVersion="2"), "manifest.schemaVersion: must be an integer, is a string"),
        (manifest(schemaVersion=True), "manifest.schemaVersion: must be an integer, is a boolean"),
        (manifest(schemaVersion=2.0), "manifest.schemaVersion: must be an integer, is a number"),
        (manifest(mediaType="a/b"), 'manifest: mediaType is "a/b"'),
        (manifest(mediaType=media_types.INDEX), f'manifest: mediaType is "{media_types.INDEX}"'),
        (manifest(manifests=[]), 'manifest: a manifest cannot have "manifests"'),
        (manifest(config=None), "manifest.config: must be an object, is null"),
        (manifest(layers={}), "manifest.layers: must be an array, is an object"),
        (manifest(layers=[LAYER, {**LAYER, "size": -1}]), "manifest.layers[1].size: -1 is out of range"),
        (manifest(layers=[{**LAYER, "size": 2**63}]), f"manifest.layers[0].size: {2**63} is out of range"),
        (manifest(layers=[{**LAYER, "mediaType": "tar"}]), 'manifest.layers[0].mediaType: "tar" is not a media type'),
        (manifest(layers=[{**LAYER, "urls": [1]}]), "manifest.layers[0].urls[0]: must be a string, is an integer"),
        (manifest(layers=[{**LAYER, "digest": None}]), "manifest.layers[0].digest: must be a string, is null"),
        (manifest(layers=[{**LAYER, "size": None}]), "manifest.layers[0].size: must be an integer, is null"),
        (manifest(layers=[{**LAYER, "mediaType": None}]), "manifest.layers[0].mediaType: must be a string, is null"),
        (manifest(layers=[{**LAYER, "data": "e30"}]), "manifest.layers[0].data: is not base64"),
        (manifest(annotations={"k": 1}), "manifest.annotations.k: must be a string, is an integer"),
        (manifest(annotations={"a\nb": 1}), r"manifest.annotations.a\nb: must be a string, is an integer"),
        (
            manifest(config={**CONFIG, "digest": "sha256:../../etc/passwd"}),
            'manifest.config.digest: "sha256:../../etc/passwd" is not a sha256 digest',
        ),
        (
            manifest(config={**CONFIG, "digest": "md5:00"}),
            'manifest.config.digest: "md5:00" is not a digest that can be verified',
        ),
    ],
)
def test_a_fault_is_named_with_its_place(document: bytes, message: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        decode_manifest(document)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (index(layers=[]), 'index: an index cannot have "layers"'),
        (index(config=CONFIG), 'index: an index cannot have "config"'),
        (index(mediaType=media_types.MANIFEST), f'index: mediaType is "{media_types.MANIFEST}"'),
        (
            index(manifests=[{**CONFIG, "platform": {"os": 1}}]),
            "index.manifests[0].platform.os: must be a string, is an integer",
        ),
    ],
)
def test_a_fault_of_an_index(document: bytes, message: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        decode_index(document)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (config(os=1), "config.os: must be a string, is an integer"),
        (config(rootfs={"type": "base", "diff_ids": []}), 'config.rootfs: type must be "layers", is "base"'),
        (
            config(rootfs={"type": "layers", "diff_ids": ["x"]}),
            'config.rootfs.diff_ids[0]: "x" is not a digest that can be verified',
        ),
        (config(created="yesterday"), 'config.created: "yesterday" is not an RFC 3339 time'),
        (config(created="2023-02-29T00:00:00Z"), 'config.created: "2023-02-29T00:00:00Z" is not an RFC 3339 time'),
        (config(config={"Env": ["a", 1]}), "config.config.Env[1]: must be a string, is an integer"),
        (
            config(created="2024-01-01T00:00:00+24:00"),
            'config.created: "2024-01-01T00:00:00+24:00" is not an RFC 3339 time',
        ),
        (config(config={"User": "a\0b"}), "config.config.User: has a NUL character"),
        (config(history=[{"empty_layer": 1}]), "config.history[0].empty_layer: must be true or false, is an integer"),
    ],
)
def test_a_fault_of_a_config(document: bytes, message: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        decode_config(document)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("declared", "announced", "result"),
    [
        (None, "", media_types.MANIFEST),
        (None, media_types.MANIFEST, media_types.MANIFEST),
        (media_types.MANIFEST, "", media_types.MANIFEST),
        (media_types.DOCKER_MANIFEST, "", media_types.DOCKER_MANIFEST),
        (media_types.DOCKER_MANIFEST, media_types.DOCKER_MANIFEST, media_types.DOCKER_MANIFEST),
        (None, media_types.DOCKER_MANIFEST, None),
        (media_types.MANIFEST, media_types.DOCKER_MANIFEST, None),
        (media_types.DOCKER_MANIFEST, media_types.MANIFEST, None),
        (None, media_types.INDEX, None),
    ],
)
def test_what_a_manifest_says_it_is_must_be_what_was_announced(
    declared: str | None, announced: str, result: str | None
) -> None:
    document = manifest(**({"mediaType": declared} if declared else {}))
    if result is None:
        with pytest.raises(InvalidDocument):
            decode_manifest(document, media_type=announced)
    else:
        decoded = decode_manifest(document, media_type=announced)
        assert decoded.media_type == decoded.value.media_type == result


def test_a_document_keeps_its_bytes() -> None:
    document = b" " + manifest(unknown={"b": 1, "a": [1.50]}) + b"\n"
    decoded = decode_manifest(document)
    assert decoded.raw == document
    assert decoded.digest == sha256_digest(document)
    assert decoded.descriptor() == Descriptor(media_types.MANIFEST, sha256_digest(document), len(document))


def test_null_is_what_go_writes_for_an_empty_slice_or_map() -> None:
    nulls = dict.fromkeys(
        ["Env", "Cmd", "Entrypoint", "Volumes", "ExposedPorts", "Labels", "OnBuild", "Shell", "Healthcheck"]
    )
    decoded = decode_config(
        config(config=nulls, history=None, created=None, rootfs={"type": "layers", "diff_ids": None})
    )
    assert decoded.value == ImageConfig(Platform("linux", "amd64"))


def test_null_is_a_member_that_is_missing() -> None:
    """Go's encoding/json leaves a field as it is where the document has null; BuildKit 0.32 builds on all of these."""
    optional = dict.fromkeys(["urls", "annotations", "platform", "data", "artifactType"])
    whole = dict.fromkeys(["annotations", "artifactType", "subject", "mediaType"])
    assert decode_manifest(manifest(**whole)).value == decode_manifest(manifest()).value
    assert decode_manifest(manifest(layers=[{**LAYER, **optional}])).value == decode_manifest(manifest()).value
    assert decode_index(index(**whole)).value == Index(())
    nulls = dict.fromkeys(["author", "variant", "os.version", "os.features"])
    entry = dict.fromkeys(["created", "created_by", "author", "comment", "empty_layer"])
    assert decode_config(config(**nulls)).value == decode_config(config()).value
    assert decode_config(config(history=[entry])).value.history == (History(),)


def test_null_in_a_map_is_the_empty_string() -> None:
    assert decode_config(config(config={"Labels": {"a": None}})).value.config.labels == {"a": ""}
    assert decode_manifest(manifest(annotations={"a": None})).value.annotations == {"a": ""}


@pytest.mark.parametrize("version", [0, None, 2])
def test_a_schema_version_may_be_left_out(version: int | None) -> None:
    assert decode_manifest(manifest(schemaVersion=version)).value == decode_manifest(manifest()).value
    assert decode_index(raw(manifests=[])).value == Index(())


def test_an_empty_artifact_type_is_none() -> None:
    decoded = decode_manifest(manifest(artifactType="", layers=[{**LAYER, "artifactType": ""}])).value
    assert decoded == decode_manifest(manifest()).value


def test_urls_that_are_none_are_not_repeated() -> None:
    document = manifest(layers=[{**LAYER, "urls": ["no uri", "https://x/y"]}])
    decoded = decode_manifest(document)
    assert decoded.value.layers[0].urls == ("https://x/y",)
    assert decoded.raw == document


@pytest.mark.parametrize("platform", [{}, {"os": "linux"}, {"architecture": "arm64"}])
def test_half_a_platform_is_read_and_not_written(platform: dict[str, str]) -> None:
    decoded = decode_manifest(manifest(layers=[{**LAYER, "platform": platform}])).value
    assert decoded.layers[0].platform == Platform(platform.get("os", ""), platform.get("architecture", ""))
    assert "platform" not in json.loads(encode_manifest(decoded).raw)["layers"][0]


def test_a_config_without_platform_and_rootfs_type() -> None:
    decoded = decode_config(raw(rootfs={"diff_ids": [DIGEST]})).value
    assert (decoded.platform, decoded.diff_ids) == (Platform("", ""), (DIGEST,))


@pytest.mark.parametrize(
    ("read", "result"),
    [("2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00.5Z"), ("2024-01-01T1:00:00+01:00", "2024-01-01T01:00:00+01:00")],
)
def test_times_that_go_reads_are_written_as_rfc_3339_has_them(read: str, result: str) -> None:
    decoded = decode_config(config(created=read, history=[{"created": read}])).value
    assert (decoded.created, decoded.history[0].created) == (result, result)


def test_strings_that_are_not_utf8_are_read_as_go_reads_them() -> None:
    """BuildKit 0.32 makes one U+FFFD of each wrong byte."""
    document = config(author="XX").replace(b"XX", b"a\xe2\x82b\xff")
    decoded = decode_config(document)
    assert decoded.value.author == "a\ufffd\ufffdb\ufffd"
    assert decoded.raw == document


def test_names_of_members_count_as_they_are_written() -> None:
    document = manifest(Layers=[])
    assert len(decode_manifest(document).value.layers) == 1


def test_layers_may_be_null_and_the_bytes_stay() -> None:
    document = manifest(layers=None)
    decoded = decode_manifest(document)
    assert decoded.value.layers == ()
    assert decoded.raw == document
    assert decode_index(index(manifests=None)).value.manifests == ()


def test_docker_leaves_diff_ids_out_where_there_are_no_layers() -> None:
    assert decode_config(config(rootfs={"type": "layers"})).value.diff_ids == ()


def test_an_empty_command_is_not_a_missing_one() -> None:
    decoded = decode_config(config(config={"Cmd": [], "Entrypoint": []})).value
    assert (decoded.config.cmd, decoded.config.entrypoint, decoded.config.shell) == ((), (), None)
    assert json.loads(encode_config(decoded).raw)["config"] == {"Cmd": [], "Entrypoint": []}


def test_what_a_healthcheck_leaves_out_is_the_default() -> None:
    decoded = decode_config(config(config={"Healthcheck": {"Test": ["NONE"]}})).value
    assert decoded.config.healthcheck == Healthcheck(("NONE",))
    assert json.loads(encode_config(decoded).raw)["config"] == {"Healthcheck": {"Test": ["NONE"]}}


def test_what_is_not_known_is_kept() -> None:
    decoded = decode_config(config(container="abc", config={"Hostname": "h", "Domainname": ""})).value
    again = json.loads(encode_config(decoded).raw)
    assert again["container"] == "abc"
    assert again["config"] == {"Hostname": "h", "Domainname": ""}


def test_lone_surrogates_become_what_go_makes_of_them() -> None:
    decoded = decode_config(config(config={"Labels": {"\ud800": "a\udfffb", "ok": "\N{PILE OF POO}"}})).value
    assert decoded.config.labels == {"�": "a�b", "ok": "\N{PILE OF POO}"}
    encode_config(decoded)


def test_canonical_json_is_sorted_and_dense() -> None:
    assert canonical_json({"b": [1, None, True], "a": "é<&>"}) == '{"a":"é<&>","b":[1,null,true]}'.encode()


def test_bytes_that_are_not_utf8_are_written_as_go_writes_them() -> None:
    assert (
        canonical_json({"created_by": b"a\xffb".decode("utf-8", "surrogateescape")}) == '{"created_by":"a�b"}'.encode()
    )


def test_empty_members_are_left_out() -> None:
    descriptor = Descriptor(media_types.CONFIG, DIGEST, 0)
    assert json.loads(encode_manifest(Manifest(descriptor, ())).raw) == {
        "schemaVersion": 2,
        "mediaType": media_types.MANIFEST,
        "config": {"mediaType": media_types.CONFIG, "digest": DIGEST, "size": 0},
        "layers": [],
    }
    assert json.loads(encode_index(Index(())).raw) == {
        "schemaVersion": 2,
        "mediaType": media_types.INDEX,
        "manifests": [],
    }
    assert json.loads(encode_config(ImageConfig(Platform("linux", "arm64"))).raw) == {
        "os": "linux",
        "architecture": "arm64",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [],
    }


def test_every_member_survives_a_round_trip() -> None:
    platform = Platform("windows", "arm", "v7", "10", ("a", "b"))
    descriptor = Descriptor(media_types.LAYER, DIGEST, 3, {"k": "v"}, platform, ("https://x/y",), "a/b", b"abc")
    image = Manifest(descriptor, (descriptor, descriptor), {"k": "v"}, media_types.MANIFEST, "a/b", descriptor)
    assert decode_manifest(encode_manifest(image).raw).value == image
    several = Index((descriptor,), {"k": "v"}, media_types.INDEX, "a/b", descriptor)
    assert decode_index(encode_index(several).raw).value == several
    health = Healthcheck(("CMD", "x"), 1, 2, 3, 4, 5)
    container = ContainerConfig(
        user="u",
        exposed_ports=("80/tcp",),
        env=("A=b",),
        entrypoint=("e",),
        cmd=("c",),
        volumes=("/v",),
        working_dir="/w",
        labels={"l": "v"},
        stop_signal="TERM",
        args_escaped=True,
        healthcheck=health,
        on_build=("RUN x",),
        shell=("sh", "-c"),
        extra={"Hostname": "h"},
    )
    history = (History("2024-01-01T00:00:00Z", "by", "me", "why", True), History())
    whole = ImageConfig(
        platform, container, (DiffID(DIGEST),), history, "2024-01-01T00:00:00Z", "me", {"x": [1, {"y": None}]}
    )
    assert decode_config(encode_config(whole).raw).value == whole


def test_a_descriptor_and_an_object_on_their_own() -> None:
    assert decode_descriptor(dict(LAYER), "layer") == Descriptor(media_types.LAYER_GZIP, DIGEST, 9)
    with pytest.raises(InvalidDocument, match=r"^layer: must be an object, is an array$"):
        decode_descriptor([], "layer")
    assert decode_object(b'{"a":[1]}', "x") == {"a": [1]}
