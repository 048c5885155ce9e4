"""Comments that stand behind an instruction, which the language does not have: `COPY app.go .   # source`.

Docker takes the `#` and every word behind it as arguments. Where that can be right (a file may be called `#`) only the
one who looks for the file knows better, so this module finds the place and words the error; others decide.
"""

from __future__ import annotations

import re

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.words import Word
from pyoci.errors import DockerfileError
from pyoci.location import Location
from pyoci.regex import regex
from pyoci.values import replace

__all__ = ["comment_offset", "looks_like_trailing_comment", "trailing_comment_error"]

_COMMENT = regex(r"(?<=[ \t])#")
_BEHIND_JSON = regex(r"\][ \t]+#")


def comment_offset(text: str, start: int, end: int) -> int | None:
    """Where in `text[start:end]` a `#` stands behind white space."""
    match = _COMMENT.search(text, start, end)
    return match.start() if match else None


def looks_like_trailing_comment(instruction: ins.Instruction | ins.Stage) -> Location | None:
    """The place of what looks like a comment behind an instruction that is legal all the same; None if there is none.

    For RUN it is none: the shell has comments.
    """
    match instruction:
        case ins.Copy() | ins.Add():
            return _first_comment_word((*instruction.sources, instruction.destination))
        case ins.Arg():
            return _first_comment_word(tuple(definition.name for definition in instruction.definitions))
        case ins.Volume():
            return _first_comment_word(instruction.paths)
        case ins.Workdir():
            return _comment_in(instruction.path)
        case ins.Maintainer():
            return _found(instruction.location, _COMMENT)
        case ins.Cmd() | ins.Entrypoint() if instruction.form == "shell":
            return _found(instruction.location, _BEHIND_JSON)
        case _:
            return None


def trailing_comment_error(keyword: str, place: Location) -> DockerfileError:
    """The error to raise when such a comment made an instruction fail."""
    typed = place.source.line(place.line)[place.column - 1 :].strip()
    return DockerfileError(
        f"a comment cannot stand behind {keyword}",
        hint=f'put "{typed}" on a line of its own, above',
        location=place,
    )


def _first_comment_word(words: tuple[Word, ...]) -> Location | None:
    for word in sorted(words[1:], key=lambda word: (word.location.line, word.location.column)):
        typed = word.location.source.line(word.location.line)
        if word.text.startswith("#") and typed[word.location.column - 1 :].startswith("#"):
            return _to_end_of_line(word.location)
    return None


def _comment_in(word: Word) -> Location | None:
    offset = comment_offset(word.text, 0, len(word.text))
    if offset is None or word.location.length != len(word.text):
        return None
    return _to_end_of_line(replace(word.location, column=word.location.column + offset))


def _found(place: Location, pattern: re.Pattern[str]) -> Location | None:
    typed = place.source.line(place.line)
    match = pattern.search(typed, place.column - 1)
    return _to_end_of_line(replace(place, column=match.end())) if match else None


def _to_end_of_line(place: Location) -> Location:
    typed = place.source.line(place.line).rstrip()
    return replace(place, length=max(1, len(typed) - place.column + 1), end_line=0)
