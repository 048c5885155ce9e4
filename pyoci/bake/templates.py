"""Strings of HCL: their escapes, and where in a text `${…}` begins and ends."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyoci.bake.values import ValueProblem

__all__ = ["Piece", "literal_text", "split_template"]

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_START = re.compile(r"\$\$\{|%%\{|\$\{|%\{")


def literal_text(text: str) -> str:
    r"""What a quoted string means: `\n`, `\r`, `\t`, `\"`, `\\`, `\uNNNN` and `\UNNNNNNNN` are escapes.

    Raises:
        ValueProblem: there is another escape.
    """

    def replaced(found: re.Match[str]) -> str:
        word = found[1]
        if word in _SIMPLE:
            return _SIMPLE[word]
        if len(word) > 1 and int(word[1:], 16) < 0x110000:
            return chr(int(word[1:], 16))
        raise ValueProblem(f'"\\{word}" is no escape of a string (write \\\\ for a backslash)')

    return _ESCAPE.sub(replaced, text)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a template."""

    text: str
    is_expression: bool


def split_template(text: str) -> list[Piece]:
    """Plain text and the expressions between `${` and `}`; `$${` and `%%{` stand for the signs themselves.

    Raises:
        ValueProblem: an expression does not end, or there is a directive `%{`.
    """
    pieces: list[Piece] = []
    position = 0
    plain = ""
    while (found := _START.search(text, position)) is not None:
        plain += text[position : found.start()]
        position = found.end()
        if found[0] in ("$${", "%%{"):
            plain += found[0][1:]
            continue
        if found[0] == "%{":
            raise ValueProblem("template directives %{…} are not supported: write ${condition ? one : other}")
        end = _end(text, position)
        pieces += [Piece(plain, is_expression=False), Piece(text[position:end], is_expression=True)]
        plain, position = "", end + 1
    pieces.append(Piece(plain + text[position:], is_expression=False))
    return pieces


def _end(text: str, position: int) -> int:
    """Where the `}` is that ends an expression: braces are counted, strings and what they interpolate skipped."""
    stack = ["{"]
    while position < len(text):
        sign = text[position]
        if stack[-1] == '"':
            if sign == "\\":
                position += 1
            elif sign == '"':
                stack.pop()
            elif text.startswith("${", position) and not text.startswith("$${", position - 1):
                stack.append("{")
                position += 1
        elif sign == '"':
            stack.append('"')
        elif sign == "{":
            stack.append("{")
        elif sign == "}":
            stack.pop()
            if not stack:
                return position
        position += 1
    raise ValueProblem('"${" is not closed by "}"')
