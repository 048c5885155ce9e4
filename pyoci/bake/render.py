"""Targets as `--print` shows them: JSON with buildx's keys, order, indentation and escapes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyoci.bake.target import Entry, Group, Policy, Target
from pyoci.values import fields

__all__ = ["definition", "render_json", "target_object"]

_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_RESOURCES = ("memory", "memory-swap", "cpu-shares", "cpu-period", "cpu-quota", "cpuset-cpus", "cpuset-mems")
_TEMPLATES = frozenset({"annotations", "dockerfile_inline", "labels", "args", "extra_hosts"})
"""Fields whose `${` is escaped, so that the JSON can be read as a bake file again."""
_SHOWN_EMPTY = frozenset({"target", "network", "call", "shm_size", "dockerfile_inline", "resources"})
_OWN = frozenset({"name", "base", "location", "linked", "inherits"})


def render_json(value: object) -> str:
    """JSON as Go's encoder writes it with two spaces of indentation; signs that matter in HTML are escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    for sign, escape in _ESCAPED.items():
        text = text.replace(sign, escape)
    return text


def definition(groups: Mapping[str, Group], targets: Mapping[str, Target]) -> dict[str, Any]:
    """The object that `--print` shows."""
    found: dict[str, Any] = {}
    if groups:
        found["group"] = {name: _group(groups[name]) for name in sorted(groups)}
    found["target"] = {name: target_object(targets[name]) for name in sorted(targets)}
    return found


def _group(group: Group) -> dict[str, Any]:
    described = {"description": group.description} if group.description else {}
    return {**described, "targets": list(group.targets)}


def target_object(target: Target) -> dict[str, Any]:
    """One target; what is empty is left out."""
    found: dict[str, Any] = {}
    for one in fields(Target):
        value = getattr(target, one.name)
        if one.name in _OWN or value is None or (value in ((), {}, "") and one.name not in _SHOWN_EMPTY):
            continue
        shown = _shown(one.name, value)
        if one.name in _TEMPLATES:
            shown = _escaped(shown)
        found[one.name.replace("_", "-")] = shown
    return found


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return [_item(name, item) for item in value]
    if name == "resources":
        return {key: value[key] for key in _RESOURCES if key in value}
    if isinstance(value, Mapping):
        return {key: value[key] for key in sorted(value)}
    return value


def _item(name: str, item: Any) -> Any:
    match item:
        case Entry():
            return _entry(name, item)
        case Policy():
            return {
                "Files": [{"Filename": file, "Data": None} for file in item.files] or None,
                "Reset": item.reset,
                "Disabled": item.disabled,
                "Strict": item.strict,
                "LogLevel": item.log_level,
            }
        case _:
            return item


def _entry(name: str, entry: Entry) -> dict[str, Any]:
    match name:
        case "secret":
            return {key: entry.get(key) for key in ("id", "src", "env") if entry.get(key)}
        case "ssh":
            paths = {"paths": entry.get("paths").split(",")} if entry.get("paths") else {}
            return {"id": entry.get("id"), **paths}
        case _:
            values: dict[str, str | bool] = {key: entry.values[key] for key in sorted(entry.values)}
            return values | ({"disabled": True} if name == "attest" and "disabled" in values else {})


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return value.replace("${", "$${").replace("%{", "%%{")
        case list():
            return [_escaped(item) for item in value]
        case dict():
            return {key: _escaped(item) for key, item in value.items()}
        case _:
            return value
