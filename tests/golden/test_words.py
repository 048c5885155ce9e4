"""The tables of `fixtures/words`: what a word expands to, and why it does not.

The head of a table sets variables (`set NAME=value`, with JSON escapes) and says how its rows are read; a row is
`WORD → RESULT`.
`␠` is a blank at an end, `␤` a line end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyoci.dockerfile.expand import ExpansionError, expand_heredoc, expand_word

TABLES = sorted((Path(__file__).parents[2] / "fixtures" / "words").glob("*.txt"))


@dataclass
class Table:
    name: str
    escape: str = "\\"
    is_heredoc: bool = False
    shows_words: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, str]] = field(default_factory=list)

    def result(self, word: str) -> str:
        try:
            if self.is_heredoc:
                expansion = expand_heredoc(word, self.variables.get)
            else:
                expansion = expand_word(word, self.variables.get, escape=self.escape)
        except ExpansionError as error:
            return error.message
        return "|".join(expansion.words) if self.shows_words else expansion.text


def read_table(path: Path) -> Table:
    table = Table(path.stem)
    for line in path.read_text().splitlines():
        if " →" in line:
            word, _, result = line.partition(" →")
            table.rows.append((word.replace("␠", " "), result.removeprefix(" ").replace("␠", " ").replace("␤", "\n")))
            continue
        key, _, rest = line.partition(" ")
        match key:
            case "set":
                name, _, value = rest.partition("=")
                table.variables[name] = json.loads(f'"{value}"')
            case "escape":
                table.escape = rest
            case "mode":
                table.is_heredoc = rest == "heredoc"
            case "result":
                table.shows_words = rest == "words"
            case _:
                assert not line or line.startswith("#"), line
    return table


ROWS = [(table, word, result) for table in map(read_table, TABLES) for word, result in table.rows]


@pytest.mark.parametrize(("table", "word", "expected"), ROWS, ids=[f"{t.name}: {w}" for t, w, _ in ROWS])
def test_a_word_expands(table: Table, word: str, expected: str) -> None:
    assert table.result(word) == expected
