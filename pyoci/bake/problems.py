"""Errors of bake files: located, and with the nearest name where one was mistyped."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pyoci.bake.values import ValueProblem
from pyoci.errors import BakeError
from pyoci.location import Location

__all__ = ["meaning", "name_matches", "nested", "unknown"]


def name_matches(pattern: str, name: str) -> bool:
    """Whether a pattern with `*`, `?` and `[…]` means a target's name."""
    return fnmatch.fnmatchcase(name, pattern.replace("[^", "[!"))


def unknown(what: str, word: str, known: Iterable[str], location: Location | None, *, otherwise: str) -> BakeError:
    """An error about a name that does not exist; the hint is the nearest name, or `otherwise`."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    hint = f'did you mean "{close[0]}"?' if close else otherwise
    return BakeError(f'{what} "{word}"', hint=hint, location=location)


@contextmanager
def meaning(location: Location | None, about: str = "") -> Iterator[None]:
    """Makes a located error of a value that cannot be used.

    Raises:
        BakeError: a ValueProblem passed through.
    """
    try:
        yield
    except ValueProblem as problem:
        raise BakeError(f"{about}: {problem}" if about else str(problem), location=location) from problem


@contextmanager
def nested(name: str) -> Iterator[None]:
    """Makes an error of a document that is nested deeper than can be followed.

    Raises:
        BakeError: the interpreter's stack was exhausted.
    """
    try:
        yield
    except RecursionError as error:
        raise BakeError(f"{name} is nested too deeply", hint="take it apart with variables and inherits") from error
