"""Physical lines to logical ones: directives, comments, continuations; every character remembers where it stood.

Knows no instruction. A logical line is one instruction's text with its continuations joined, as BuildKit joins them:
the first line loses its leading white space, the others keep theirs.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from pyoci.dockerfile.checks import NO_CHECK_OPTIONS, CheckOptions, parse_check_options
from pyoci.errors import DockerfileError
from pyoci.location import Location, SourceFile
from pyoci.regex import regex
from pyoci.values import dataclass, replace

__all__ = ["NO_OTHER_FRONTEND", "SPACES", "Directives", "LineReader", "LogicalLine", "is_known_frontend"]

SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's White_Space, of which fields are trimmed; `str.strip()` would trim four control characters more."""

_BLANKS = "\t\n\f\r "
_DIRECTIVE = regex(rf"([a-zA-Z][a-zA-Z0-9]*)[{_BLANKS}]*=(.+)")
_KNOWN = frozenset({"syntax", "escape", "check"})
NO_OTHER_FRONTEND = "pyoci reads the language of docker/dockerfile:1 itself and loads no other frontend"
"""What to say of one that is not known."""
_FRONTEND = (
    r"(?:dockerfile\.v0|(?:(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9-]+(?=:))(?::[0-9]+)?/"
    r"(?:[a-z0-9._-]+/)*)?docker/dockerfile(?:-upstream)?"
    r"(?::(?:1(?:\.[0-9]+){0,2}(?:-[a-z0-9.]+)?|latest|labs|experimental|master(?:-[a-z0-9]+)?))?(?:@sha256:[0-9a-f]{64})?)"
)


def is_known_frontend(name: str) -> bool:
    """Whether this parser stands in for a frontend that `# syntax=` or BUILDKIT_SYNTAX names."""
    return re.fullmatch(_FRONTEND, name.removeprefix("docker-image://")) is not None


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """One instruction's text, and where each part of it was typed."""

    source: SourceFile
    text: str
    segments: tuple[tuple[int, int, int], ...]
    """(offset in `text`, line, column) of every physical line that gave something, in order; at least one."""
    first_line: int
    last_line: int
    comments: tuple[str, ...] = ()
    has_empty_continuation: bool = False

    def location(self, start: int, end: int | None = None) -> Location:
        """The place of `text[start:end]`; where that spans physical lines, of its part on the first of them."""
        end = len(self.text) if end is None else end
        index = max(0, bisect_right(self.segments, start, key=lambda segment: segment[0]) - 1)
        offset, line, column = self.segments[index]
        limit = self.segments[index + 1][0] if index + 1 < len(self.segments) else len(self.text)
        part = self.text[start : min(end, limit)].rstrip(SPACES)
        return Location(self.source, line, column + start - offset, max(1, len(part)))

    @property
    def whole(self) -> Location:
        """The place of the whole instruction, underlined as far as its first physical line goes."""
        return replace(self.location(0), end_line=self.last_line)


@dataclass(frozen=True, slots=True)
class Directives:
    """What the directives at the top of a file say."""

    escape: str = "\\"
    syntax: str | None = None
    check: CheckOptions = NO_CHECK_OPTIONS


