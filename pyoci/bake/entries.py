"""Entries that are written as `key=value,key=value`: outputs, caches, secrets, agents, attestations, policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyoci.bake.target import Entry, Policy
from pyoci.bake.values import ValueProblem
from pyoci.values import replace

__all__ = [
    "ENTRIES",
    "attest_entry",
    "cache_entry",
    "output_entry",
    "policy_entry",
    "resource_value",
    "secret_entry",
    "ssh_entry",
]

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_NUMBERS = ("cpu-shares", "cpu-period", "cpu-quota")
_RESOURCES = ("memory", "memory-swap", *_NUMBERS, "cpuset-cpus", "cpuset-mems")
_LOG_LEVELS = ("panic", "fatal", "error", "warning", "info", "debug", "trace")


def _fields(text: str) -> list[str]:
    import csv

    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise ValueProblem(f'"{text}" is not written as key=value,key=value') from None
    return fields


def _pairs(text: str) -> dict[str, str]:
    found = {}
    for field in _fields(text):
        key, equals, value = field.partition("=")
        if not equals:
            raise ValueProblem(f'"{field}" in "{text}" is no key=value')
        found[key.strip().lower()] = value
    return found


def output_entry(given: str | Mapping[str, str]) -> Entry:
    """An output: `type=T,dest=D`, or a lone path for a directory.

    Raises:
        ValueProblem: it has no type.
    """
    if isinstance(given, str):
        if "=" not in given and "," not in given:
            return Entry({"type": "tar", "dest": "-"} if given == "-" else {"type": "local", "dest": given})
        given = _pairs(given)
    if not given.get("type"):
        raise ValueProblem("type is required for output (write type=image, type=local,dest=DIRECTORY or the like)")
    return Entry(dict(given))


def cache_entry(given: str | Mapping[str, str]) -> Entry:
    """A cache: `type=T,…`, or a lone image name.

    Raises:
        ValueProblem: it has no type.
    """
    if isinstance(given, str):
        if "=" not in given:
            return Entry({"type": "registry", "ref": given})
        given = _pairs(given)
    if not given.get("type"):
        raise ValueProblem("type is required for a cache")
    return Entry(dict(given))


def secret_entry(given: str | Mapping[str, str]) -> Entry:
    """A secret: `id=ID,src=FILE` or `id=ID,env=VARIABLE`.

    Raises:
        ValueProblem: it has other keys, or no ID.
    """
    values = _pairs(given) if isinstance(given, str) else dict(given)
    kind = values.pop("type", "")
    found = {"id": values.pop("id", ""), "src": values.pop("src", values.pop("source", "")), "env": ""}
    found["env"] = values.pop("env", "")
    if kind not in ("", "file", "env"):
        raise ValueProblem(f'unsupported secret type "{kind}" (the types are file and env)')
    if values:
        raise ValueProblem(f'unexpected key "{next(iter(values))}" in a secret (the keys are id, src, env and type)')
    if kind == "env" and not found["env"]:
        found["env"], found["src"] = found["src"], ""
    return Entry({key: value for key, value in found.items() if value})


def ssh_entry(given: str | Mapping[str, str]) -> Entry:
    """An agent or keys: `default`, or `ID=PATH,PATH`.

    Raises:
        ValueProblem: it has other keys.
    """
    if isinstance(given, str):
        name, equals, paths = given.partition("=")
        return Entry({"id": name, "paths": paths} if equals else {"id": name})
    unknown = set(given) - {"id", "paths"}
    if unknown:
        raise ValueProblem(f'unexpected key "{min(unknown)}" in ssh (the keys are id and paths)')
    return Entry({key: value for key, value in given.items() if value})


def attest_entry(given: str | Mapping[str, str]) -> Entry:
    """An attestation: `type=provenance,mode=max`.

    Raises:
        ValueProblem: it has no type.
    """
    values = _pairs(given) if isinstance(given, str) else dict(given)
    if not values.get("type"):
        raise ValueProblem("type is required for an attestation (write type=provenance or type=sbom)")
    if not _flag(values.pop("disabled", "false")):
        return Entry(values)
    return Entry({**values, "disabled": "true"})


def _flag(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueProblem(f'"{text}" is neither true nor false')


def policy_entry(given: str | Mapping[str, str]) -> Policy:
    """A policy: `filename=FILE,strict=true`.

    Raises:
        ValueProblem: it has other keys or values.
    """
    pairs = [field.partition("=")[::2] for field in _fields(given)] if isinstance(given, str) else [*given.items()]
    found = Policy()
    for name, value in pairs:
        match name.strip().lower():
            case "filename" if value:
                found = replace(found, files=(*found.files, value))
            case "reset":
                found = replace(found, reset=_flag(value))
            case "disabled":
                found = replace(found, disabled=_flag(value))
            case "strict":
                found = replace(found, strict=_flag(value))
            case "log-level" if value.lower() in (*_LOG_LEVELS, "warn"):
                found = replace(found, log_level=value.lower() if value.lower() != "warn" else "warning")
            case _:
                raise ValueProblem(
                    f'invalid "{name}={value}" in a policy (the keys are filename, reset, disabled, strict, log-level)'
                )
    return found


def resource_value(name: str, value: str) -> str | int:
    """A limit of RUN steps.

    Raises:
        ValueProblem: there is no such limit, or it is a number and the value is none.
    """
    if name not in _RESOURCES:
        raise ValueProblem(f'unknown resource "{name}" (they are {", ".join(_RESOURCES)})')
    if name not in _NUMBERS:
        return value
    try:
        return int(value)
    except ValueError:
        raise ValueProblem(f'{name} is a whole number, not "{value}"') from None


ENTRIES: Mapping[str, Callable[[str | Mapping[str, str]], Entry]] = {
    "attest": attest_entry,
    "cache_from": cache_entry,
    "cache_to": cache_entry,
    "output": output_entry,
    "secret": secret_entry,
    "ssh": ssh_entry,
}
"""By the field of a target."""
