"""The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*`, `?` and escapes, matched in linear time.

Answers are those of BuildKit, which makes regular expressions of them: neither `*` nor `?` matches a line end, and the
replacement of `//` is a template in which `$0` is what was matched. A pattern is a row of states kept as the bits of
one integer, so that no pattern makes a match slow.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from pyoci.regex import regex

__all__ = ["PatternError", "replaced", "without_prefix", "without_suffix"]

_LONGEST_PATTERN = 10_000
_REFERENCE = regex(r"\$(?:(?P<dollar>\$)|(?P<name>\w+)|\{(?P<braced>\w+)\})")


class PatternError(ValueError):
    """The pattern has an escape that means nothing, or is too long."""


class _Token(NamedTuple):
    kind: Literal["literal", "any", "run"]
    character: str = ""


class _Automaton:
    """State i stands before token i; the state behind the last one accepts."""

    __slots__ = ("accept", "any", "literal", "run")

    def __init__(self, tokens: list[_Token]) -> None:
        self.any = self.run = 0
        self.literal: dict[str, int] = {}
        self.accept = 1 << len(tokens)
        for index, (kind, character) in enumerate(tokens):
            match kind:
                case "any":
                    self.any |= 1 << index
                case "run":
                    self.run |= 1 << index
                case "literal":
                    self.literal[character] = self.literal.get(character, 0) | 1 << index

    def start(self) -> int:
        return self._skip_runs(1)

    def step(self, active: int, character: str) -> int:
        moves = self.literal.get(character, 0)
        if character == "\n":
            return self._skip_runs((active & moves) << 1)
        return self._skip_runs((active & (moves | self.any)) << 1 | active & self.run)

    def _skip_runs(self, active: int) -> int:
        return active | (active & self.run) << 1


def without_prefix(value: str, pattern: str, *, longest: bool) -> str:
    """The value without the shortest, or longest, beginning that the pattern matches.

    Raises:
        PatternError: see there.
    """
    return value[_match_end(_parse(pattern), value, 0, longest=longest) or 0 :]


def without_suffix(value: str, pattern: str, *, longest: bool) -> str:
    """The value without the shortest, or longest, end that the pattern matches.

    Raises:
        PatternError: see there.
    """
    end = _match_end(_parse(pattern)[::-1], value[::-1], 0, longest=longest) or 0
    return value[: len(value) - end]


def replaced(value: str, pattern: str, replacement: str, *, everywhere: bool) -> str:
    """The value with the first match, or every match, of the pattern replaced; each match is as long as it can be.

    Raises:
        PatternError: see there.
    """
    tokens = _parse(pattern)
    starts = _match_starts(tokens, value)
    parts: list[str] = []
    copied = position = 0
    for start in starts:
        if start < position:
            continue
        end = _match_end(tokens, value, start, longest=True)
        assert end is not None
        parts.append(value[copied:start])
        if not everywhere:
            parts.append(replacement)
            copied = end
            break
        if end > copied or start == 0:
            parts.append(_filled(replacement, value[start:end]))
        copied = end
        position = max(end, start + 1)
    parts.append(value[copied:])
    return "".join(parts)


def _parse(pattern: str) -> list[_Token]:
    if len(pattern) > _LONGEST_PATTERN:
        raise PatternError(f"the pattern is longer than {_LONGEST_PATTERN} characters")
    tokens: list[_Token] = []
    characters = iter(pattern)
    for character in characters:
        if character == "*":
            if not tokens or tokens[-1].kind != "run":
                tokens.append(_Token("run"))
        elif character == "?":
            tokens.append(_Token("any"))
        elif character == "\\":
            escaped = next(characters, "")
            if escaped not in ("*", "?", "\\", "}", "/"):
                raise PatternError(f'the escape "\\{escaped}" in the pattern means nothing')
            tokens.append(_Token("literal", escaped))
        else:
            tokens.append(_Token("literal", character))
    return tokens


def _match_end(tokens: list[_Token], value: str, start: int, *, longest: bool) -> int | None:
    automaton = _Automaton(tokens)
    active = automaton.start()
    end = None
    for index in range(start, len(value) + 1):
        if active & automaton.accept:
            end = index
            if not longest:
                break
        if not active or index == len(value):
            break
        active = automaton.step(active, value[index])
    return end


def _match_starts(tokens: list[_Token], value: str) -> list[int]:
    """Every place where a match begins, in order: where the reversed pattern ends in the reversed value."""
    automaton = _Automaton(tokens[::-1])
    initial = automaton.start()
    active = initial
    starts: list[int] = []
    for index in range(len(value), -1, -1):
        if active & automaton.accept:
            starts.append(index)
        if index:
            active = automaton.step(active, value[index - 1]) | initial
    return starts[::-1]


def _filled(template: str, matched: str) -> str:
    """A replacement as Go's regexp fills it: `$0` is the match, other groups are empty, `$$` is `$`."""

    def value_of(reference: re.Match[str]) -> str:
        if reference["dollar"]:
            return "$"
        return matched if (reference["name"] or reference["braced"]) == "0" else ""

    return _REFERENCE.sub(value_of, template) if "$" in template else template