class LineReader:
    """Gives the instructions of a file one after the other; reads each character once.

    With an `escape` the text is no file: it has no directives.
    """

    def __init__(self, source: SourceFile, problems: list[DockerfileError], escape: str | None = None) -> None:
        self._source = source
        self._problems = problems
        self._lines = source.text.split("\n")
        if not self._lines[-1]:
            self._lines.pop()
        self._next = 0
        self._comments: list[str] = []
        self.directives = self._read_directives() if escape is None else Directives(escape)

    @property
    def line_count(self) -> int:
        return len(self._lines)

    def next_line(self) -> LogicalLine | None:
        """The next instruction, or None at the end of the file."""
        while self._next < len(self._lines):
            raw = self._lines[self._next]
            self._next += 1
            text = raw.rstrip("\r").lstrip(SPACES)
            if text.startswith("#"):
                self._remember_comment(raw)
            elif text:
                return self._join(raw, text)
        return None

    def take_until(self, terminator: str, *, strip_tabs: bool) -> str | None:
        """The lines up to one that is `terminator`, with their line ends; None if there is no such line."""
        start = self._next
        for index in range(start, len(self._lines)):
            candidate = self._lines[index].rstrip("\r")
            if (candidate.lstrip("\t") if strip_tabs else candidate) == terminator:
                self._next = index + 1
                return "".join(f"{line}\n" for line in self._lines[start:index])
        self._next = len(self._lines)
        return None

    def last_line_like(self, text: str) -> int | None:
        """The number of the last line that is `text` but for white space around it."""
        for index in range(len(self._lines) - 1, -1, -1):
            if self._lines[index].strip(SPACES) == text:
                return index + 1
        return None

    def typed(self, first_line: int) -> str:
        """Everything from the start of a line to what was read last, as typed."""
        return "\n".join(self._lines[first_line - 1 : self._next]).removesuffix("\r")

    @property
    def last_line_read(self) -> int:
        return self._next

    def _remember_comment(self, raw: str) -> None:
        comment = raw[1:].strip(SPACES)
        if comment:
            self._comments.append(comment)
        else:
            self._comments.clear()

    def _join(self, raw: str, text: str) -> LogicalLine:
        first_line = self._next
        column = len(raw) - len(raw.lstrip(SPACES)) + 1
        text, continues = self._without_continuation(text)
        parts, segments, length = [text], [(0, first_line, column)], len(text)
        has_empty = False
        while continues and self._next < len(self._lines):
            text = self._lines[self._next].rstrip("\r")
            self._next += 1
            stripped = text.lstrip(SPACES)
            if stripped.startswith("#"):
                continue
            if not stripped:
                has_empty = True
                continue
            text, continues = self._without_continuation(text)
            segments.append((length, self._next, 1))
            parts.append(text)
            length += len(text)
        comments, self._comments = tuple(self._comments), []
        if len(segments) > 1 and not parts[0]:
            del segments[0]
        return LogicalLine(
            self._source, "".join(parts), tuple(segments), segments[0][1], self._next, comments, has_empty
        )

    def _without_continuation(self, text: str) -> tuple[str, bool]:
        """The line without a continuation character at its end, and whether it had one; a doubled one is none."""
        escape = self.directives.escape
        body = text.rstrip(" \t")
        if body.endswith(escape) and not body.endswith(escape * 2):
            return body[:-1], True
        return text, False

    def _read_directives(self) -> Directives:
        """Behind a `#!` line, directives are comments as well, and `escape` is nothing but a comment."""
        escape, syntax, check = "\\", None, NO_CHECK_OPTIONS
        seen: set[str] = set()
        has_shebang = bool(self._lines) and self._lines[0].startswith("#!")
        for index in range(int(has_shebang), len(self._lines)):
            raw = self._lines[index].rstrip("\r")
            body = raw.lstrip(SPACES)
            match = _DIRECTIVE.fullmatch(body[1:].lstrip(SPACES)) if body.startswith("#") else None
            key = match[1].lower() if match else ""
            if match is None or key not in _KNOWN:
                break
            value = match[2].strip(_BLANKS)
            start = len(raw.rstrip(_BLANKS)) - len(value)
            location = Location(self._source, index + 1, start + 1, max(1, len(value)))
            if has_shebang and (key == "escape" or key in seen):
                continue
            if key in seen:
                self._fail(f'the directive "{key}" is given twice', "keep one of them", location)
            elif key == "escape":
                escape = self._escape(value, location)
            elif key == "syntax":
                syntax = self._frontend(value.partition(" ")[0], location)
            elif key == "check":
                check = self._check(value.partition(" ")[0], location)
            seen.add(key)
            if not has_shebang:
                self._next = index + 1
        return Directives(escape, syntax, check)

    def _escape(self, value: str, location: Location) -> str:
        if value in ("\\", "`"):
            return value
        self._fail(f'the escape character "{value}" is neither \\ nor `', "write # escape=` or leave it out", location)
        return "\\"

    def _frontend(self, value: str, location: Location) -> str:
        if not is_known_frontend(value):
            self._fail(f'the frontend "{value}" is not available', NO_OTHER_FRONTEND, location)
        return value

    def _check(self, value: str, location: Location) -> CheckOptions:
        try:
            return parse_check_options(value)
        except ValueError as error:
            self._fail(
                f'invalid check option "{error}"', "write # check=skip=RULE,RULE;error=true with no space", location
            )
            return NO_CHECK_OPTIONS

    def _fail(self, message: str, hint: str, location: Location) -> None:
        self._problems.append(DockerfileError(message, hint=hint, location=location))
