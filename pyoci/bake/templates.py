r"""Templates: `${expression}`, `%{ if }…%{ else }…%{ endif }` and `%{ for }…%{ endfor }`.

    template = { literal | "${" expression "}" | if | for }
    if       = "%{" "if" expression "}" template [ "%{" "else" "}" template ] "%{" "endif" "}"
    for      = "%{" "for" name [ "," name ] "in" expression "}" template "%{" "endfor" "}"

A `~` behind an opening or in front of a closing brace takes white space from the literal beside it. In a heredoc each
line is a literal of its own, so a `~` reaches to the end of its line and no further.

Spec: HCL native syntax specification, "Template Expressions".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from pyoci.bake import syntax
from pyoci.bake.passage import Passage
from pyoci.bake.skeleton import RawTemplate, sequence_end
from pyoci.bake.syntax import Expression
from pyoci.errors import BakeError
from pyoci.location import Location
from pyoci.regex import regex
from pyoci.values import dataclass

__all__ = ["Parse", "parse_template"]

Parse: TypeAlias = Callable[[int, int], Expression]
"""The expression between two places of the passage."""

_ESCAPE = regex(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_START = regex(r"\$\$\{|%%\{|[$%]\{")
_START_QUOTED = regex(r"\\.|\$\$\{|%%\{|[$%]\{", re.DOTALL)
_LINE = regex(r"[^\n]*[$%][^\n](?=\n)|[^\n]*\n|[^\n]+")
"""What a `~` reaches: a line; HCL's scanner takes the line end apart from a `$` or `%` and one more sign before it."""
_WORD = regex(r"\s*([^\W\d][\w-]*)")
_FOR = regex(r"\s*([^\W\d][\w-]*)\s*(?:,\s*([^\W\d][\w-]*)\s*)?\bin\b")
_CLOSING = {"if": ("else", "endif"), "else": ("endif",), "for": ("endfor",)}


@dataclass(slots=True)
class _Literal:
    text: str


@dataclass(frozen=True, slots=True)
class _Sequence:
    word: str
    """Empty for `${…}`, else the word of a directive."""
    start: int
    """Of the expression."""
    end: int
    location: Location
    takes_before: bool
    takes_after: bool


_Token: TypeAlias = _Literal | _Sequence


def parse_template(passage: Passage, template: RawTemplate, parse: Parse, location: Location) -> Expression:
    """The expression that a string stands for.

    Raises:
        BakeError: a sequence or escape in it is malformed.
    """
    tokens = _tokens(passage, template)
    _take_space(tokens)
    if template.kind == "flush":
        _flush(tokens)
    parser = _Parser(passage, tokens, parse)
    parts = parser.parts(location)
    if len(tokens) == 1 and isinstance(tokens[0], _Sequence) and not tokens[0].word:
        return syntax.Template(tuple(parts), location)
    return _text_of(parts, location)


def _text_of(parts: Sequence[str | Expression], location: Location) -> Expression:
    """A string, whatever its only part may be."""
    if all(isinstance(part, str) for part in parts):
        return syntax.Literal("".join(str(part) for part in parts), location)
    return syntax.Template(tuple(parts) if len(parts) > 1 else ("", *parts), location)


def _tokens(passage: Passage, template: RawTemplate) -> list[_Token]:
    tokens: list[_Token] = []
    text, position, end = passage.text, template.start, template.end
    quoted = template.kind == "quoted"
    literal = ""

    def end_literal() -> None:
        nonlocal literal
        lines = [literal] if quoted and literal else _LINE.findall(literal)
        tokens.extend(_Literal(line) for line in lines)
        literal = ""

    while (found := (_START_QUOTED if quoted else _START).search(text, position, end)) is not None:
        literal += text[position : found.start()]
        position = found.end()
        if found[0] in ("$${", "%%{"):
            literal += found[0][1:]
        elif found[0].startswith("\\"):
            literal += _escaped(passage, template, found.start(), end)
            position = found.start() + len(_ESCAPE.match(text, found.start(), end)[0])  # type: ignore[index]
        else:
            end_literal()
            closed = sequence_end(passage, position, end)
            tokens.append(_sequence(passage, found.start(), closed))
            position = closed
    literal += text[position:end]
    end_literal()
    return tokens


def _escaped(passage: Passage, template: RawTemplate, start: int, end: int) -> str:
    r"""What an escape of a quoted string means: `\n`, `\r`, `\t`, `\"`, `\\`, `\uNNNN` and `\UNNNNNNNN`."""
    found = _ESCAPE.match(passage.text, start, end)
    word = found[1] if found else ""
    if word in _SIMPLE:
        return _SIMPLE[word]
    if len(word) > 1 and int(word[1:], 16) < 0x110000:
        return chr(int(word[1:], 16))
    raise BakeError(
        f'"\\{word}" is no escape of a string',
        hint="write \\\\ for a backslash",
        location=passage.place(start, start + 1 + len(word)),
    )


