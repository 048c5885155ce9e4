"""Variables, quotes and escapes in a word: `$x`, `${x:-w}`, `${x%p}`, `${x/p/r}` and what stands around them.

Looks nothing up itself; `lookup` says what a variable is. Spec: Dockerfile reference, "Environment replacement"; where
it is silent the rules are those of BuildKit's shell lexer. Quotes: nothing is special between single ones; between
double ones `$` is, and the escape character only before `"`, `$` and itself; outside it takes any character literally.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, NoReturn, TypeAlias

from pyoci.dockerfile.glob import PatternError, replaced, without_prefix, without_suffix
from pyoci.dockerfile.lines import SPACES
from pyoci.errors import DockerfileError
from pyoci.location import Location
from pyoci.regex import regex
from pyoci.values import dataclass, replace

__all__ = ["Expansion", "ExpansionError", "Lookup", "Mode", "expand_word", "expand_words"]

Lookup: TypeAlias = Callable[[str], "str | None"]
"""The value of a variable, None where it is not set."""

_DEEPEST = 100
_LONGEST = 16 * 1024 * 1024
_SPECIAL = frozenset("@*#?-$!0")
_ANGLE = regex(r"<(?:<[\t\r ]*)?")


class ExpansionError(DockerfileError):
    """A word cannot be expanded: its quotes do not match, a substitution is malformed or `:?` refuses it."""


@dataclass(frozen=True, slots=True)
class Mode:
    """What is kept as it is."""

    raw_quotes: bool = False
    """Quotes stay in the result."""
    raw_escapes: bool = False
    """Escape characters stay in the result."""
    plain_quotes: bool = False
    """Quotes are characters like others (heredocs)."""
    keep_unset: bool = False
    """A variable that is not set stays as written."""


_DEFAULT = Mode()


@dataclass(frozen=True, slots=True)
class Expansion:
    """An expanded word."""

    text: str
    words: tuple[str, ...]
    """The text cut at white space outside quotes, after variables were replaced."""
    used: frozenset[str]
    """Variables that were set."""
    missing: frozenset[str]
    """Variables that were not set, also where a default stood in."""


def expand_words(
    text: str, lookup: Lookup, *, escape: str = "\\", mode: Mode = _DEFAULT, location: Location | None = None
) -> tuple[str, ...]:
    """The words of the expanded text, cut at white space outside quotes.

    Raises:
        ExpansionError: at `location`.
    """
    return expand_word(text, lookup, escape=escape, mode=mode, location=location).words


def expand_word(
    word: str,
    lookup: Lookup,
    *,
    escape: str = "\\",
    mode: Mode = _DEFAULT,
    location: Location | None = None,
) -> Expansion:
    """The expanded word, and which variables it used and missed. Takes time in proportion to its length and result.

    Raises:
        ExpansionError: at `location`.
    """
    lexer = _Lexer(word, lookup, escape, mode, location)
    pieces = lexer.read(None)
    text = "".join(piece.text for piece in pieces)
    return Expansion(text, _cut(pieces), frozenset(lexer.used), frozenset(lexer.missing))


class _Piece(NamedTuple):
    text: str
    splits: bool
    """White space in it separates words."""


def _cut(pieces: list[_Piece]) -> tuple[str, ...]:
    words: list[str] = []
    current: list[str] = []
    for text, splits in pieces:
        if not splits:
            current.append(text)
            continue
        first, *rest = _space_run().split(text)
        current.append(first)
        for part in rest:
            words.append("".join(current))
            current = [part]
    words.append("".join(current))
    return tuple(word for word in words if word)


@lru_cache(maxsize=1)
def _space_run() -> re.Pattern[str]:
    return re.compile(f"[{SPACES}]+")


@lru_cache(maxsize=32)
def _run_of_plain(special: str) -> re.Pattern[str]:
    return re.compile(f"[^{re.escape(special)}]+")


class _Lexer:
    """One pass over one word. `read` calls itself for what stands inside `${…}`."""

    def __init__(self, text: str, lookup: Lookup, escape: str, mode: Mode, location: Location | None) -> None:
        self._text = text
        self._lookup = lookup
        self._escape = escape
        self._mode = mode
        self._location = location
        self._raw_escapes = mode.raw_escapes
        self._position = 0
        self._depth = 0
        self._size = 0
        self.used: set[str] = set()
        self.missing: set[str] = set()

    def read(self, stop: str | None) -> list[_Piece]:
        """The pieces up to `stop`, which is passed over, or to the end."""
        text, opened = self._text, self._position
        special = f"$<{self._escape}{stop or ''}" + ("" if self._mode.plain_quotes else "'\"")
        plain = _run_of_plain(special)
        pieces: list[_Piece] = []
        while self._position < len(text):
            if run := plain.match(text, self._position):
                self._position = run.end()
                pieces.append(_Piece(run[0], True))
                continue
            character = text[self._position]
            if character == stop:
                self._position += 1
                return pieces
            if character == "$":
                pieces.append(_Piece(self._dollar(), True))
            elif character == "<":
                angle = _ANGLE.match(text, self._position)
                self._position += len(angle[0]) if angle else 1
                pieces.append(_Piece(angle[0] if angle else "<", False))
            elif character == self._escape:
                pieces.append(_Piece(self._escaped(), False))
            elif character == "'":
                pieces.append(_Piece(self._single_quoted(), False))
            else:
                pieces.append(_Piece(self._double_quoted(), False))
        if stop is not None:
            self._fail(f'"{stop}" is missing behind "${{"', self._dollar_hint(), opened)
        return pieces

    def _read_nested(self, stop: str, opened: int, *, raw_escapes: bool) -> str:
        """What stands inside a substitution, itself expanded."""
        if self._depth == _DEEPEST:
            self._fail(f"substitutions are nested more than {_DEEPEST} deep", None, opened)
        before, self._raw_escapes = self._raw_escapes, raw_escapes
        self._depth += 1
        text = "".join(piece.text for piece in self.read(stop))
        self._depth -= 1
        self._raw_escapes = before
        return text

    def _escaped(self) -> str:
        taken = self._text[self._position + 1 : self._position + 2]
        self._position += 2
        return self._escape + taken if self._raw_escapes else taken

    def _single_quoted(self) -> str:
        start = self._position
        end = self._text.find("'", start + 1)
        if end < 0:
            self._fail("the single quote is not closed", "add the second quote, or escape this one", start)
        self._position = end + 1
        return self._text[start : end + 1] if self._mode.raw_quotes else self._text[start + 1 : end]

    def _double_quoted(self) -> str:
        text, escape, start = self._text, self._escape, self._position
        quote = '"' if self._mode.raw_quotes else ""
        plain = _run_of_plain(f'"${escape}')
        parts = [quote]
        self._position += 1
        while self._position < len(text):
            if run := plain.match(text, self._position):
                self._position = run.end()
                parts.append(run[0])
                continue
            character = text[self._position]
            if character == "$":
                parts.append(self._dollar())
                continue
            self._position += 1
            if character == '"':
                parts.append(quote)
                return "".join(parts)
            following = text[self._position : self._position + 1]
            if following in ('"', "$", escape) and following:
                self._position += 1
                character = following
            parts.append(escape + character if self._raw_escapes else character)
        self._fail("the double quote is not closed", "add the second quote, or escape this one", start)

    def _value(self, name: str) -> str | None:
        value = self._lookup(name) if name else None
        if name:
            (self.missing if value is None else self.used).add(name)
        self._size += len(value or "")
        if self._size > _LONGEST:
            self._fail(f"the variables here expand to more than {_LONGEST >> 20} MiB", None, self._position)
        return value

    def _name(self) -> str:
        text, start = self._text, self._position
        first = text[start : start + 1]
        end = start
        if first.isdecimal():
            while text[end : end + 1].isdecimal():
                end += 1
        elif first in _SPECIAL:
            end += 1
        else:
            while (character := text[end : end + 1]).isalpha() or character.isdecimal() or character == "_":
                end += 1
        self._position = end
        return text[start:end]

    def _dollar(self) -> str:
        start = self._position
        self._position += 1
        if not self._text.startswith("{", self._position):
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            return value if value is not None else f"${name}" if self._mode.keep_unset else ""
        self._position += 1
        following = self._text[self._position : self._position + 1]
        if following in ("{", "}", ":") and following:
            self._fail(f'"${{{following}" is no substitution', self._dollar_hint(), start)
        return self._braced(self._name(), start)

    def _braced(self, name: str, start: int) -> str:
        modifier = self._next(start)
        if modifier == "}":
            value = self._value(name)
            return value if value is not None else f"${{{name}}}" if self._mode.keep_unset else ""
        if modifier == "/":
            return self._replacement(name, start)
        colon = modifier == ":"
        if colon:
            modifier = self._next(start)
        if modifier not in ("-", "+", "?", "#", "%") or (colon and modifier in ("#", "%")):
            shown = f":{modifier}" if colon else modifier
            self._fail(
                f'"{shown}" is no modifier of a variable',
                "the modifiers are - + ? (each also behind a colon), # ## % %% / and //",
                start,
            )
        word = self._read_nested("}", start, raw_escapes=modifier in ("#", "%"))
        value = self._value(name)
        if value is None and self._mode.keep_unset:
            return f"${{{name}{':' if colon else ''}{modifier}{word}}}"
        unset = value is None or (colon and not value)
        match modifier:
            case "-":
                return word if unset else value or ""
            case "+":
                return "" if unset else word
            case "?":
                if unset:
                    state = "unset" if value is None else "empty"
                    self._fail(f"{name}: {word or f'is not allowed to be {state}'}", None, start)
                return value or ""
            case _:
                return self._trimmed(modifier, value or "", word, start)

    def _trimmed(self, modifier: str, value: str, pattern: str, start: int) -> str:
        longest = pattern.startswith(modifier)
        pattern = pattern[1:] if longest else pattern
        try:
            return (without_prefix if modifier == "#" else without_suffix)(value, pattern, longest=longest)
        except PatternError as error:
            self._fail(str(error), "the escapes of a pattern are \\* \\? \\\\ \\} and \\/", start)

    def _replacement(self, name: str, start: int) -> str:
        everywhere = self._text.startswith("/", self._position)
        self._position += everywhere
        pattern = self._read_nested("/", start, raw_escapes=True)
        replacement = self._read_nested("}", start, raw_escapes=True)
        value = self._value(name)
        if value is None and self._mode.keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        try:
            return replaced(value or "", pattern, replacement, everywhere=everywhere)
        except PatternError as error:
            self._fail(str(error), "the escapes of a pattern are \\* \\? \\\\ \\} and \\/", start)

    def _next(self, start: int) -> str:
        character = self._text[self._position : self._position + 1]
        if not character:
            self._fail('"}" is missing behind "${"', self._dollar_hint(), start)
        self._position += 1
        return character

    def _dollar_hint(self) -> str:
        return f"write ${{NAME}} for a variable, {self._escape}$ for a dollar sign"

    def _fail(self, message: str, hint: str | None, position: int) -> NoReturn:
        location = self._location
        if location is not None and location.length == len(self._text):
            location = replace(location, column=location.column + position, length=location.length - position)
        raise ExpansionError(message, hint=hint, location=location)
