"""The strict decoder and the JSON schemas accept the same documents, but for the differences listed here."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.errors import InvalidDocument
from pyoci.image import decode_config, decode_index, decode_manifest, media_types
from pyoci.image.schema import validate

A = "sha256:" + "a" * 64
B = "sha512:" + "b" * 128


def descriptor(media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": A, "size": 7, **more}


def manifest(media_type: str) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(media_types.CONFIG, data="e30="),
        "layers": [
            descriptor(media_types.LAYER_GZIP, urls=["https://example.com/a?b=%20c"], annotations={"k": "v"}),
            {"mediaType": media_types.LAYER, "digest": B, "size": 0},
        ],
        "annotations": {"org.example": "x"},
        "artifactType": "application/x.y",
        "subject": descriptor(media_type),
    }


def index(media_type: str) -> dict[str, Any]:
    platform = {"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1", "os.features": ["f"]}
    entry = descriptor(media_types.MANIFEST, platform=platform, artifactType="application/x.y")
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": [entry], "annotations": {"org.example": "x"}}


def config() -> dict[str, Any]:
    health = {"Test": ["CMD", "true"], "Interval": 1, "Timeout": 2, "StartPeriod": 3, "StartInterval": 4, "Retries": 5}
    return {
        "created": "2024-02-29T12:00:00.5+01:00",
        "author": "a",
        "architecture": "amd64",
        "os": "linux",
        "variant": "v2",
        "os.version": "1",
        "os.features": ["f"],
        "config": {
            "User": "1:1",
            "ExposedPorts": {"80/tcp": {}},
            "Env": ["A=b", "C="],
            "Entrypoint": ["/e"],
            "Cmd": ["c"],
            "Volumes": {"/v": {}},
            "WorkingDir": "/w",
            "Labels": {"l": "v"},
            "StopSignal": "SIGTERM",
            "ArgsEscaped": True,
            "Healthcheck": health,
            "OnBuild": ["RUN x"],
            "Shell": ["/bin/sh", "-c"],
            "Hostname": "kept",
        },
        "rootfs": {"type": "layers", "diff_ids": [A]},
        "history": [{"created": "2024-02-29T12:00:00Z", "created_by": "x", "empty_layer": True}, {"comment": "c"}],
        "container": "kept",
    }


DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    media_types.MANIFEST: lambda: manifest(media_types.MANIFEST),
    media_types.DOCKER_MANIFEST: lambda: manifest(media_types.DOCKER_MANIFEST),
    media_types.INDEX: lambda: index(media_types.INDEX),
    media_types.DOCKER_INDEX: lambda: index(media_types.DOCKER_INDEX),
    media_types.CONFIG: config,
    media_types.DOCKER_CONFIG: config,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the two may part: `evidence` is found in what the refusing side says."""

    reason: str
    evidence: str
    media_type: str
    change: Callable[[dict[str, Any]], object]
    """Makes a valid document show the difference."""


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that sets what is at `path` (steps separated by spaces)."""

    def change(document: dict[str, Any]) -> None:
        target: Any = document
        *parents, last = path.split(" ")
        for step in parents:
            target = target[int(step) if isinstance(target, list) else step]
        target[int(last) if isinstance(target, list) else last] = value

    return change


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value


DECODER_IS_STRICTER = [
    Difference(
        "the grammar lets algorithms be added, but content cannot be verified by one that is not known",
        r"is not a digest that can be verified",
        media_types.MANIFEST,
        put("layers 0 digest", "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8"),
    ),
    Difference(
        "config.md says that diff_ids are digests; the schema only that they are strings",
        r"^config\.rootfs\.diff_ids\[\d+\]: .*is not a",
        media_types.CONFIG,
        put("rootfs diff_ids 0", "sha256:1234"),
    ),
    Difference(
        "no process, path or file can be given a string with NUL in it",
        r"has a NUL character",
        media_types.CONFIG,
        put("config User", "a\0b"),
    ),
    Difference(
        "what is nested without end cannot be written again",
        r"is nested more than 100 deep",
        media_types.CONFIG,
        put("extra", nested(120)),
    ),
]

DECODER_IS_LOOSER = [
    Difference(
        "Go's engines write null for an empty slice, map or time, and read it as a missing member in every place",
        r": None is not",
        media_types.CONFIG,
        put("config Env", None),
    ),
    Difference(
        "containerd does not look at schemaVersion; 0 is Go's word for nothing",
        r"^(manifest|index)(\.schemaVersion: 0 is less than the minimum of 2|: 'schemaVersion' is a required property)",
        media_types.MANIFEST,
        put("schemaVersion", 0),
    ),
    Difference(
        "an empty artifactType is Go's word for none",
        r"\.artifactType: '' (does not match|is too short|should be non-empty)",
        media_types.MANIFEST,
        put("artifactType", ""),
    ),
    Difference(
        "containerd never looks at urls; those that are none are left out",
        r"\.urls\[\d+\]: .* is not a 'uri'",
        media_types.MANIFEST,
        put("layers 0 urls 0", "no uri"),
    ),
    Difference(
        "containerd reads a platform of which a part is missing, and does not choose it",
        r"\.platform: '(os|architecture)' is a required property",
        media_types.INDEX,
        put("manifests 0 platform", {"os": "linux"}),
    ),
    Difference(
        "BuildKit takes the platform from the index where the config does not say it; so does whoever reads the image",
        r"^config: '(os|architecture)' is a required property",
        media_types.CONFIG,
        lambda document: document.pop("os"),
    ),
    Difference(
        "config.md forbids types that are not known, and containerd does not ask for one",
        r"^config\.rootfs(: 'type' is a required property|\.type: '' is not)",
        media_types.CONFIG,
        put("rootfs", {"diff_ids": [A]}),
    ),
    Difference(
        "Go's time.Parse reads a comma and an hour of one digit",
        r"created: '[^']*' is not a 'date-time'",
        media_types.CONFIG,
        put("created", "2024-02-29T1:00:00,5Z"),
    ),
    Difference(
        "Go's encoding/json replaces what is not UTF-8 in a string",
        r"not JSON: 'utf-8' codec",
        media_types.CONFIG,
        put("author", "\udcff"),
    ),
    Difference(
        "docker leaves diff_ids out of the config of an image without layers",
        r"^config\.rootfs: 'diff_ids' is a required property$",
        media_types.CONFIG,
        put("rootfs", {"type": "layers"}),
    ),
    Difference(
        "manifest.md: layers SHOULD have an entry, and an image FROM scratch may have none",
        r"^manifest\.layers: \[\] should be non-empty$",
        media_types.MANIFEST,
        put("layers", []),
    ),
    Difference(
        "BuildKit writes null for the layers of an image that has none",
        r"^manifest\.layers: None is not of type 'array'$",
        media_types.MANIFEST,
        put("layers", None),
    ),
    Difference(
        "Go writes null for an index without entries as well",
        r"^index\.manifests: None is not of type 'array'$",
        media_types.INDEX,
        put("manifests", None),
    ),
    Difference(
        "Docker runs images whose Env has a name without a value",
        r"^config\.config\.Env\[\d+\]: .* does not match",
        media_types.CONFIG,
        put("config Env 0", "PATH"),
    ),
]


def decoder_says(raw: bytes, media_type: str) -> str:
    """Why the decoder refuses the document; empty when it does not."""
    try:
        if media_types.is_manifest(media_type):
            decode_manifest(raw, media_type=media_type)
        elif media_types.is_index(media_type):
            decode_index(raw, media_type=media_type)
        else:
            decode_config(raw, media_type=media_type)
    except InvalidDocument as error:
        return error.message
    return ""


def schema_says(raw: bytes, media_type: str) -> list[str]:
    return [str(problem) for problem in validate(raw, media_type)]


def assert_they_agree(document: dict[str, Any], media_type: str) -> None:
    raw = json.dumps(document).encode()
    refusal, problems = decoder_says(raw, media_type), schema_says(raw, media_type)
    if refusal and not problems:
        assert any(re.search(known.evidence, refusal) for known in DECODER_IS_STRICTER), refusal
    if problems and not refusal:
        for problem in problems:
            assert any(re.search(known.evidence, problem) for known in DECODER_IS_LOOSER), problem


@pytest.mark.parametrize("media_type", DOCUMENTS)
def test_both_accept_a_document_with_every_member(media_type: str) -> None:
    raw = json.dumps(DOCUMENTS[media_type]()).encode()
    assert decoder_says(raw, media_type) == ""
    assert schema_says(raw, media_type) == []


@pytest.mark.parametrize("known", DECODER_IS_STRICTER, ids=lambda known: known.reason)
def test_the_decoder_is_stricter_where_it_is_listed(known: Difference) -> None:
    document = DOCUMENTS[known.media_type]()
    known.change(document)
    raw = json.dumps(document).encode()
    assert re.search(known.evidence, decoder_says(raw, known.media_type))
    assert schema_says(raw, known.media_type) == []


@pytest.mark.parametrize("known", DECODER_IS_LOOSER, ids=lambda known: known.reason)
def test_the_decoder_is_looser_where_it_is_listed(known: Difference) -> None:
    document = DOCUMENTS[known.media_type]()
    known.change(document)
    raw = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")
    assert decoder_says(raw, known.media_type) == ""
    (problem,) = schema_says(raw, known.media_type)
    assert re.search(known.evidence, problem)


SCALARS = [
    *(None, True, False, 0, 1, 2, -1, 2.0, 1.5, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 1e300),
    *("", "x", "a/b", "a/b\n", "a/b; c=d", ".a/b", "a/.b", "a" * 127 + "/b", "a" * 128 + "/b", "a/" + "b" * 128),
    *(A, B, A.upper(), A + "\n", A[:-1], "sha256:", "sha384:" + "c" * 96, "SHA256:" + "a" * 64, "a+-b:c", "a+b:c="),
    *("e30=", "e30", "e3 0", "e30=\n", "=", "====", "e30=e30=", "é", "\ud800", "\0"),
    *("https://example.com", "mailto:a@b", "example.com", "a b:c", "http://x/%zz", "http://x/é", "http:"),
    *(
        "2024-02-29T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00:00",
        "0000-02-29T00:00:00Z",
    ),
    *(
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:60Z",
        "2024-13-01T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-01-01t00:00:00z",
    ),
    *(
        "2024-01-01T00:00:00.123456789+23:59",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+0100",
        "2024-01-01T00:00:00.Z",
    ),
    *(
        media_types.MANIFEST,
        media_types.INDEX,
        media_types.DOCKER_MANIFEST,
        media_types.DOCKER_INDEX,
        "layers",
        "A=b\nc",
    ),
]
MEMBERS = sorted(
    {
        "manifests",
        "config",
        "layers",
        "urls",
        "data",
        "platform",
        "extra",
        "variant",
        "os.features",
        "empty_layer",
        "Test",
        "",
    }
)

values = st.recursive(
    st.sampled_from(SCALARS) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "", "80/tcp"]), inner, max_size=2)
    ),
    max_leaves=3,
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A valid document with one to three members changed, added or taken away, at any depth."""
    media_type = draw(st.sampled_from(sorted(DOCUMENTS)))
    document = DOCUMENTS[media_type]()
    for _ in range(draw(st.integers(1, 3))):
        _mutate(draw, document)
    return document, media_type


