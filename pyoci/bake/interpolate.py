"""Variables in Compose files: `$NAME`, `${NAME}` and its forms with defaults, errors and replacements; `$$` is a `$`.

Spec: compose-spec 12-interpolation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyoci.bake.values import ValueProblem
from pyoci.regex import regex

__all__ = ["interpolate"]

_START = regex(r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<brace>\{))")
_BRACED = regex(r"([A-Za-z_][A-Za-z0-9_]*)(:?[-?+])?")
_DEPTH = 50


def interpolate(text: str, variables: Mapping[str, str], unset: Callable[[str], None], *, depth: int = 0) -> str:
    """The text with the values of variables; `unset` is told of those that are not set and have no default.

    Raises:
        ValueProblem: a `${` is malformed, or a variable that is required is not set.
    """
    if depth > _DEPTH:
        raise ValueProblem("variables are nested too deeply")
    result = ""
    position = 0
    while (found := _START.search(text, position)) is not None:
        result += text[position : found.start()]
        position = found.end()
        if found["escaped"]:
            result += "$"
        elif found["name"]:
            result += _plain(found["name"], variables, unset)
        else:
            end = _end(text, position)
            result += _braced(text[position:end], variables, unset, depth)
            position = end + 1
    return result + text[position:]


def _plain(name: str, variables: Mapping[str, str], unset: Callable[[str], None]) -> str:
    if name not in variables:
        unset(name)
    return variables.get(name, "")


def _end(text: str, position: int) -> int:
    depth = 1
    while position < len(text):
        if text.startswith("${", position):
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    raise ValueProblem('"${" is not closed by "}"')


def _braced(inner: str, variables: Mapping[str, str], unset: Callable[[str], None], depth: int) -> str:
    found = _BRACED.match(inner)
    if found is None or (found[2] is None and found.end() != len(inner)):
        raise ValueProblem(f'invalid interpolation "${{{inner}}}"')
    name, operator = found[1], found[2]
    if operator is None:
        return _plain(name, variables, unset)
    word = inner[found.end() :]
    value = variables.get(name)
    counts = value is not None and (not operator.startswith(":") or value != "")
    match operator[-1]:
        case "-":
            return value if counts and value is not None else interpolate(word, variables, unset, depth=depth + 1)
        case "+":
            return interpolate(word, variables, unset, depth=depth + 1) if counts else ""
        case _:
            if counts and value is not None:
                return value
            message = interpolate(word, variables, unset, depth=depth + 1)
            raise ValueProblem(f"required variable {name} is missing a value{message and ': ' + message}")
