"""A target: what one build is asked for. Merging, and the order of fields, are buildx's.

Spec: docker/buildx docs/bake-reference.md#target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyoci.location import Location
from pyoci.values import dataclass, field, fields, replace

__all__ = ["Entry", "Group", "Policy", "Target", "merged", "normalized"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One output, cache, secret, agent or attestation: its keys and values."""

    values: Mapping[str, str] = field(hash=False)

    def get(self, key: str) -> str:
        """The value of a key; empty if there is none."""
        return self.values.get(key, "")


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy that sources are held against."""

    files: tuple[str, ...] = ()
    reset: bool = False
    disabled: bool = False
    strict: bool | None = None
    log_level: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Targets, and groups of them, under one name."""

    name: str
    description: str = ""
    targets: tuple[str, ...] = ()
    location: Location | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Target:
    """One build. None is what was not said; an empty list says that there is nothing."""

    name: str
    description: str | None = None
    inherits: tuple[str, ...] | None = None
    annotations: tuple[str, ...] | None = None
    attest: tuple[Entry, ...] | None = None
    context: str | None = None
    contexts: Mapping[str, str | None] | None = field(default=None, hash=False)
    dockerfile: str | None = None
    dockerfile_inline: str | None = None
    args: Mapping[str, str | None] | None = field(default=None, hash=False)
    labels: Mapping[str, str | None] | None = field(default=None, hash=False)
    tags: tuple[str, ...] | None = None
    cache_from: tuple[Entry, ...] | None = None
    cache_to: tuple[Entry, ...] | None = None
    target: str | None = None
    secret: tuple[Entry, ...] | None = None
    ssh: tuple[Entry, ...] | None = None
    platforms: tuple[str, ...] | None = None
    output: tuple[Entry, ...] | None = None
    pull: bool | None = None
    no_cache: bool | None = None
    network: str | None = None
    no_cache_filter: tuple[str, ...] | None = None
    shm_size: str | None = None
    ulimits: tuple[str, ...] | None = None
    resources: Mapping[str, str | int] | None = field(default=None, hash=False)
    """Limits of RUN steps: `memory`, `memory-swap`, `cpu-shares`, `cpu-period`, `cpu-quota`, `cpuset-cpus`, …."""
    call: str | None = None
    entitlements: tuple[str, ...] | None = None
    extra_hosts: Mapping[str, str | None] | None = field(default=None, hash=False)
    policy: tuple[Policy, ...] | None = None
    base: str | None = None
    """Its context where none is said: the directory of its file, if contexts are relative to that."""
    location: Location | None = field(default=None, compare=False)
    """Where its name stands."""
    linked: bool = False
    """It is built because another target takes its result as a context, and for nothing else."""


_APPENDED = frozenset(
    {
        "annotations",
        "attest",
        "secret",
        "ssh",
        "cache_from",
        "no_cache_filter",
        "ulimits",
        "entitlements",
        "inherits",
        "policy",
    }
)
_MAPPINGS = frozenset({"args", "contexts", "labels", "extra_hosts", "resources"})
_KEYED = {"attest": "type", "secret": "id", "ssh": "id"}
"""Lists of which the last entry of a key counts, in the place of the first, by that key."""
_ENTRIES = frozenset({"cache_from", "cache_to", "output"})
_OWN = frozenset({"name", "location", "linked"})


def merged(target: Target, later: Target) -> Target:
    """The target with what a later definition says: lists of some kinds are appended, the rest is replaced."""
    changes: dict[str, Any] = {}
    for one in fields(Target):
        new = getattr(later, one.name)
        if new is None or one.name in _OWN:
            continue
        old = getattr(target, one.name)
        if one.name in _APPENDED:
            new = (*(old or ()), *new)
        elif one.name in _MAPPINGS:
            new = {**(old or {}), **{key: value for key, value in new.items() if value is not None}}
            new = new if one.name == "resources" else new or None
        changes[one.name] = new
    return replace(target, **changes)


def normalized(target: Target) -> Target:
    """The target without repetitions and empty names; the host's network becomes an entitlement that it needs."""
    changes: dict[str, Any] = {}
    for one in fields(Target):
        value = getattr(target, one.name)
        if not isinstance(value, tuple) or one.name in ("inherits", "policy"):
            continue
        if one.name in _KEYED:
            changes[one.name] = tuple({entry.get(_KEYED[one.name]): entry for entry in value}.values())
        elif one.name in _ENTRIES:
            changes[one.name] = _without_doubles(value)
        else:
            changes[one.name] = _once(value)
    if target.network == "host":
        changes["entitlements"] = _once((*(target.entitlements or ()), "network.host"))
    if target.contexts is not None:
        changes["contexts"] = {key: value for key, value in target.contexts.items() if value} or None
    return replace(target, **changes)


def _once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    found: list[Any] = []
    for value in values:
        if value != "" and value not in found:
            found.append(value)
    return tuple(found)


def _without_doubles(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The entries without repetitions; as in buildx the last one takes the place of each that goes."""
    found = list(entries)
    for index in range(len(found) - 2, -1, -1):
        for other in range(index + 1, len(found)):
            if found[index] == found[other]:
                found[other] = found[-1]
                found.pop()
                break
    return tuple(found)
