"""Tables in GitHub's Markdown whose cells cannot be anything but text, whatever an image puts into them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyoci.cli.render_error import visible
from pyoci.regex import regex

__all__ = ["escaped", "markdown_table"]

_SPECIAL = regex(r"([\\`*_{}\[\]()<>#+!|~&@:])")


def escaped(text: str) -> str:
    """The text as Markdown that shows it: no markup, no HTML, no link, no mention of a person."""
    return _SPECIAL.sub(lambda sign: f"&#{ord(sign[1])};", visible(text))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. Ends with a line end."""
    lines = [head, ["---"] * len(head), *([escaped(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
