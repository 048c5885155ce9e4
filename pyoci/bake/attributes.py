"""Evaluated attributes of a `target` block to fields of a Target."""

from __future__ import annotations

from typing import Any

from pyoci.bake.entries import ENTRIES, policy_entry, resource_value
from pyoci.bake.values import Value, ValueProblem, as_bool, as_text, kind

__all__ = ["ATTRIBUTES", "decode_attribute", "texts"]

_TEXTS = ("context", "dockerfile", "dockerfile-inline", "target", "network", "shm-size", "call", "description")
_LISTS = ("inherits", "annotations", "tags", "platforms", "no-cache-filter", "ulimits", "entitlements")
_MAPPINGS = ("args", "labels", "contexts", "extra-hosts")
_BOOLS = ("pull", "no-cache")
_ENTRIES = ("attest", "cache-from", "cache-to", "output", "secret", "ssh")

ATTRIBUTES = frozenset({*_TEXTS, *_LISTS, *_MAPPINGS, *_BOOLS, *_ENTRIES, "policy", "resources"})
"""What a target may say, besides `name` and `matrix`."""


def decode_attribute(name: str, value: Value) -> Any:
    """What goes into the field of an attribute; None if the value is null.

    Raises:
        ValueProblem: it is of another type.
    """
    if value is None:
        return None
    if name in _TEXTS:
        return as_text(value)
    if name in _LISTS:
        return texts(value)
    if name in _MAPPINGS:
        return _mapping(value)
    if name in _BOOLS:
        return as_bool(value)
    if name == "resources":
        return _resources(value)
    if name == "policy":
        return tuple(policy_entry(_entry(one)) for one in _items(value) if one != "")
    decode = ENTRIES[name.replace("-", "_")]
    return tuple(decode(_entry(one)) for one in _items(value) if one != "")


def _items(value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise ValueProblem(f"a list is needed, not {'an' if isinstance(value, dict) else 'a'} {kind(value)}")
    return value


def texts(value: Value) -> tuple[str, ...]:
    """A list of strings.

    Raises:
        ValueProblem: it is none.
    """
    return tuple(as_text(item) for item in _items(value) if item is not None)


def _mapping(value: Value) -> dict[str, str | None]:
    if not isinstance(value, dict):
        raise ValueProblem(f"an object is needed, not a {kind(value)}")
    return {key: None if one is None else as_text(one) for key, one in value.items()}


def _resources(value: Value) -> dict[str, str | int]:
    if not isinstance(value, dict):
        raise ValueProblem(f"an object is needed, not a {kind(value)}")
    return {key: resource_value(key, as_text(one)) for key, one in value.items() if one is not None}


def _entry(value: Value) -> str | dict[str, str]:
    if not isinstance(value, dict):
        return as_text(value)
    found: dict[str, str] = {}
    for key, one in value.items():
        if isinstance(one, list):
            found[key] = ",".join(texts(one))
        elif one is not None:
            found[key] = as_text(one)
    return found
