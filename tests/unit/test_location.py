from __future__ import annotations

import pytest

from pyoci.location import Location, SourceFile


@pytest.mark.parametrize(
    ("text", "number", "line"),
    [
        ("FROM a\nRUN b\n", 1, "FROM a"),
        ("FROM a\nRUN b\n", 2, "RUN b"),
        ("FROM a\nRUN b", 2, "RUN b"),
        ("FROM a\r\nRUN b\r\n", 1, "FROM a"),
        ("FROM a\n", 3, ""),
        ("FROM a\n", 0, ""),
        ("FROM a\n", -1, ""),
        ("", 1, ""),
        ("a\u2028b\x0bc\n", 1, "a\u2028b\x0bc"),
    ],
)
def test_a_line_is_what_stands_between_line_feeds(text: str, number: int, line: str) -> None:
    assert SourceFile("Dockerfile", text).line(number) == line


def test_a_location_reads_as_an_editor_takes_it() -> None:
    assert str(Location(SourceFile("build/Dockerfile", ""), 12, 5)) == "build/Dockerfile:12:5"


def test_a_location_without_an_end_ends_on_its_line() -> None:
    source = SourceFile("-", "")
    assert Location(source, 3).last_line == 3
    assert Location(source, 3, end_line=7).last_line == 7
