"""HCL text as its grammar is given it: as long as the original, with what the grammar need not know made plain.

Strings and heredocs become strings of x, comments spaces; so do line ends where HCL lets lines go on (in brackets, in
parentheses, in a `for` and in a sequence of a template), and all but the last of several operators in front of a term.
What each string holds is kept by its place, for `templates`, and so are those operators.

Spec: HCL native syntax specification, "Newline Sequences", "Template Expressions".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pyoci.bake.passage import Passage
from pyoci.errors import BakeError
from pyoci.regex import regex
from pyoci.values import dataclass, field

__all__ = ["RawTemplate", "Skeleton", "make_skeleton", "sequence_end"]

_CODE = regex(r'[\n(){}\[\]"#]|//|/\*|<<(-?)([^\W\d][\w-]*)\r?\n')
_QUOTED = regex(r'\\.|["\n]|\$\$\{|%%\{|[$%]\{', re.DOTALL)
_SEQUENCE = regex(r"\$\$\{|%%\{|[$%]\{")
_FOR = regex(r"\s*for\b(?!\s*[=:])")
_CHAIN = regex(
    r"(?P<before>(?:^|[=(,:?\[{&|<>+*/%]|(?:[)\]\"]\s*|\w\s+)-)\s*)(?P<chain>(?:(?:!(?!=)|-)\s*){2,})(?=[\w(\[{\"])",
    re.ASCII,
)
"""Several operators in front of a term, behind what a term can follow."""
_CLOSERS = {")": "(", "]": "["}


@dataclass(frozen=True, slots=True)
class RawTemplate:
    """A string as it is written, without its quotes or marks."""

    kind: Literal["quoted", "heredoc", "flush", "bare"]
    """`flush` is a heredoc whose common indentation is taken off, `bare` a string of another language."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The plain text and what is hidden in it."""

    text: str
    templates: Mapping[int, RawTemplate] = field(hash=False)
    """By where they begin in the passage, quotes and marks included."""
    operators: Mapping[int, str] = field(default_factory=dict, hash=False)
    """`!` and `-` that stand before another one, by the place of the last in the passage."""


def make_skeleton(passage: Passage, start: int, end: int, *, is_expression: bool) -> Skeleton:
    """The skeleton of a part of a passage: a body of attributes and blocks, or a lone expression.

    Raises:
        BakeError: a string, heredoc, comment or sequence does not end, or an expression closes what it did not open.
    """
    scanner = _Scanner(passage, end)
    scanner.code(start, "expression" if is_expression else "body")
    text, position = "", start
    for first, last, plain in scanner.edits:
        text += passage.text[position:first] + plain
        position = last
    operators: dict[int, str] = {}
    plain = _CHAIN.sub(lambda found: _last_alone(found, start, operators), text + passage.text[position:end])
    return Skeleton(plain, scanner.templates, operators)


def _last_alone(found: re.Match[str], start: int, operators: dict[int, str]) -> str:
    chain = found["chain"]
    last = max(chain.rfind("!"), chain.rfind("-"))
    operators[start + found.start("chain") + last] = "".join(chain[:last].split())
    return found["before"] + " " * last + chain[last:]


def sequence_end(passage: Passage, start: int, end: int) -> int:
    """Behind the `}` of a sequence of a template; `start` is behind its `{`.

    Raises:
        BakeError: it does not end.
    """
    return _Scanner(passage, end).code(start, "sequence")


