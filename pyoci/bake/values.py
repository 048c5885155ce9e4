"""Values of bake expressions and how they turn into one another, as cty (the type system of HCL) converts them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TypeAlias

__all__ = [
    "Value",
    "ValueProblem",
    "as_bool",
    "as_number",
    "as_set",
    "as_text",
    "distinct",
    "equal",
    "has",
    "json_text",
    "kind",
    "number_text",
    "plain_number",
    "unified",
]

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
"""Lists stand for HCL's lists, tuples and sets, dicts for its maps and objects."""

_LONGEST_NUMBER = 1000


class ValueProblem(Exception):
    """A value cannot be used as it is meant to be; whoever knows the place makes a located error of it."""


def kind(value: Value) -> str:
    """What a value is called in messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "list"
        case dict():
            return "object"


def plain_number(number: float) -> int | float:
    """The same number, whole where it can be.

    Raises:
        ValueProblem: it is infinite or none.
    """
    if isinstance(number, int):
        return number
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueProblem("the result is no finite number")
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


def number_text(number: float) -> str:
    """Decimal digits without an exponent."""
    if isinstance(number, int):
        if number.bit_length() > _LONGEST_NUMBER:
            raise ValueProblem("the number is too large")
        return str(number)
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def as_text(value: Value) -> str:
    """A string, number or bool as a string.

    Raises:
        ValueProblem: it is something else.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number_text(value)
        case _:
            raise ValueProblem(f"a string is needed, not {_a(value)}")


def as_number(value: Value) -> int | float:
    """A number, or a string that is one.

    Raises:
        ValueProblem: it is something else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and len(value) < _LONGEST_NUMBER and "_" not in value:
        try:
            return plain_number(int(value))
        except ValueError:
            try:
                return plain_number(float(value))
            except ValueError:
                pass
    raise ValueProblem(f"a number is needed, not {_a(value)}")


def as_bool(value: Value) -> bool:
    """A bool, or the string `true` or `false`.

    Raises:
        ValueProblem: it is something else.
    """
    if isinstance(value, bool):
        return value
    if value in ("true", "1") and isinstance(value, str):
        return True
    if value in ("false", "0") and isinstance(value, str):
        return False
    raise ValueProblem(f"a bool is needed, not {_a(value)}")


def _a(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    name = kind(value)
    if name == "null":
        return "null"
    return f"an {name}" if name == "object" else f"a {name}"


def equal(one: Value, other: Value) -> bool:
    """Whether two values are of the same type and the same; numbers by value, lists and objects by their elements."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return kind(one) == kind(other) and one == other


def has(values: list[Value], wanted: Value) -> bool:
    """Whether a list has an equal value."""
    return any(equal(value, wanted) for value in values)


def distinct(values: list[Value]) -> list[Value]:
    """The values without repetitions, in their order."""
    found: list[Value] = []
    for value in values:
        if not has(found, value):
            found.append(value)
    return found


def as_set(values: list[Value]) -> list[Value]:
    """The values as a set has them: each once, strings, numbers and bools in their natural order."""
    found = distinct(values)
    strings = [one for one in found if isinstance(one, str)]
    numbers = [one for one in found if isinstance(one, int | float)]
    if len(strings) == len(found):
        return [*sorted(strings)]
    return [*sorted(numbers)] if len(numbers) == len(found) else found


def unified(value: Value, other: Value) -> Value:
    """The value as it is beside another that might have come in its place: both are of one type."""
    if isinstance(other, str) and isinstance(value, bool | int | float):
        return as_text(value)
    if isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        return [unified(one, beside) for one, beside in zip(value, other, strict=True)]
    if isinstance(value, dict) and isinstance(other, dict) and value.keys() == other.keys():
        return {key: unified(value[key], other[key]) for key in value}
    return value


_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def json_text(value: Value) -> str:
    """JSON as Go writes it: names in order, no spaces, signs that matter in HTML escaped."""
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return as_text(value)
        case str():
            text = json.dumps(value, ensure_ascii=False)
            for sign, escape in _HTML.items():
                text = text.replace(sign, escape)
            return text
        case list():
            return "[" + ",".join(map(json_text, value)) + "]"
        case dict():
            return "{" + ",".join(f"{json_text(key)}:{json_text(value[key])}" for key in sorted(value)) + "}"
