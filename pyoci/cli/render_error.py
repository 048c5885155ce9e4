"""Errors and warnings as text: what happened, where, an excerpt with a caret, what to do.

    error: unknown flag --chwon for COPY
     --> Dockerfile:2:6
      |
    2 | COPY --chwon=app . /src
      |      ^^^^^^^
    hint: did you mean --chown?

Pure: gives a string, prints nothing. The excerpt comes from the text that was parsed, so it is right for `-f -` too. No
character of a Dockerfile or of a command's output reaches the terminal as a control: each is made visible.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from pyoci.errors import CommandFailed, PyociError
from pyoci.location import Location

__all__ = ["render", "render_warning", "visible"]

_MOST_ERRORS = 20
_WIDEST_EXCERPT = 100
_LONGEST_MESSAGE = 600
_CONTEXT_BEFORE_CARET = 30
_TAB = "    "
_STYLES = {"error": "1;31", "warning": "1;33", "hint": "1;36", "gutter": "34", "caret": "1;31"}


def render(error: PyociError, *, colour: bool = False) -> str:
    """The error and those that it carries, separated by blank lines; a failed command's last output lines come first.

    Ends with a line end.
    """
    paint = _Paint(colour)
    errors = list(_flat(error))
    parts = [_one("error", each.message, each.hint, each.location, paint) for each in errors[:_MOST_ERRORS]]
    for index, each in enumerate(errors[:_MOST_ERRORS]):
        if isinstance(each, CommandFailed):
            output = (visible(line.rstrip("\r\n")) for line in each.output_tail)
            parts[index] = "".join(f"  > {line}\n" for line in output) + parts[index]
    if len(errors) > _MOST_ERRORS:
        parts.append(f"and {len(errors) - _MOST_ERRORS} more errors\n")
    return "\n".join(parts)


def render_warning(
    message: str, *, location: Location | None = None, hint: str | None = None, colour: bool = False
) -> str:
    """A warning in the same form. Ends with a line end."""
    return _one("warning", message, hint, location, _Paint(colour))


def visible(text: str) -> str:
    """The text on one line with nothing in it that a terminal would act on."""
    return "".join(shown for shown, _ in map(_shown, text))


class _Paint:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._colour and text else text


def _flat(error: PyociError) -> Iterator[PyociError]:
    yield error
    for other in error.others:
        yield from _flat(other)


def _one(level: str, message: str, hint: str | None, location: Location | None, paint: _Paint) -> str:
    lines = [f"{paint(level, level + ':')} {_shortened(visible(message))}"]
    if location is not None:
        lines += _excerpt(location, paint, level)
    if hint:
        lines.append(f"{paint('hint', 'hint:')} {_shortened(visible(hint))}")
    return "".join(f"{line}\n" for line in lines)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def _excerpt(location: Location, paint: _Paint, level: str) -> list[str]:
    number = str(location.line)
    margin = " " * len(number)
    text, padding, carets = _window(location.source.line(location.line), location.column - 1, location.length)
    bar = paint("gutter", f"{margin} |")
    return [
        paint("gutter", f"{margin}-->") + f" {visible(str(location))}",
        bar,
        f"{paint('gutter', f'{number} |')} {text}".rstrip(),
        f"{bar} {' ' * padding}{paint('caret' if level == 'error' else level, '^' * carets)}",
    ]


def _window(line: str, start: int, length: int) -> tuple[str, int, int]:
    """The part of a line that is shown, the columns before the caret, and how many carets; columns, not characters.

    A long line is cut on both sides so that the caret is in sight.
    """
    end = min(len(line), start + length) if length else len(line)
    first = 0
    if _width(line[:start]) > _WIDEST_EXCERPT - _CONTEXT_BEFORE_CARET:
        first = max(0, start - _CONTEXT_BEFORE_CARET)
    shown, used, last = [], 0, first
    for last, character in enumerate(line[first : first + _WIDEST_EXCERPT + 1], first):  # noqa: B007 -- used below
        text, width = _shown(character)
        if used + width > _WIDEST_EXCERPT:
            break
        shown.append(text)
        used += width
    else:
        last = len(line)
    cut_front, cut_back = "…" if first else "", "…" if last < len(line) else ""
    padding = len(cut_front) + _width(line[first:start]) + max(0, start - len(line))
    return cut_front + "".join(shown) + cut_back, padding, max(1, _width(line[start : min(end, last)]))


def _width(text: str) -> int:
    return sum(width for _, width in map(_shown, text))


def _shown(character: str) -> tuple[str, int]:
    """A character as it is shown, and the columns that it takes."""
    code = ord(character)
    if character == "\t":
        return _TAB, len(_TAB)
    if code < 0x20:
        return f"\\x{code:02x}", 4
    if 0x20 <= code < 0x7F:
        return character, 1
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}", 4
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        escape = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        return escape, len(escape)
    if category in ("Mn", "Me"):
        return character, 0
    return character, 2 if unicodedata.east_asian_width(character) in "WF" else 1
