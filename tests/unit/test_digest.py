"""Digests against descriptor.md#digests, chain IDs against config.md#layer-chainid."""

from __future__ import annotations

import hashlib

import pytest

from pyoci.digest import DiffID, Digest, chain_ids, digest_hex, new_hash, parse_digest, sha256_digest
from pyoci.errors import InvalidDocument

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_registered_algorithms_are_read(text: str) -> None:
    assert parse_digest(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", '"" is not a digest that can be verified'),
        ("sha256", '"sha256" is not a digest that can be verified'),
        ("blake3:" + "0" * 64, None),
        ("sha384:" + "0" * 96, None),
        ("SHA256:" + "0" * 64, None),
        ("sha256+b64:" + "0" * 64, None),
        (" " + SHA256, None),
        (SHA256.upper().replace("SHA", "sha"), None),
        (SHA256[:-1], None),
        (SHA256 + "0", None),
        (SHA256 + "\n", None),
        (SHA512.replace("sha512", "sha256"), None),
        ("sha256:" + "/" * 64, None),
        ("sha256:" + "../" * 21 + "a", None),
        ("sha256:" + "٣" * 64, None),
    ],
)
def test_anything_else_is_refused(text: str, message: str | None) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_digest(text)
    assert message is None or caught.value.message == message
    assert caught.value.hint


def test_a_digest_of_bytes() -> None:
    """FIPS 180's one-block message."""
    expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_digest(b"abc") == expected
    assert sha256_digest(memoryview(b"abc")) == expected
    assert digest_hex(sha256_digest(b"abc")) == expected[7:]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_hash_has_the_algorithm_of_its_digest(algorithm: str) -> None:
    hasher = new_hash(Digest(f"{algorithm}:00"))
    hasher.update(b"x")
    assert hasher.hexdigest() == hashlib.new(algorithm, b"x").hexdigest()


def test_chain_ids_follow_the_recursion_of_config_md() -> None:
    a, b, c = (DiffID(sha256_digest(name)) for name in (b"a", b"b", b"c"))
    ab = sha256_digest(f"{a} {b}".encode())
    abc = sha256_digest(f"{ab} {c}".encode())
    assert [str(one) for one in chain_ids([a, b, c])] == [a, ab, abc]
    assert chain_ids([]) == ()
