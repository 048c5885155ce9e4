"""Functions of the standard library that compute and compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from pyoci.bake.evaluate import arithmetic
from pyoci.bake.functions_of_text import whole
from pyoci.bake.values import Value, ValueProblem, as_bool, as_number, as_text, equal, plain_number

__all__ = ["NUMBERS"]

_Entry = tuple[Callable[..., Value], int, "int | None"]

_LARGEST_POWER = 1000


def _operator(sign: str) -> _Entry:
    return lambda a, b: arithmetic(sign, as_number(a), as_number(b)), 2, 2


def _pow(base: Value, exponent: Value) -> Value:
    number, power = as_number(base), as_number(exponent)
    if abs(power) > _LARGEST_POWER or abs(number) > 1e15:
        raise ValueProblem("the numbers are too large")
    try:
        result = number**power
    except (ZeroDivisionError, OverflowError):
        raise ValueProblem("the result is no finite number") from None
    if isinstance(result, complex):
        raise ValueProblem("the result is no real number")
    return plain_number(result)


def _log(number: Value, base: Value) -> Value:
    try:
        return plain_number(math.log(as_number(number), as_number(base)))
    except (ValueError, ZeroDivisionError):
        raise ValueProblem("the logarithm does not exist") from None


def _parseint(text: Value, base: Value) -> Value:
    try:
        return int(as_text(text), whole(base))
    except ValueError:
        raise ValueProblem(f'"{as_text(text)}" is no number of base {as_text(base)}') from None


NUMBERS: Mapping[str, _Entry] = {
    "absolute": (lambda n: abs(as_number(n)), 1, 1),
    "add": _operator("+"),
    "and": (lambda a, b: as_bool(a) and as_bool(b), 2, 2),
    "ceil": (lambda n: math.ceil(as_number(n)), 1, 1),
    "divide": _operator("/"),
    "equal": (equal, 2, 2),
    "floor": (lambda n: math.floor(as_number(n)), 1, 1),
    "greaterthan": _operator(">"),
    "greaterthanorequalto": _operator(">="),
    "int": (lambda n: int(as_number(n)), 1, 1),
    "lessthan": _operator("<"),
    "lessthanorequalto": _operator("<="),
    "log": (_log, 2, 2),
    "max": (lambda *n: max(as_number(one) for one in n), 1, None),
    "min": (lambda *n: min(as_number(one) for one in n), 1, None),
    "modulo": _operator("%"),
    "multiply": _operator("*"),
    "negate": (lambda n: -as_number(n), 1, 1),
    "not": (lambda b: not as_bool(b), 1, 1),
    "notequal": (lambda a, b: not equal(a, b), 2, 2),
    "or": (lambda a, b: as_bool(a) or as_bool(b), 2, 2),
    "parseint": (_parseint, 2, 2),
    "pow": (_pow, 2, 2),
    "signum": (lambda n: (as_number(n) > 0) - (as_number(n) < 0), 1, 1),
    "subtract": _operator("-"),
}
