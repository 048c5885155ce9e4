r"""`.env`: names and values, one a line, that Compose files may use.

    line  = [ "export" ] name ( "=" | ":" ) value  |  [ "export" ] name
    value = "'" … "'"  |  '"' … '"'  |  … [ " #" comment ]

A lone name has the value that it has outside. In single quotes everything is as it is written, in double quotes escapes
such as `\n` count. There, and without quotes, `${NAME}` is a value: that of the outside, else that of the file.

Spec: compose-spec 12-interpolation.md; where it leaves a choice, compose-go 2.13.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pyoci.bake.interpolate import interpolate
from pyoci.bake.values import ValueProblem
from pyoci.errors import BakeError
from pyoci.location import Location, SourceFile
from pyoci.regex import regex

__all__ = ["parse_env_file"]

_BLANK = regex(r"(?:\s+|#[^\n]*)*")
_KEY = regex(r"(?:export[ \t]+)?([\w.\[\]-]+)[ \t]*([=:]|(?=\r?\n|$))[ \t]*")
_SINGLE = regex(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL)
_DOUBLE = regex(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_PLAIN = regex(r"[^\n]*")
_COMMENT = regex(r"(?:^|\s)#.*")
_ESCAPE = regex(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "$": "$$"}


def parse_env_file(source: SourceFile, outside: Mapping[str, str]) -> dict[str, str]:
    """Names and values of the file.

    Raises:
        BakeError: a line is malformed; located.
    """
    text, found = source.text, dict[str, str]()
    position = _skip(text, 0)
    while position < len(text):
        key = _KEY.match(text, position)
        if key is None:
            raise _error(source, position, "this is no NAME=value")
        name, separator = key[1], key[2]
        if not separator:
            if name in outside:
                found[name] = outside[name]
            position = _skip(text, key.end())
            continue
        try:
            value, position = _value(source, key.end(), {**found, **outside})
        except ValueProblem as problem:
            raise _error(source, position, str(problem)) from problem
        found[name] = value
        position = _skip(text, position)
    return found


def _skip(text: str, position: int) -> int:
    found = _BLANK.match(text, position)
    return found.end() if found else position


def _error(source: SourceFile, position: int, message: str) -> BakeError:
    line = source.text.count("\n", 0, position) + 1
    column = position - (source.text.rfind("\n", 0, position) + 1) + 1
    return BakeError(message, hint="write NAME=value, or # before a comment", location=Location(source, line, column))


def _value(source: SourceFile, start: int, variables: Mapping[str, str]) -> tuple[str, int]:
    """A value and where it ends."""
    text = source.text
    quote = text[start : start + 1]
    if quote in ("'", '"') and quote:
        quoted = (_SINGLE if quote == "'" else _DOUBLE).match(text, start)
        if quoted is None:
            raise _error(source, start, "a quote is not closed")
        end = text.find("\n", quoted.end())
        if quote == "'":
            return quoted[1], end if end >= 0 else len(text)
        written = _ESCAPE.sub(lambda one: _ESCAPES.get(one[1], one[1]), quoted[1])
        return interpolate(written, variables, lambda _: None), end if end >= 0 else len(text)
    plain = _PLAIN.match(text, start)
    assert plain is not None
    return interpolate(_COMMENT.sub("", plain[0]).strip(), variables, lambda _: None), plain.end()
