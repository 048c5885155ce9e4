"""A JSON value together with the path that leads to it, so that whatever is wrong with it can be named.

Strict where Python's reader is not: numbers are finite, nesting is bounded, strings can be encoded again. Knows nothing
of what a document means.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from pyoci.errors import InvalidDocument
from pyoci.regex import regex

__all__ = ["JsonNode", "read_json", "read_object"]

T = TypeVar("T")

_INT64_MAX = 2**63 - 1
_NESTING_LIMIT = 100
_LONE_SURROGATE = regex("[\ud800-\udfff]")


class JsonNode:
    """A JSON value with the path that leads to it."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def fail(self, problem: str) -> NoReturn:
        raise InvalidDocument(f"{self.path}: {problem}")

    def _of(self, kind: type | tuple[type, ...], name: str) -> Any:
        if not isinstance(self.value, kind) or (isinstance(self.value, bool) and kind is not bool):
            self.fail(f"must be {name}, is {_kind(self.value)}")
        return self.value

    def string(self) -> str:
        return str(self._of(str, "a string"))

    def boolean(self) -> bool:
        return bool(self._of(bool, "true or false"))

    def integer(self, minimum: int = -_INT64_MAX - 1) -> int:
        value = self._of(int, "an integer")
        if not minimum <= value <= _INT64_MAX:
            self.fail(f"{value} is out of range")
        return int(value)

    def mapping(self) -> dict[str, Any]:
        value: dict[str, Any] = self._of(dict, "an object")
        return value

    def items(self) -> list[JsonNode]:
        return [JsonNode(item, f"{self.path}[{i}]") for i, item in enumerate(self._of(list, "an array"))]

    def entries(self) -> Iterator[tuple[str, JsonNode]]:
        for key, value in self.mapping().items():
            yield key, JsonNode(value, f"{self.path}.{key}")

    def required(self, key: str) -> JsonNode:
        mapping = self.mapping()
        if key not in mapping:
            self.fail(f'"{key}" is missing')
        return JsonNode(mapping[key], f"{self.path}.{key}")

    def listed(self, key: str) -> list[JsonNode]:
        """The items of a member that must be there; null, as Go writes an empty slice, has none."""
        node = self.required(key)
        return [] if node.value is None else node.items()

    def optional(self, key: str, decode: Callable[[JsonNode], T], default: T) -> T:
        """The decoded member, or `default` where it is missing or null, which is the same to Go's readers."""
        value = self.mapping().get(key)
        return default if value is None else decode(JsonNode(value, f"{self.path}.{key}"))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names[type(value)]


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:40]} is out of range")
    return value


def _tidied(value: Any, path: str, depth: int = 0) -> Any:
    """The value with lone surrogates replaced, as Go does it; NUL, which no process or file name has, is refused."""
    if depth > _NESTING_LIMIT:
        raise InvalidDocument(f"{path.partition('.')[0]} is nested more than {_NESTING_LIMIT} deep")
    match value:
        case str():
            if "\0" in value:
                raise InvalidDocument(f"{path}: has a NUL character")
            return _LONE_SURROGATE.sub("\ufffd", value)
        case dict():
            return {_tidied(key, path): _tidied(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
        case list():
            return [_tidied(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
        case _:
            return value


def read_json(raw: bytes, what: str) -> JsonNode:
    """The JSON value that a document is; `what` begins the paths in errors.

    Raises:
        InvalidDocument: not one JSON value. Bytes that are not UTF-8 are U+FFFD in strings, as Go reads them, and wrong
            elsewhere.
    """
    problem: ValueError | None = None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        text, problem = raw.decode("utf-8", "surrogateescape"), error
    try:
        value = json.loads(text, parse_constant=_reject_constant, parse_float=_finite)
    except RecursionError:
        raise InvalidDocument(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise InvalidDocument(f"{what} is not valid JSON: {problem or error}") from error
    # Strings from UTF-8 can be odd only through \u, and nothing is deeper than it has brackets.
    if problem or "\\u" in text or text.count("{") + text.count("[") > _NESTING_LIMIT:
        value = _tidied(value, what)
    return JsonNode(value, what)


def read_object(raw: bytes, what: str) -> JsonNode:
    """As `read_json`, for a document that must be an object.

    Raises:
        InvalidDocument: not one JSON object.
    """
    node = read_json(raw, what)
    if not isinstance(node.value, dict):
        raise InvalidDocument(f"{what} must be a JSON object, is {_kind(node.value)}")
    return node
