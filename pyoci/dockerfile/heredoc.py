"""Heredocs of RUN, COPY and ADD: finding `<<NAME` in a line and keeping what follows it.

Spec: Dockerfile reference, "Here-Documents". Which words count is BuildKit's: a word of the whole line, digits before
`<<` allowed, blanks after it too, quotes in the name switch expansion off.
"""

from __future__ import annotations

import re

from pyoci.dockerfile.lexer import ExpansionError, Mode, expand_words
from pyoci.dockerfile.lines import LineReader, LogicalLine
from pyoci.errors import DockerfileError
from pyoci.location import Location
from pyoci.regex import regex
from pyoci.values import dataclass, field

__all__ = ["Heredoc", "Marker", "find_markers", "parse_marker", "read_heredocs"]

_MARKER = regex(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)")
_LEADING_TABS = regex(r"^\t+", re.MULTILINE)
_MARKER_MODE = Mode(keep_unset=True)
_RAW_MODE = Mode(keep_unset=True, raw_quotes=True)
_LINE_MODE = Mode(keep_unset=True, raw_quotes=True, raw_escapes=True)


@dataclass(frozen=True, slots=True)
class Heredoc:
    """The lines between `<<NAME` and `NAME`."""

    name: str
    content: str
    """As typed, with every line end."""
    expand: bool = True
    """False when the name was quoted."""
    strip_tabs: bool = False
    """True for `<<-`."""
    descriptor: int = 0
    """The digits before `<<`."""
    location: Location | None = field(default=None, compare=False, repr=False)
    """Of `<<NAME`."""

    @property
    def text(self) -> str:
        """The content, without leading tabs where `<<-` asks for that."""
        return _LEADING_TABS.sub("", self.content) if self.strip_tabs else self.content


@dataclass(frozen=True, slots=True)
class Marker:
    """`<<NAME` as it stands in a line."""

    name: str
    expand: bool
    strip_tabs: bool
    descriptor: int


def parse_marker(word: str) -> Marker | None:
    """The marker that a word is, if it is one: `[digits]<<[-]NAME`, the name quoted or not."""
    match = _MARKER.fullmatch(word)
    if match is None or not match[3]:
        return None
    try:
        names = expand_words(match[3], _nothing_set, mode=_MARKER_MODE)
        raw = expand_words(match[3], _nothing_set, mode=_RAW_MODE)
    except ExpansionError:
        return None
    if len(names) != 1:
        return None
    quoted = sum(map("".join(raw).count, "'\"")) != sum(map(names[0].count, "'\""))
    return Marker(names[0], not quoted, match[2] == "-", int(match[1][-9:] or "0"))


def find_markers(text: str) -> list[Marker]:
    """The markers among the words of an instruction's line, in order. A line whose quotes do not match has none."""
    try:
        words = expand_words(text, _nothing_set, mode=_LINE_MODE)
    except ExpansionError:
        return []
    return [marker for word in words if (marker := parse_marker(word)) is not None]


def read_heredocs(line: LogicalLine, reader: LineReader) -> tuple[Heredoc, ...]:
    """The heredocs that a line announces, read from the lines that follow it.

    Raises:
        DockerfileError: one is not ended by a line with its name.
    """
    heredocs: list[Heredoc] = []
    position = 0
    for marker in find_markers(line.text):
        position = line.text.find("<<", position)
        location = line.location(position, position + len(marker.name) + (3 if marker.strip_tabs else 2))
        position += 2
        content = reader.take_until(marker.name, strip_tabs=marker.strip_tabs)
        if content is None:
            hint = _hint(marker, reader)
            raise DockerfileError(f"the heredoc {marker.name} is not ended", hint=hint, location=location)
        heredocs.append(Heredoc(marker.name, content, marker.expand, marker.strip_tabs, marker.descriptor, location))
    return tuple(heredocs)


def _nothing_set(name: str) -> None:
    return None


def _hint(marker: Marker, reader: LineReader) -> str:
    if marker.name[0].isdecimal():
        return "if << shifts bits here, write no blanks around it"
    almost = reader.last_line_like(marker.name)
    if almost is not None:
        tabs = "" if marker.strip_tabs else f"; <<-{marker.name} allows tabs before it"
        return f"line {almost} has blanks around {marker.name}{tabs}"
    return f"end it with a line that holds {marker.name} and nothing else"
