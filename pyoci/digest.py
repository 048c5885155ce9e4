"""Digests of content, as image-spec descriptor.md#digests spells them.

A plain `Digest` is of bytes as stored, a `DiffID` of a layer's uncompressed tar; a `ChainID` names a stack of layers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NewType

from pyoci.errors import InvalidDocument
from pyoci.regex import regex

__all__ = ["ChainID", "DiffID", "Digest", "chain_ids", "digest_hex", "new_hash", "parse_digest", "sha256_digest"]

Digest = NewType("Digest", str)
DiffID = NewType("DiffID", Digest)
ChainID = NewType("ChainID", Digest)

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_HEX = regex(r"[a-f0-9]+")


def parse_digest(text: str) -> Digest:
    """The digest in `text`; only registered algorithms (sha256, sha512) with lower-case hex of the right length.

    Raises:
        InvalidDocument: anything else. Digests become file names, so nothing looser is let through.
    """
    algorithm, separator, encoded = text.partition(":")
    length = _HEX_LENGTH.get(algorithm)
    if not separator or length is None:
        raise InvalidDocument(
            f'"{text[:80]}" is not a digest that can be verified',
            hint="digests are sha256:<64 hex> or sha512:<128 hex>",
        )
    if len(encoded) != length or not _HEX.fullmatch(encoded):
        raise InvalidDocument(
            f'"{text[:160]}" is not a {algorithm} digest', hint=f"it needs {length} lower-case hex digits"
        )
    return Digest(text)


def digest_hex(digest: Digest) -> str:
    """The part after the colon."""
    return digest.partition(":")[2]


def new_hash(digest: Digest) -> hashlib._Hash:
    """A fresh hash object of the digest's algorithm."""
    return hashlib.new(digest.partition(":")[0])


def sha256_digest(data: bytes | bytearray | memoryview) -> Digest:
    """The sha256 digest of some bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def chain_ids(diff_ids: Iterable[DiffID]) -> tuple[ChainID, ...]:
    """The chain ID at every height of a stack of layers, lowest first (image-spec config.md#layer-chainid)."""
    chain: list[ChainID] = []
    for diff_id in diff_ids:
        if chain:
            chain.append(ChainID(sha256_digest(f"{chain[-1]} {diff_id}".encode())))
        else:
            chain.append(ChainID(diff_id))
    return tuple(chain)
