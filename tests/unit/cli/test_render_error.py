"""Errors as text. Whole Dockerfiles with their errors are in fixtures/dockerfiles-invalid."""

from __future__ import annotations

import pytest

from pyoci.cli.render_error import render, render_warning
from pyoci.errors import BuildError, CommandFailed, DockerfileError, UsageError, raise_collected
from pyoci.location import Location, SourceFile

SOURCE = SourceFile("build/Dockerfile", "FROM x\nCOPY --chwon=app . /src\n" + "\n" * 8 + "RUN a \\\n  b\n")


def test_an_error_with_a_place() -> None:
    error = DockerfileError(
        "unknown flag --chwon for COPY", hint="did you mean --chown?", location=Location(SOURCE, 2, 6, 7)
    )
    assert render(error) == (
        "error: unknown flag --chwon for COPY\n"
        " --> build/Dockerfile:2:6\n"
        "  |\n"
        "2 | COPY --chwon=app . /src\n"
        "  |      ^^^^^^^\n"
        "hint: did you mean --chown?\n"
    )


def test_an_error_without_a_place() -> None:
    assert render(UsageError("no such target", hint="one of a, b")) == "error: no such target\nhint: one of a, b\n"
    assert render(UsageError("no such target")) == "error: no such target\n"


def test_an_instruction_of_several_lines_shows_its_first() -> None:
    error = BuildError("failed", location=Location(SOURCE, 11, 1, 0, 12))
    assert render(error) == ("error: failed\n  --> build/Dockerfile:11:1\n   |\n11 | RUN a \\\n   | ^^^^^^^\n")


def test_the_output_of_a_failed_command_comes_first() -> None:
    error = CommandFailed("exit status 2", status=2, output_tail=["one", "\x1b[31mtwo\x07", "ta\tb\r\n", "50%\r99%"])
    assert render(error) == "  > one\n  > \\x1b[31mtwo\\x07\n  > ta    b\n  > 50%\\x0d99%\nerror: exit status 2\n"


def test_several_errors() -> None:
    errors = [DockerfileError(f"fault {n}") for n in range(23)]
    with pytest.raises(DockerfileError) as caught:
        raise_collected(errors)
    text = render(caught.value)
    assert text.startswith("error: fault 0\n\nerror: fault 1\n")
    assert text.endswith("error: fault 19\n\nand 3 more errors\n")


def test_colour() -> None:
    error = DockerfileError("m", hint="h", location=Location(SOURCE, 1, 1, 4))
    coloured = render(error, colour=True)
    assert coloured.startswith("\x1b[1;31merror:\x1b[0m m\n")
    assert "\x1b[1;31m^^^^\x1b[0m" in coloured
    plain = coloured
    for code in ("1;31", "1;36", "34", "0"):
        plain = plain.replace(f"\x1b[{code}m", "")
    assert plain == render(error)


@pytest.mark.parametrize(
    ("line", "column", "length", "shown", "carets"),
    [
        ("ab", 1, 1, "ab", "^"),
        ("ab", 2, 9, "ab", " ^"),
        ("ab", 3, 1, "ab", "  ^"),
        ("ab", 9, 1, "ab", "        ^"),
        ("a\tb", 3, 1, "a    b", "     ^"),
        ("a\x1b[0mb", 6, 1, "a\\x1b[0mb", "        ^"),
        ("日本b", 3, 1, "日本b", "    ^"),
        ("日本b", 1, 2, "日本b", "^^^^"),
        ("e\u0301b", 3, 1, "e\u0301b", " ^"),
        ("a\u202eb", 3, 1, "a\\u202eb", "       ^"),
        ("a\udcffb", 3, 1, "a\\xffb", "     ^"),
        ("a\U000e0001b", 3, 1, "a\\U000e0001b", "           ^"),
        ("", 1, 0, "", "^"),
    ],
)
def test_the_caret_stands_where_the_eye_looks(line: str, column: int, length: int, shown: str, carets: str) -> None:
    error = DockerfileError("m", location=Location(SourceFile("f", line), 1, column, length))
    excerpt = render(error).split("\n")
    assert excerpt[3] == f"1 | {shown}".rstrip()
    assert excerpt[4] == f"  | {carets}"


def test_a_long_line_is_cut_around_the_caret() -> None:
    line = "".join(f"{n:03} " for n in range(200))
    for start in (0, 40, 75, 300, 790):
        error = DockerfileError("m", location=Location(SourceFile("f", line), 1, start + 1, 3))
        excerpt = render(error).split("\n")
        caret = excerpt[4].index("^")
        assert excerpt[3][caret : caret + 3] == line[start : start + 3]
        assert len(excerpt[3]) <= 110
        assert excerpt[4].count("^") == 3


def test_a_huge_line_is_rendered_at_once() -> None:
    source = SourceFile("f", "x" * 1_000_000)
    assert len(render(DockerfileError("m" * 100_000, location=Location(source, 1, 500_000, 0)))) < 2000


def test_a_warning() -> None:
    text = render_warning("old form", location=Location(SOURCE, 1, 1, 4), hint="use the new one")
    assert text.startswith("warning: old form\n --> build/Dockerfile:1:1\n")
    assert text.endswith("hint: use the new one\n")
