"""`--set pattern.key=value`: changes to targets from the command line. The keys are buildx's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyoci.bake.entries import ENTRIES, policy_entry, resource_value, secret_entry
from pyoci.bake.problems import name_matches, unknown
from pyoci.bake.target import Entry, Target
from pyoci.bake.values import ValueProblem
from pyoci.errors import BakeError, UsageError
from pyoci.values import dataclass, replace

__all__ = ["KEYS", "Change", "Overrides", "overridden", "read_overrides"]

_TEXTS = {
    "context": "context",
    "dockerfile": "dockerfile",
    "target": "target",
    "call": "call",
    "network": "network",
    "shm-size": "shm_size",
}
_BOOLS = {"no-cache": "no_cache", "pull": "pull"}
_LISTS = {"tags": "tags", "platform": "platforms", "no-cache-filter": "no_cache_filter", "ulimits": "ulimits"}
_ADDED = {"entitlements": "entitlements", "annotations": "annotations"}
_ENTRIES = {
    "output": "output",
    "cache-to": "cache_to",
    "cache-from": "cache_from",
    "secrets": "secret",
    "ssh": "ssh",
    "attest": "attest",
}
_MAPPINGS = {"args": "args", "contexts": "contexts", "labels": "labels", "extra-hosts": "extra_hosts"}
_OUTPUTS = ("push", "load")
_NAMED = (*_MAPPINGS, "resources", "secret")
"""Keys of whose elements one is set, by its name."""
KEYS = (*_TEXTS, *_BOOLS, *_LISTS, *_ADDED, *_ENTRIES, *_NAMED, *_OUTPUTS, "policy")
"""What `--set` sets."""
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


@dataclass(frozen=True, slots=True)
class Change:
    """What one key of a target is set to."""

    key: str
    name: str
    """Of the element, for keys that are mappings: `args.NAME`."""
    values: tuple[str, ...]
    append: bool
    text: str
    """As the user wrote it."""


Overrides = Mapping[str, Mapping[str, Change]]
"""By target, then by key with name."""


def read_overrides(texts: Sequence[str], targets: Mapping[str, Target], variables: Mapping[str, str]) -> Overrides:
    """The changes to each target.

    Raises:
        UsageError: one is malformed, or its key does not exist.
        BakeError: a pattern matches no target.
    """
    found: dict[str, dict[str, Change]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        append = left.endswith("+")
        pattern, _, rest = left.removesuffix("+").partition(".")
        key, _, name = rest.partition(".")
        if not pattern or not key:
            raise UsageError(f'invalid value "{text}" for --set', hint="write --set TARGET.KEY=VALUE")
        if key not in KEYS:
            problem = unknown("unknown key", key, KEYS, None, otherwise=f"the keys are {', '.join(sorted(KEYS))}")
            raise UsageError(f'{problem.message} in --set "{text}"', hint=problem.hint)
        if key in _NAMED and not name:
            raise UsageError(f'invalid value "{text}" for --set', hint=f"write --set {pattern}.{key}.NAME=VALUE")
        if append and key in ("resources", "secret"):
            raise UsageError(f'invalid value "{text}" for --set', hint=f"{key} cannot be added to: leave + out")
        if not equals:
            if key != "args":
                raise UsageError(f'invalid value "{text}" for --set', hint="write --set TARGET.KEY=VALUE")
            if name not in variables:
                continue
            value = variables[name]
        for target in _targets(pattern, targets):
            of_target = found.setdefault(target, {})
            before = of_target.get(rest)
            values = (*before.values, value) if before is not None and key not in _NAMED else (value,)
            of_target[rest] = Change(key, name, values, append, text)
    return found


def _targets(pattern: str, targets: Mapping[str, Target]) -> list[str]:
    if pattern in targets:
        return [pattern]
    found = [name for name in targets if name_matches(pattern, name)]
    if not found:
        there = ", ".join(sorted(targets)) or "none"
        raise BakeError(f'no target matches "{pattern}" of --set', hint=f"the targets are: {there}")
    return found


def overridden(target: Target, changes: Mapping[str, Change]) -> Target:
    """The target with the changes.

    Raises:
        UsageError: a value is not one of its key.
    """
    for change in sorted(changes.values(), key=lambda one: one.key == "secret"):
        try:
            target = replace(target, **_changed(target, change))
        except ValueProblem as problem:
            raise UsageError(f'invalid value "{change.text}" for --set: {problem}') from problem
    return target


def _changed(target: Target, change: Change) -> dict[str, Any]:
    key, last = change.key, change.values[-1]
    if key in _TEXTS:
        return {_TEXTS[key]: last}
    if key in _BOOLS:
        return {_BOOLS[key]: _bool(last)}
    if key in _MAPPINGS:
        field = _MAPPINGS[key]
        return {field: {**(getattr(target, field) or {}), change.name: last}}
    if key == "resources":
        return {"resources": {**(target.resources or {}), change.name: resource_value(change.name, last)}}
    if key == "secret":
        return {"secret": _moved(target, change.name, last)}
    if key == "policy":
        return {"policy": (*((target.policy or ()) if change.append else ()), *map(policy_entry, change.values))}
    if key in _OUTPUTS:
        outputs = target.output or ()
        return {"output": (_pushed if key == "push" else _loaded)(outputs, enabled=_bool(last))}
    if key in _LISTS or key in _ADDED:
        field = _LISTS.get(key) or _ADDED[key]
        before = getattr(target, field) or () if change.append or key in _ADDED else ()
        return {field: (*before, *change.values)}
    field = _ENTRIES[key]
    before = getattr(target, field) or () if change.append or key == "attest" else ()
    return {field: (*before, *(ENTRIES[field](value) for value in change.values if value))}


def _moved(target: Target, name: str, text: str) -> tuple[Entry, ...]:
    """The secrets of a target, one of them from elsewhere."""
    given = secret_entry(text)
    if given.get("id") not in ("", name):
        raise ValueProblem(f'"{given.get("id")}" is not the secret "{name}"')
    found = tuple(Entry({**given.values, "id": name}) if one.get("id") == name else one for one in target.secret or ())
    if found == (target.secret or ()) and not any(one.get("id") == name for one in found):
        raise ValueProblem(f'target {target.name} declares no secret "{name}"')
    return found


def _bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueProblem(f'"{text}" is neither true nor false')


def _pushed(outputs: tuple[Entry, ...], *, enabled: bool) -> tuple[Entry, ...]:
    """Outputs with or without a push: one is added where nothing but what docker loads is made."""
    if not enabled:
        kept = [one for one in outputs if one.get("type") != "registry"]
        return tuple(_with(one, "push", "false") if one.get("type") == "image" else one for one in kept)
    changed = tuple(_with(one, "push", "true") if one.get("type") == "image" else one for one in outputs)
    if all(one.get("type") == "docker" for one in outputs):
        return (*changed, Entry({"type": "image", "push": "true"}))
    return changed


def _with(entry: Entry, key: str, value: str) -> Entry:
    return Entry({**entry.values, key: value})


def _loaded(outputs: tuple[Entry, ...], *, enabled: bool) -> tuple[Entry, ...]:
    if not enabled:
        return outputs
    for one in outputs:
        if one.get("type") == "docker" and not one.get("dest"):
            return outputs
        if one.get("type") not in ("docker", "image", "registry", "oci"):
            return outputs
    return (*outputs, Entry({"type": "docker"}))