def _mutate(draw: st.DrawFn, document: dict[str, Any]) -> None:
    target: Any = document
    while True:
        if isinstance(target, dict):
            key: Any = draw(st.sampled_from([*target, *MEMBERS]))
            child = target.get(key)
        elif target:
            key = draw(st.integers(0, len(target) - 1))
            child = target[key]
        else:
            target.append(draw(values))
            return
        if isinstance(child, dict | list) and draw(st.integers(0, 3)):
            target = child
            continue
        if child is not None and draw(st.booleans()):
            del target[key]
        else:
            target[key] = copy.deepcopy(draw(values))
        return


@given(mutated())
def test_they_agree_on_whatever_is_changed(case: tuple[dict[str, Any], str]) -> None:
    document, media_type = case
    assert_they_agree(document, media_type)


def _paths(value: Any, path: str = "") -> list[str]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    here = [path] if path else []
    return [*here, *(found for key, item in children for found in _paths(item, f"{path} {key}".lstrip()))]


@pytest.mark.parametrize("media_type", DOCUMENTS)
def test_they_agree_on_every_value_in_every_place(media_type: str) -> None:
    for path in _paths(DOCUMENTS[media_type]()):
        for value in (*SCALARS, [], {}, [None], {"a": None}, {"a": "b"}, {"": 1}, ["x"], [1]):
            document = DOCUMENTS[media_type]()
            put(path, value)(document)
            assert_they_agree(document, media_type)


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b'"x"', b"{", b"{}", b"\xff", b"\xef\xbb\xbf{}", b'{"a":NaN}'])
@pytest.mark.parametrize("media_type", DOCUMENTS)
def test_they_agree_on_what_is_no_document(raw: bytes, media_type: str) -> None:
    assert decoder_says(raw, media_type)
    assert schema_says(raw, media_type)
