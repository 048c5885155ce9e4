"""The JSON form of instructions: is it an array of strings, something else in JSON, or no JSON at all?

The three answers matter: an array is the exec form, JSON that is not all strings is an error, and whatever is no JSON
is the shell form. Decides as Go's `encoding/json` does, without recursion.
"""

from __future__ import annotations

import json
import math
import re
from enum import Enum

from pyoci.dockerfile.words import Token
from pyoci.regex import regex

__all__ = ["NotAllStrings", "json_words"]

_DEEPEST = 10_000
_PIECE = regex(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<string>"(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+")
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    | (?P<literal>true|false|null)
    | (?P<open>[\[{]) | (?P<close>[\]}]) | (?P<comma>,) | (?P<colon>:)""",
    re.VERBOSE,
)
_SURROGATE = regex("[\ud800-\udfff]")


class NotAllStrings(ValueError):
    """The text is a JSON array with something else than strings in it, first at `offset`."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


def json_words(text: str, start: int, end: int) -> list[Token] | None:
    """The strings of the JSON array that `text[start:end]` is; None if it is no JSON array.

    What is no Unicode in a string becomes U+FFFD.

    Raises:
        NotAllStrings: it is an array, but not of strings.
    """
    if not text.startswith("[", start, end):
        return None
    words: list[Token] = []
    first_other: int | None = None
    open_ends: list[str] = []
    position, state = start, _State.VALUE
    while position < end:
        piece = _PIECE.match(text, position, end)
        if piece is None:
            return None
        position, kind = piece.end(), piece.lastgroup
        if kind == "space":
            continue
        step = _next_state(state, kind or "", piece[0], open_ends)
        if step is None:
            return None
        at_top = len(open_ends) == 1
        if kind == "open":
            if at_top and first_other is None:
                first_other = piece.start()
            open_ends.append("]" if piece[0] == "[" else "}")
            if len(open_ends) > _DEEPEST:
                return None
        elif kind == "close":
            open_ends.pop()
        elif at_top and state in (_State.VALUE, _State.VALUE_OR_END):
            if kind == "string":
                words.append(Token(_decoded(piece[0]), piece.start(), position))
            elif first_other is None:
                first_other = piece.start()
        if kind == "number" and math.isinf(float(piece[0])):
            return None
        state = step
    if open_ends:
        return None
    if first_other is not None:
        raise NotAllStrings(first_other)
    return words


class _State(Enum):
    VALUE = "a value must follow"
    VALUE_OR_END = "the array has just begun"
    KEY = "a key must follow"
    KEY_OR_END = "the object has just begun"
    COLON = "a colon must follow"
    AFTER = "a comma or the end must follow"
    DONE = "nothing may follow"


def _next_state(state: _State, kind: str, piece: str, open_ends: list[str]) -> _State | None:
    """The state behind a piece of JSON; None where the piece may not stand."""
    if kind == "close":
        may_end = state in (_State.AFTER, _State.VALUE_OR_END, _State.KEY_OR_END)
        if not may_end or piece != open_ends[-1]:
            return None
        return _State.AFTER if len(open_ends) > 1 else _State.DONE
    if state in (_State.VALUE, _State.VALUE_OR_END):
        if kind == "open":
            return _State.VALUE_OR_END if piece == "[" else _State.KEY_OR_END
        return _State.AFTER if kind in ("string", "number", "literal") else None
    if state in (_State.KEY, _State.KEY_OR_END):
        return _State.COLON if kind == "string" else None
    if state is _State.COLON:
        return _State.VALUE if kind == "colon" else None
    if state is _State.AFTER and kind == "comma":
        return _State.VALUE if open_ends[-1] == "]" else _State.KEY
    return None


def _decoded(literal: str) -> str:
    value: str = json.loads(literal)
    return _SURROGATE.sub("\ufffd", value)
