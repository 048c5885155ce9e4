"""Cache keys: the digest of a step's fields and of its inputs (DESIGN D7, D9).

A key is canonical JSON with the types' names in it, never joined strings. Secrets and cache mounts are in a step by ID,
so no value of theirs can reach a key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pyoci.build.steps import Step
from pyoci.digest import Digest, sha256_digest
from pyoci.values import fields, is_dataclass

__all__ = ["content_key", "identity_key", "plain_value", "structural_digest"]

_VERSION = 2
"""Raised whenever an operation gives another result for the same step."""


def plain_value(value: object) -> object:
    """JSON values for a frozen value; dataclasses carry their type's name, so that equal fields of two types differ."""
    if value is None or isinstance(value, str | int | bool):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: plain_value(getattr(value, field.name)) for field in fields(value)}
        return {"type": type(value).__name__, **members}
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain_value(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be in a key")


def structural_digest(value: object) -> Digest:
    """The digest of a value made of frozen dataclasses, strings, integers, sequences and mappings."""
    text = json.dumps(plain_value(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256_digest(text.encode("ascii"))


def identity_key(step: Step, inputs: Sequence[str | None]) -> Digest | None:
    """The key by the identities of all inputs; None if one has none, as a local context. No bytes are read for it."""
    if None in inputs:
        return None
    return structural_digest(["identity", _VERSION, step, list(inputs)])


def content_key(step: Step, parent: str | None, read: Sequence[Digest]) -> Digest:
    """The key by the parent's identity and by what the step reads from each other input."""
    return structural_digest(["content", _VERSION, step, parent, list(read)])
