"""Comments behind instructions: where they look like one and are legal all the same."""

from __future__ import annotations

import pytest

from pyoci.dockerfile.comments import looks_like_trailing_comment, trailing_comment_error
from tests.unit.dockerfile.reading import messages, read


@pytest.mark.parametrize(
    ("text", "column", "length"),
    [
        ("COPY app.go .   # Copy source code", 17, 18),
        ("ADD a b #c", 9, 2),
        ("COPY a b #", 10, 1),
        ("ARG v=1 # the version", 9, 13),
        ("VOLUME /a # b", 11, 3),
        ("WORKDIR /x # y", 12, 3),
        ("MAINTAINER me # you", 15, 5),
        ('CMD ["a"] # b', 11, 3),
        ('ENTRYPOINT ["a"]   # b', 20, 3),
    ],
)
def test_what_looks_like_one(text: str, column: int, length: int) -> None:
    (instruction,) = read(f"FROM x\n{text}  \n").stages[0].instructions
    place = looks_like_trailing_comment(instruction)
    assert place is not None
    assert (place.line, place.column, place.length) == (2, column, length)


@pytest.mark.parametrize(
    "text",
    [
        "COPY # b",
        "COPY a#b c",
        'COPY ["a", "#b", "c"]',
        "COPY '#a' b",
        "RUN echo # x",
        "CMD echo # x",
        'CMD ["a", "#"]',
        "ARG a=# b",
        "LABEL a='# b'",
        "WORKDIR /a#b",
        "ENV a=b#c",
        "USER a#b",
        "USER app # as in BuildKit, part of the name",
    ],
)
def test_what_does_not(text: str) -> None:
    (instruction,) = read(f"FROM x\n{text}\n").stages[0].instructions
    assert looks_like_trailing_comment(instruction) is None


def test_the_error_for_one() -> None:
    (copy,) = read("FROM x\nCOPY app.go .   # Copy source code\n").stages[0].instructions
    place = looks_like_trailing_comment(copy)
    assert place is not None
    error = trailing_comment_error("COPY", place)
    assert error.message == "a comment cannot stand behind COPY"
    assert error.hint == 'put "# Copy source code" on a line of its own, above'
    assert error.location is place


@pytest.mark.parametrize(
    "text", ["EXPOSE 80 # web", "ENV a=b # c", "LABEL a=b # c", "STOPSIGNAL 9 # c",
             "ONBUILD STOPSIGNAL 9 # x", "HEALTHCHECK NONE # x", 'SHELL ["a"] # x', "ENV a=b \\\n # c\n c=d # e"]
)  # fmt: skip
def test_where_the_instruction_fails_for_it_alone_the_error_says_so(text: str) -> None:
    (message,) = messages(f"FROM x\n{text}\n")
    assert message.startswith("a comment cannot stand behind ")


@pytest.mark.parametrize("text", ["EXPOSE web # web", "ENV a=1 b # c", "LABEL =x # y", "STOPSIGNAL FOO # x"])
def test_where_it_fails_anyway_the_error_is_about_that(text: str) -> None:
    assert "comment" not in messages(f"FROM x\n{text}\n")[0]
