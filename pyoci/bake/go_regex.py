r"""Regular expressions of Go as those of Python: what both write in the same way and mean otherwise is rewritten.

`$` is the end of the text alone, `\d`, `\w`, `\s` and `\b` are ASCII's, `[[:alpha:]]` and its like are classes, `\z` is
the end, `\Q…\E` quotes, and `(?<name>…)` names a group. What Go has and Python has not is an error of Python's.

Spec: the syntax of RE2 as Go's regexp/syntax documents it.
"""

from __future__ import annotations

import re

from pyoci.bake.values import ValueProblem
from pyoci.regex import regex

__all__ = ["compile_go"]

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_TOKEN = regex(
    r"(?P<quoted>\\Q(?P<text>.*?)(?:\\E|\Z))|(?P<escape>\\.)|(?P<named>\(\?<(?=[A-Za-z_]))"
    r"|(?P<flags>\(\?(?P<on>[a-zA-Z]*)(?:-[a-zA-Z]*)?[:)])|(?P<set>\[)|(?P<end>\$)",
    re.DOTALL,
)
_IN_SET = regex(r"\\.|\[:(?P<name>[a-z]+):\]|\]|.", re.DOTALL)


def compile_go(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled.

    Raises:
        ValueProblem: it is no regular expression.
    """
    try:
        return re.compile(_rewritten(pattern), re.ASCII)
    except (re.error, OverflowError, ValueError, RecursionError) as error:
        raise ValueProblem(f'"{pattern}" is no regular expression: {error}') from None


def _rewritten(pattern: str) -> str:
    found = ""
    position = 0
    lines = False
    while (token := _TOKEN.search(pattern, position)) is not None:
        found += pattern[position : token.start()]
        position = token.end()
        match token.lastgroup:
            case "text" | "quoted":
                found += re.escape(token["text"])
            case "named":
                found += "(?P<"
            case "set":
                members, position = _set(pattern, position)
                found += members
            case "end":
                found += "$" if lines else r"\Z"
            case "escape":
                found += r"\Z" if token[0] == r"\z" else token[0]
            case _:
                lines = lines or "m" in (token["on"] or "")
                found += token[0]
    return found + pattern[position:]


def _set(pattern: str, position: int) -> tuple[str, int]:
    """The members of a `[…]`, and where it ends."""
    found = "["
    if pattern.startswith("^", position):
        found, position = found + "^", position + 1
    if pattern.startswith("]", position):
        found, position = found + r"\]", position + 1
    while (token := _IN_SET.match(pattern, position)) is not None:
        position = token.end()
        if token["name"] is not None:
            if token["name"] not in _CLASSES:
                raise ValueError(f"there is no class {token[0]}")
            found += _CLASSES[token["name"]]
        elif token[0] == "[":
            found += r"\["
        else:
            found += token[0]
            if token[0] == "]":
                break
    return found, position