class _Scanner:
    def __init__(self, passage: Passage, end: int) -> None:
        self._passage = passage
        self._text = passage.text
        self._end = end
        self.edits: list[tuple[int, int, str]] = []
        self.templates: dict[int, RawTemplate] = {}

    def _error(self, message: str, start: int, end: int, hint: str | None = None) -> BakeError:
        return BakeError(message, hint=hint, location=self._passage.place(start, end))

    def _blank(self, start: int, end: int) -> None:
        self.edits.append((start, end, " " * (end - start)))

    def _hide(self, start: int, end: int, template: RawTemplate) -> None:
        self.templates[start] = template
        self.edits.append((start, end, '"' + "x" * (end - start - 2) + '"'))

    def code(self, start: int, what: Literal["body", "expression", "sequence"]) -> int:
        """Goes over code to the end of a sequence, else of the passage."""
        stack: list[str] = []
        position = start
        while (found := _CODE.search(self._text, position, self._end)) is not None:
            sign, position = found[0], found.end()
            top = stack[-1] if stack else ""
            match sign:
                case "\n":
                    if top in ("(", "[", "for") or (not stack and what != "body"):
                        self._blank(found.start(), position)
                case "#" | "//" | "/*":
                    position = self._comment(found.start(), sign)
                case '"' if what == "sequence":
                    try:
                        position = self._quoted(found.start(), hide=False)
                    except BakeError as error:
                        raise self._open_sequence(start) from error
                case '"':
                    position = self._quoted(found.start(), hide=True)
                case "(" | "[":
                    stack.append(sign)
                case "{":
                    stack.append("for" if _FOR.match(self._text, position) else "{")
                case ")" | "]" | "}":
                    if top == _CLOSERS.get(sign, top) and top:
                        stack.pop()
                    elif what == "sequence" and sign == "}":
                        return position
                    elif what == "expression":
                        raise self._error(f'unexpected "{sign}"', found.start(), position)
                case _:
                    position = self._heredoc(found, hide=what != "sequence")
        if what == "sequence":
            raise self._open_sequence(start)
        return self._end

    def _open_sequence(self, start: int) -> BakeError:
        sign = self._text[start - 2 : start]
        hint = f'write "{sign[0]}{sign}" for the signs themselves'
        return self._error(f'"{sign}" is not closed by "}}"', start - 2, start, hint)

    def _comment(self, start: int, sign: str) -> int:
        closing = "*/" if sign == "/*" else "\n"
        end = self._text.find(closing, start + len(sign), self._end)
        if end < 0 and sign == "/*":
            raise self._error("a comment is not closed", start, start + 2, hint="end it with */")
        end = self._end if end < 0 else end + len(closing.strip())
        self._blank(start, end)
        return end

    def _quoted(self, start: int, *, hide: bool) -> int:
        position = start + 1
        while (found := _QUOTED.search(self._text, position, self._end)) is not None:
            sign, position = found[0], found.end()
            if sign == '"':
                if hide:
                    self._hide(start, position, RawTemplate("quoted", start + 1, position - 1))
                return position
            if sign == "\n":
                break
            if sign in ("${", "%{"):
                position = sequence_end(self._passage, position, self._end)
        raise self._error(
            "a string is not closed",
            start,
            start + 1,
            hint='a string ends on its line, with "; for text of several lines write <<EOT',
        )

    def _heredoc(self, opening: re.Match[str], *, hide: bool) -> int:
        text, mark = self._text, opening[2]
        position, begins_line = opening.end(), True
        while position <= self._end:
            end = text.find("\n", position, self._end)
            end = self._end if end < 0 else end
            if begins_line and text[position:end].strip() == mark:
                closed = position + len(text[position:end].rstrip())
                if hide:
                    kind: Literal["flush", "heredoc"] = "flush" if opening[1] else "heredoc"
                    self._hide(opening.start(), closed, RawTemplate(kind, opening.end(), position))
                return closed
            found = _SEQUENCE.search(text, position, end)
            begins_line = found is None
            if found is None:
                position = end + 1
            elif found[0] in ("${", "%{"):
                position = sequence_end(self._passage, found.end(), self._end)
            else:
                position = found.end()
        raise self._error(
            f"the text that begins with {opening[0].strip()} is not closed",
            opening.start(),
            opening.start() + len(opening[0].strip()),
            hint=f"end it with a line that has {mark} alone",
        )
