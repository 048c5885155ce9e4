"""Cutting an instruction's text into words, each with its place. Quotes and variables stay; `expand.py` resolves them.

The rules of white space, quotes and escapes are BuildKit's, and differ between flags, `NAME=value` pairs and lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from pyoci.dockerfile.lines import SPACES, LogicalLine
from pyoci.location import Location
from pyoci.regex import regex
from pyoci.values import dataclass, field

__all__ = [
    "BLANKS",
    "FlagWord",
    "Token",
    "Word",
    "quoted_words",
    "split_blanks",
    "split_first_blank",
    "split_flags",
    "trimmed",
    "word_at",
]

BLANKS = "\t\v\f\r "
"""What separates the words of a list; other Unicode spaces do not."""
_BLANK_RUN = regex(f"[{BLANKS}]+")
_BLANKS_MAYBE = regex(f"[{BLANKS}]*")
_NOT_BLANK = regex(f"[^{BLANKS}]+")


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of text and where it was typed. Words with equal text are equal."""

    text: str
    location: Location = field(compare=False, repr=False)


class Token(NamedTuple):
    """A word found in a logical line at `line.text[start:end]`; `text` differs from that where quotes were removed."""

    text: str
    start: int
    end: int


class FlagWord(NamedTuple):
    """`--name` or `--name=value`, unquoted, at `line.text[start:end]`."""

    name: str
    value: str | None
    start: int
    name_end: int
    end: int


def word_at(line: LogicalLine, token: Token) -> Word:
    """The token as a word that knows its place."""
    return Word(token.text, line.location(token.start, token.end))


def trimmed(text: str, start: int, end: int) -> Token:
    """`text[start:end]` without white space at both ends."""
    body = text[start:end]
    left = body.lstrip(SPACES)
    start += len(body) - len(left)
    body = left.rstrip(SPACES)
    return Token(body, start, start + len(body))


def split_blanks(text: str, start: int, end: int) -> list[Token]:
    """The words of `text[start:end]` between blanks; quotes mean nothing here."""
    return [Token(match[0], match.start(), match.end()) for match in _NOT_BLANK.finditer(text, start, end)]


def split_first_blank(text: str, start: int, end: int) -> tuple[Token, Token | None]:
    """What stands before the first run of blanks, and all that stands behind it, if there is one."""
    match = _BLANK_RUN.search(text, start, end)
    if match is None:
        return Token(text[start:end], start, end), None
    return Token(text[start : match.start()], start, match.start()), Token(text[match.end() : end], match.end(), end)


@lru_cache(maxsize=4)
def _quoted_word(escape: str) -> re.Pattern[str]:
    e = re.escape(escape)
    return re.compile(
        rf"""(?:[^{SPACES}'"{e}]++ | {e}. | '[^']*+(?:'|\Z) | "(?:[^"{e}]++|{e}.)*+(?:"|(?P<lone>{e}\Z)|\Z))++""",
        re.VERBOSE | re.DOTALL,
    )


def quoted_words(text: str, start: int, end: int, escape: str) -> Iterator[Token]:
    """The words of `text[start:end]` between white space outside quotes; quotes and escapes are kept.

    An escape character at the very end is dropped. An open quote reaches to the end.
    """
    pattern = _quoted_word(escape)
    position = start
    while position < end:
        match = pattern.match(text, position, end)
        if match is None:
            position += 1
            continue
        yield Token(match[0][:-1] if match["lone"] else match[0], position, match.end())
        position = match.end()


@lru_cache(maxsize=4)
def _flag_piece(escape: str) -> re.Pattern[str]:
    e = re.escape(escape)
    return re.compile(
        rf"""(?P<plain>[^{BLANKS}'"{e}]+) | '(?P<single>(?:[^'{e}]++|{e}.)*+)(?:'|{e}?\Z)
            | "(?P<double>(?:[^"{e}]++|{e}.)*+)(?:"|{e}?\Z) | {e}(?P<escaped>.) | (?P<lone>{e}\Z)""",
        re.VERBOSE | re.DOTALL,
    )


def split_flags(text: str, start: int, end: int, escape: str) -> tuple[list[FlagWord], int]:
    """The words beginning with `--` at the start of `text[start:end]`, and where the rest begins.

    Quotes and escapes are removed. A lone `--` ends the flags.
    """
    unescape = re.compile(re.escape(escape) + "(.)", re.DOTALL)
    piece = _flag_piece(escape)
    flags: list[FlagWord] = []
    position = start
    while True:
        if blanks := _BLANKS_MAYBE.match(text, position, end):
            position = blanks.end()
        if not text.startswith("--", position, end):
            return flags, position
        word_start = position
        parts: list[str] = []
        name_end = 0
        while match := piece.match(text, position, end):
            kind = match.lastgroup
            part = match[kind] if kind not in (None, "lone") else ""
            if not name_end and "=" in match[0]:
                name_end = position + match[0].index("=")
            parts.append(unescape.sub(r"\1", part) if kind in ("single", "double") else part)
            position = match.end()
        word = "".join(parts)
        if word == "--":
            return flags, position
        name, equals, value = word.partition("=")
        flags.append(FlagWord(name, value if equals else None, word_start, name_end or position, position))