def _sequence(passage: Passage, start: int, end: int) -> _Sequence:
    text = passage.text
    location = passage.place(start, end)
    inner, last = start + 2, end - 1
    takes_before = text[inner : inner + 1] == "~"
    inner += takes_before
    takes_after = last > inner and text[last - 1] == "~"
    last -= takes_after
    word = ""
    if text[start] == "%":
        found = _WORD.match(text, inner, last)
        word = found[1] if found else ""
        if word not in ("if", "else", "endif", "for", "endfor"):
            raise BakeError(
                f'"{word or text[inner:last].strip()}" is no directive of a template',
                hint="the directives are if, else, endif, for and endfor; %%{ stands for the signs themselves",
                location=location,
            )
        assert found is not None
        inner = found.end()
        if word not in ("if", "for") and text[inner:last].strip():
            raise BakeError(f"nothing comes behind {word}", location=passage.place(inner, last))
    return _Sequence(word, inner, last, location, takes_before, takes_after)


def _take_space(tokens: list[_Token]) -> None:
    """Does what `~` asks for."""
    for index, token in enumerate(tokens):
        if not isinstance(token, _Sequence):
            continue
        before = tokens[index - 1] if index else None
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        if token.takes_before and isinstance(before, _Literal):
            before.text = before.text.rstrip()
        if token.takes_after and isinstance(after, _Literal):
            after.text = after.text.lstrip()


def _flush(tokens: Sequence[_Token]) -> None:
    """Takes the smallest indentation of all lines from each; lines of white space alone do not count and stay."""
    margins: list[int] = []
    indented: list[_Literal] = []
    begins_line = True
    for token in tokens:
        literal = token if isinstance(token, _Literal) else None
        if begins_line:
            text = literal.text if literal is not None else ""
            blank = not text.strip() and text.endswith("\n")
            if not blank:
                margins.append(len(text) - len(text.lstrip()))
                if literal is not None:
                    indented.append(literal)
        begins_line = literal is not None and literal.text.endswith("\n")
    for literal in indented:
        literal.text = literal.text[min(margins) :]


class _Parser:
    """Tokens to parts, directives nested."""

    def __init__(self, passage: Passage, tokens: Sequence[_Token], parse: Parse) -> None:
        self._passage = passage
        self._tokens = tokens
        self._parse = parse
        self._position = 0

    def parts(self, opened: Location, closing: Sequence[str] = (), *, what: str = "") -> list[str | Expression]:
        """What comes up to one of the closing directives, which is left to the caller; else up to the end.

        Raises:
            BakeError: the closing directive is missing, or is another one.
        """
        found: list[str | Expression] = []
        while self._position < len(self._tokens):
            token = self._tokens[self._position]
            if isinstance(token, _Literal):
                found.append(token.text)
            elif token.word in closing:
                return found
            elif not token.word:
                found.append(self._parse(token.start, token.end))
            elif token.word == "if":
                found.append(self._if(token))
            elif token.word == "for":
                found.append(self._for(token))
            else:
                raise BakeError(
                    f"unexpected %{{ {token.word} }}",
                    hint=f"%{{ {what} }} is ended by %{{ {closing[-1]} }}" if what else "no directive is open here",
                    location=token.location,
                )
            self._position += 1
        if closing:
            raise BakeError(f"%{{ {what} }} is not ended", hint=f"end it with %{{ {closing[-1]} }}", location=opened)
        return found

    def _body(self, token: _Sequence) -> Expression:
        self._position += 1
        return _text_of(self.parts(token.location, _CLOSING[token.word], what=token.word), token.location)

    def _closing(self) -> _Sequence:
        token = self._tokens[self._position]
        assert isinstance(token, _Sequence)
        return token

    def _if(self, token: _Sequence) -> Expression:
        condition = self._parse(token.start, token.end)
        yes = self._body(token)
        no: Expression = syntax.Literal("", token.location)
        if (closing := self._closing()).word == "else":
            no = self._body(closing)
        return syntax.Conditional(condition, yes, no, token.location)

    def _for(self, token: _Sequence) -> Expression:
        intro = _FOR.match(self._passage.text, token.start, token.end)
        if intro is None:
            raise BakeError(
                "%{ for } names no loop",
                hint="write %{ for value in list } or %{ for key, value in map }",
                location=token.location,
            )
        key, value = (intro[1], intro[2]) if intro[2] else ("", intro[1])
        loop = syntax.ForLoop(key, value, self._parse(intro.end(), token.end), None)
        return syntax.ForText(loop, self._body(token), token.location)
