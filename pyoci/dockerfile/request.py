"""What the parsers of single instructions are given: keyword, flags and arguments of one line, cut but not judged."""

from __future__ import annotations

from typing import NoReturn, TypedDict

from pyoci.dockerfile.checks import NO_CHECK_OPTIONS, CheckOptions, parse_check_options
from pyoci.dockerfile.heredoc import Heredoc
from pyoci.dockerfile.json_words import NotAllStrings, json_words
from pyoci.dockerfile.lines import LogicalLine
from pyoci.dockerfile.words import FlagWord, Token, split_blanks, split_first_blank, split_flags, trimmed
from pyoci.errors import DockerfileError
from pyoci.location import Location
from pyoci.regex import regex
from pyoci.values import dataclass, field, replace

__all__ = ["Request", "WrittenFields", "read_request"]

_JSON_FORM = frozenset({"ADD", "COPY", "CMD", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"})
_CHECK = regex(r"[cC][hH][eE][cC][kK][\t\f\r ]*=[\t\f\r ]*([^ ]+)")


class WrittenFields(TypedDict):
    """The fields of `instructions.Written`."""

    location: Location
    source_text: str
    line: str
    keyword: str
    comments: tuple[str, ...]
    check: CheckOptions


@dataclass(frozen=True, slots=True)
class Request:
    """One instruction, cut into its parts."""

    line: LogicalLine
    escape: str
    keyword: str
    """Upper-cased; not yet known to be an instruction."""
    typed_keyword: Token
    flags: tuple[FlagWord, ...]
    arguments: Token
    """All that stands behind the flags, trimmed."""
    json: tuple[Token, ...] | None = None
    """The words of the JSON form; None where the arguments are not in it, or the instruction has none."""
    json_problem: int | None = None
    """Where the JSON form holds something that is no string."""
    heredocs: tuple[Heredoc, ...] = ()
    source_text: str = ""
    last_line: int = 0
    problems: list[DockerfileError] = field(default_factory=list)
    """Faults that do not keep the rest of the instruction from being judged."""

    @property
    def place(self) -> Location:
        """Of the whole instruction."""
        end = self.arguments.end if self.arguments.text else self.typed_keyword.end
        location = self.line.location(self.typed_keyword.start, max(end, self.typed_keyword.end))
        return replace(location, end_line=max(self.last_line, self.line.last_line))

    def blank_words(self) -> list[Token]:
        """The arguments cut at blanks."""
        return split_blanks(self.line.text, self.arguments.start, self.arguments.end)

    def written(self) -> WrittenFields:
        """How the instruction stands in its file."""
        comments = self.line.comments
        return {
            "location": self.place,
            "source_text": self.source_text,
            "line": self.line.text[self.typed_keyword.start : max(self.arguments.end, self.typed_keyword.end)],
            "keyword": self.typed_keyword.text,
            "comments": comments,
            "check": _check_of(comments) if comments else NO_CHECK_OPTIONS,
        }

    def fail(self, message: str, hint: str | None = None, at: Token | Location | None = None) -> NoReturn:
        """Raises at a token or place, or at the whole instruction."""
        place = self.line.location(at.start, at.end) if isinstance(at, Token) else at
        raise DockerfileError(message, hint=hint, location=place or self.place)


def read_request(line: LogicalLine, start: int, end: int, escape: str) -> Request:
    """The instruction in `line.text[start:end]`, cut into its parts."""
    body = trimmed(line.text, start, end)
    typed_keyword, rest = split_first_blank(line.text, body.start, body.end)
    flags: list[FlagWord] = []
    arguments = Token("", body.end, body.end)
    if rest is not None:
        flags, rest_start = split_flags(line.text, rest.start, rest.end, escape)
        arguments = trimmed(line.text, rest_start, rest.end)
    keyword = typed_keyword.text.lower().upper()
    words, problem = _json_form(line.text, arguments) if keyword in _JSON_FORM else (None, None)
    return Request(line, escape, keyword, typed_keyword, tuple(flags), arguments, words, problem)


def _json_form(text: str, arguments: Token) -> tuple[tuple[Token, ...] | None, int | None]:
    try:
        words = json_words(text, arguments.start, arguments.end)
    except NotAllStrings as error:
        return None, error.offset
    return None if words is None else tuple(words), None


def _check_of(comments: tuple[str, ...]) -> CheckOptions:
    """The first `check=` among the comments; one that cannot be read is a comment like others."""
    for comment in comments:
        if match := _CHECK.match(comment):
            try:
                return parse_check_options(match[1])
            except ValueError:
                break
    return NO_CHECK_OPTIONS
