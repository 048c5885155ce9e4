"""Records of steps. What is imported may be anybody's: it is used, or what is wrong named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.build.cache import ImportedCache, Own
from pyoci.build.cache_records import (
    INLINE,
    CacheRecord,
    decode_cache,
    decode_inline,
    encode_cache,
    encode_inline,
)
from pyoci.digest import DiffID, Digest, sha256_digest
from pyoci.errors import InvalidDocument
from pyoci.image import Descriptor, Layer, Manifest, media_types


def digest(text: str) -> Digest:
    return sha256_digest(text.encode())


def layer(name: str, media_type: str = media_types.LAYER_GZIP) -> Layer:
    return Layer(Descriptor(media_type, digest(name), len(name)), DiffID(digest("plain " + name)))


RUN = CacheRecord((digest("k1"),), layer("a"), epoch=7)
COPY = CacheRecord((digest("k2"), digest("k3")), layer("b"))
SAME = CacheRecord((digest("k4"),), layer("b"))


def test_a_cache_of_its_own_is_an_image_manifest() -> None:
    manifest, config = encode_cache([RUN, COPY, SAME])
    assert manifest.media_type == media_types.MANIFEST
    assert manifest.value.config == config.descriptor()
    assert config.media_type == "application/vnd.pyoci.cache.config.v1+json"
    assert {one.digest for one in manifest.value.layers} == {digest("a"), digest("b")}
    found = decode_cache(config.raw, manifest.value)
    assert {(frozenset(one.keys), one.layer, one.epoch) for one in found} == {
        (frozenset(one.keys), one.layer, one.epoch) for one in (RUN, COPY, SAME)
    }


def test_equal_records_give_equal_bytes() -> None:
    assert encode_cache([RUN, COPY, SAME]) == encode_cache([SAME, COPY, RUN])


def test_an_image_holds_the_records_of_its_own_layers() -> None:
    layers = [layer("base"), RUN.layer]
    member = encode_inline([RUN, COPY], layers)
    assert decode_inline({INLINE: member}, layers) == [RUN]
    assert decode_inline({}, layers) == []


def config(**changes: Any) -> bytes:
    value: dict[str, Any] = {
        "version": 1,
        "diff_ids": [digest("plain a")],
        "records": [{"keys": [digest("k")], "layer": 0}],
    }
    return json.dumps({**value, **changes}).encode()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[]", "cache must be a JSON object, is an array"),
        (b"{}", 'cache: "version" is missing'),
        (config(version=2), "cache is of version 2"),
        (config(diff_ids=[]), "cache: has 0 diff_ids, its manifest has 1 layers"),
        (config(diff_ids=["sha256:../.."]), 'cache.diff_ids[0]: "sha256:../.." is not a sha256 digest'),
        (config(records=[{"keys": [], "layer": 1}]), "cache.records[0].layer: there are only 1 layers"),
        (config(records=[{"keys": [], "layer": -1}]), "cache.records[0].layer: -1 is out of range"),
        (config(records=[{"keys": ["x"], "layer": 0}]), 'cache.records[0].keys[0]: "x" is not'),
        (config(records=[{"keys": [], "layer": 0, "epoch": "0"}]), "cache.records[0].epoch: must be an integer"),
        (config(records=[{"layer": 0}]), 'cache.records[0]: "keys" is missing'),
    ],
)
def test_what_breaks_the_format_is_named(raw: bytes, message: str) -> None:
    blob = layer("a").descriptor
    with pytest.raises(InvalidDocument) as caught:
        decode_cache(raw, Manifest(blob, (blob,)))
    assert caught.value.message.startswith(message)


def test_a_layer_that_is_none_is_refused() -> None:
    blob = layer("a", "application/octet-stream").descriptor
    with pytest.raises(InvalidDocument, match='"application/octet-stream" is not the media type of a file system'):
        decode_cache(config(), Manifest(blob, (blob,)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([digest("k"), "version"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["keys", "layer", "epoch"]), inner),
    max_leaves=6,
)


@given(json_values, json_values, json_values)
def test_any_member_of_a_config_is_read_or_refused(version: Any, records: Any, whole: Any) -> None:
    for member in ({"version": version, "records": records}, {"version": 1, "records": [whole]}, whole):
        try:
            decode_inline({INLINE: member}, [layer("a")])
        except InvalidDocument as error:
            assert error.message.startswith(f"config.{INLINE}")


class Memory:
    def __init__(self) -> None:
        self.records: dict[Digest, Own] = {}

    def get(self, key: Digest) -> Own | None:
        return self.records.get(key)

    def put(self, key: Digest, own: Own) -> None:
        self.records[key] = own


def test_what_is_imported_goes_before_the_store_and_is_not_remembered_in_it() -> None:
    own = Memory()
    imported = layer("imported")
    cache = ImportedCache(own, {digest("k"): imported})
    own.put(digest("k"), "a snapshot")
    assert cache.get(digest("k")) is imported
    cache.put(digest("other key of the same step"), imported)
    assert list(own.records) == [digest("k")]
    cache.put(digest("made here"), layer("imported"))
    assert cache.get(digest("made here")) == imported
    assert cache.get(digest("unknown")) is None
