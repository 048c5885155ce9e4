"""JSON text to blocks and expressions, as HCL's JSON syntax defines: strings are templates, `target` a block.

The standard decoder says what is wrong with a malformed text; the walk is over text that it accepts, and keeps places.
"""

from __future__ import annotations

import json
import re
from typing import cast

from pyoci.bake import syntax
from pyoci.bake.hcl import parse_expression, parse_string
from pyoci.bake.problems import nested
from pyoci.bake.syntax import Attribute, Block, Body, Expression
from pyoci.bake.values import Value, ValueProblem, plain_number
from pyoci.errors import BakeError
from pyoci.location import Location, SourceFile
from pyoci.regex import regex
from pyoci.values import dataclass

__all__ = ["parse_json"]

_SPACE = regex(r"[ \t\r\n]*")
_COMMENT = "//"
"""A property that HCL takes for a comment."""
_SCALARS = json.JSONDecoder()
_BLOCKS = frozenset({"target", "group", "variable", "function"})


@dataclass(frozen=True, slots=True)
class _Element:
    """A JSON value with its place; objects as pairs, since HCL lets a key come twice."""

    value: str | Value | list[_Element] | list[tuple[_Element, _Element]]
    is_object: bool
    location: Location


def parse_json(source: SourceFile) -> Body:
    """The blocks and attributes of a JSON file.

    Raises:
        BakeError: it is malformed; located.
    """
    with nested(source.name):
        try:
            json.loads(source.text)
        except json.JSONDecodeError as error:
            message = error.msg[:1].lower() + error.msg[1:]
            raise BakeError(message, location=Location(source, error.lineno, error.colno, 1)) from error
        except ValueError as error:  # a number of more digits than Python reads
            raise BakeError(f"{source.name} has a number that is too long") from error
        root, _ = _Walk(source).element(0)
        if not root.is_object:
            raise BakeError("a bake file in JSON is an object", location=root.location)
        return _Reader(source).file(root)


class _Walk:
    """Reads JSON that is known to be well-formed."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source
        self._text = source.text
        self._lines = [0, *(found.end() for found in re.finditer("\n", source.text))]

    def _place(self, start: int, end: int) -> Location:
        import bisect

        line = bisect.bisect_right(self._lines, start)
        length = end - start if "\n" not in self._text[start:end] else 1
        return Location(self._source, line, start - self._lines[line - 1] + 1, length)

    def _skip(self, position: int) -> int:
        found = _SPACE.match(self._text, position)
        return found.end() if found else position

    def element(self, position: int) -> tuple[_Element, int]:
        """The value at a position, and where it ends."""
        start = self._skip(position)
        match self._text[start]:
            case "[":
                return self._list(start)
            case "{":
                return self._object(start)
            case _:
                value, end = cast("tuple[Value, int]", _SCALARS.raw_decode(self._text, start))
                return _Element(value, False, self._place(start, end)), end

    def _list(self, start: int) -> tuple[_Element, int]:
        items: list[_Element] = []
        position = self._skip(start + 1)
        while self._text[position] != "]":
            item, position = self.element(position)
            items.append(item)
            position = self._skip(position)
            if self._text[position] == ",":
                position = self._skip(position + 1)
        return _Element(items, False, self._place(start, start + 1)), position + 1

    def _object(self, start: int) -> tuple[_Element, int]:
        pairs: list[tuple[_Element, _Element]] = []
        position = self._skip(start + 1)
        while self._text[position] != "}":
            key, position = self.element(position)
            value, position = self.element(self._skip(position) + 1)
            pairs.append((key, value))
            position = self._skip(position)
            if self._text[position] == ",":
                position = self._skip(position + 1)
        return _Element(pairs, True, self._place(start, start + 1)), position + 1


class _Reader:
    def __init__(self, source: SourceFile) -> None:
        self._source = source

    def file(self, root: _Element) -> Body:
        attributes: list[Attribute] = []
        blocks: list[Block] = []
        for key, value in _pairs(root):
            name = str(key.value)
            if name == _COMMENT:
                continue
            if name not in _BLOCKS:
                attributes.append(self._attribute(key, value))
                continue
            for objects in value.value if isinstance(value.value, list) and not value.is_object else [value]:
                assert isinstance(objects, _Element)
                if not objects.is_object:
                    raise BakeError(f'"{name}" is an object, with names as its keys', location=objects.location)
                for label, contents in _pairs(objects):
                    blocks.append(self._block(name, label, contents))
        return Body(tuple(attributes), tuple(blocks))

    def _block(self, name: str, label: _Element, contents: _Element) -> Block:
        if not contents.is_object:
            raise BakeError(f'{name} "{label.value}" is not an object', location=contents.location)
        attributes: list[Attribute] = []
        blocks: list[Block] = []
        for key, value in _pairs(contents):
            if name == "variable" and key.value == "validation":
                listed = cast("list[_Element]", value.value) if isinstance(value.value, list) else [value]
                for one in [value] if value.is_object else listed:
                    inner = tuple(self._attribute(k, v) for k, v in _pairs(one))
                    blocks.append(Block("validation", (), Body(inner), key.location))
            elif (name, key.value) == ("variable", "type") and isinstance(value.value, str):
                wanted = parse_expression(value.value, self._source, value.location)
                attributes.append(Attribute("type", wanted, key.location))
            elif key.value != _COMMENT:
                attributes.append(self._attribute(key, value))
        return Block(name, (str(label.value),), Body(tuple(attributes), tuple(blocks)), label.location)

    def _attribute(self, key: _Element, value: _Element) -> Attribute:
        return Attribute(str(key.value), self._expression(value), key.location)

    def _expression(self, element: _Element) -> Expression:
        value = element.value
        if element.is_object:
            items = tuple(
                (parse_string(str(key.value), self._source, key.location), self._expression(one))
                for key, one in _pairs(element)
            )
            return syntax.ObjectOf(items, element.location)
        if isinstance(value, list):
            listed = cast("list[_Element]", value)
            return syntax.ListOf(tuple(self._expression(one) for one in listed), element.location)
        if isinstance(value, str):
            return parse_string(value, self._source, element.location)
        try:
            number = plain_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        except ValueProblem as problem:
            raise BakeError(str(problem), location=element.location) from problem
        return syntax.Literal(cast("Value", number), element.location)


def _pairs(element: _Element) -> list[tuple[_Element, _Element]]:
    return cast("list[tuple[_Element, _Element]]", element.value) if element.is_object else []
