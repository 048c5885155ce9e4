"""The parser is total, its places lie in the text, and what it reads can be written and read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyoci.cli.render_error import render
from pyoci.dockerfile.findings import BaseImage, CheckInputs
from pyoci.dockerfile.instructions import Dockerfile
from pyoci.dockerfile.lint import check_dockerfile
from pyoci.dockerfile.outline import outline, targets
from pyoci.dockerfile.parser import decode_source, parse_dockerfile
from pyoci.errors import DockerfileError, PyociError
from pyoci.location import Location, SourceFile
from pyoci.platforms import Platform
from tests.property.dockerfile_text import dockerfile_texts, printed

INPUTS = CheckInputs(
    builtins={"TARGETPLATFORM": "linux/amd64"},
    target_platform=Platform("linux", "amd64"),
    base_image=lambda name, platform: BaseImage(),
)


def read(text: str) -> Dockerfile | list[PyociError]:
    """What the parser makes of a text: nothing else may come out of it."""
    try:
        return parse_dockerfile(decode_source("Dockerfile", text.encode("utf-8", "surrogateescape")))
    except DockerfileError as error:
        return [error, *error.others]


def places(value: object) -> Iterator[Location]:
    """Every location that a value holds."""
    if isinstance(value, Location):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from places(item)
    elif is_dataclass(value) and not isinstance(value, SourceFile):
        for field in fields(value):
            yield from places(getattr(value, field.name))


def assert_inside(place: Location) -> None:
    lines = place.source.text.split("\n")
    assert 1 <= place.line <= place.last_line <= len(lines)
    line = lines[place.line - 1]
    assert 1 <= place.column <= len(line) + 1
    assert place.length >= 1
    assert place.column - 1 + place.length <= len(line) + 1


def assert_sound(result: Dockerfile | list[PyociError]) -> None:
    if isinstance(result, Dockerfile):
        for place in places(result):
            assert_inside(place)
        for finding in check_dockerfile(result, INPUTS):
            assert_inside(finding.location)
        for stage, _ in zip(result.stages, targets(result), strict=True):
            outline(result, INPUTS, stage)
        return
    for error in result:
        assert error.location is not None
        assert_inside(error.location)
        assert "\n" not in error.message
    assert render(result[0]).startswith("error: ")


@given(dockerfile_texts())
@settings(max_examples=400, deadline=None)
def test_a_plausible_text_gives_a_dockerfile_or_located_errors(text: str) -> None:
    assert_sound(read(text))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_a_dockerfile_or_located_errors(text: str) -> None:
    assert_sound(read("FROM x\n" + text))
    assert_sound(read(text))


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_dockerfile_or_located_errors(raw: bytes) -> None:
    assert_sound(read((b"FROM x\nRUN " + raw).decode("utf-8", "surrogateescape")))


@given(dockerfile_texts())
@settings(max_examples=400, deadline=None)
def test_what_was_read_can_be_written_and_read_again(text: str) -> None:
    """But for an escape character at the end, which nothing but odd white space behind it keeps from continuing."""
    assume(not any("\ud800" <= character <= "\udfff" for character in text))
    dockerfile = read(text)
    if isinstance(dockerfile, Dockerfile):
        again = printed(dockerfile)
        assume(not any(line.endswith(("\\", "`")) for line in again.split("\n")))
        assert read(again) == dockerfile
