"""Values that variables are given from outside: of the environment, and of `--var`.

A text is read as the type that the variable declares, else as that of its default: lists, sets and tuples are CSV, maps
CSV of `key:value`. `NAME_JSON` gives JSON instead, which objects need.

Spec: docker/buildx docs/bake-reference.md#typed-variables.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from pyoci.bake import syntax
from pyoci.bake.syntax import Expression
from pyoci.bake.types import as_type, shown_type
from pyoci.bake.values import Value, ValueProblem, as_number, kind

__all__ = ["Lookup", "given_value"]

Lookup = Callable[[str], "str | None"]
"""The text that a name is set to from outside; None where it is not set."""

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def given_value(name: str, lookup: Lookup, default: Value, declared: Expression | None) -> tuple[Value] | None:
    """The value that a variable is set to from outside, alone in a tuple; None where it is not.

    `default` is None where there is none, `declared` a checked type.

    Raises:
        ValueProblem: it is set to something that it cannot have.
    """
    text = lookup(name)
    as_json = lookup(f"{name}_JSON") if text is None or declared is not None else None
    if as_json is not None and declared is not None:
        return (as_type(_json(as_json), declared),)
    text = as_json if text is None else text
    if text is None:
        return None
    return (_as_declared(text, declared) if declared is not None else _as_default(text, default),)


def _as_default(text: str, default: Value) -> Value:
    match default:
        case None | str():
            return text
        case bool():
            return _bool(text)
        case int() | float():
            return as_number(text)
        case _:
            raise ValueProblem(
                f"a {kind(default)} cannot be set from outside unless the variable declares a type (write type = …)"
            )


def _as_declared(text: str, declared: Expression) -> Value:
    match declared:
        case syntax.Name(name="string"):
            return text
        case syntax.Name(name="bool"):
            return _bool(text)
        case syntax.Name(name="number"):
            return as_number(text)
        case syntax.Call(function="list" | "set", arguments=(of,)):
            return as_type([_as_declared(field, _simple(of)) for field in _fields(text, ",")], declared)
        case syntax.Call(function="tuple", arguments=(syntax.ListOf(items=items),)):
            fields = _fields(text, ",")
            if len(fields) != len(items):
                raise ValueProblem(f"a list of {len(items)} is needed, not of {len(fields)}")
            return [_as_declared(field, _simple(of)) for field, of in zip(fields, items, strict=True)]
        case syntax.Call(function="map", arguments=(of,)):
            pairs = dict(_pair(field) for field in _fields(text, ","))
            return {key: _as_declared(value, _simple(of)) for key, value in pairs.items()}
        case _:
            raise ValueProblem(f"a value of type {shown_type(declared)} is set with NAME_JSON")


def _simple(of: Expression) -> Expression:
    if not isinstance(of, syntax.Name) or of.name == "any":
        raise ValueProblem(f"elements of type {shown_type(of)} are set with NAME_JSON")
    return of


def _fields(text: str, separator: str) -> list[str]:
    import csv

    try:
        return next(iter(csv.reader([text], delimiter=separator, strict=True)), [])
    except csv.Error as error:
        raise ValueProblem(f'"{text}" is not written as values with {separator} between: {error}') from None


def _pair(text: str) -> tuple[str, str]:
    match _fields(text, ":"):
        case [key, value]:
            return key, value
        case _:
            raise ValueProblem(f'"{text}" is no key:value')


def _json(text: str) -> Value:
    try:
        value: Value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValueProblem(f"it is set to what is no JSON: {error}") from None
    return value


def _bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueProblem(f'it is set to "{text}", which is neither true nor false')
