"""From text to stages: layout, directives, comments, continuations, places, collected errors."""

from __future__ import annotations

import contextlib
import time

import pytest

from pyoci.dockerfile.checks import CheckOptions
from pyoci.dockerfile.instructions import Copy, Env, Onbuild, Run, Workdir
from pyoci.dockerfile.parser import decode_source, parse_trigger
from pyoci.errors import DockerfileError
from pyoci.location import Location
from tests.unit.dockerfile.reading import faults, first, messages, place, read


def test_stages_and_arguments_before_them() -> None:
    dockerfile = read("ARG A=1 B\nARG C\nFROM x:$A AS Base\nRUN one\nFROM --platform=$P base\n")
    assert [d.name.text for arg in dockerfile.meta_args for d in arg.definitions] == ["A", "B", "C"]
    base, final = dockerfile.stages
    assert (base.index, base.name, base.written_name, base.base, base.platform) == (0, "base", "Base", "x:$A", None)
    assert (final.index, final.name, final.base, final.platform) == (1, None, "base", "$P")
    assert len(base.instructions) == 1
    assert final.instructions == ()


def test_a_byte_order_mark_is_no_text() -> None:
    source = decode_source("f", b"\xef\xbb\xbfFROM x\xff")
    assert source.text == "FROM x\udcff"
    assert source.name == "f"


def test_instructions_that_say_the_same_are_equal_however_they_are_typed() -> None:
    one = first(Copy, "COPY --from=a b c")
    other = first(Copy, '# why\ncopy   --from="a" \\\n b c')
    assert one == other
    assert other.keyword == "copy"
    assert other.comments == ("why",)
    assert other.source_text == 'copy   --from="a" \\\n b c'
    assert other.line == 'copy   --from="a"  b c'


def test_places_of_words_in_continued_lines() -> None:
    copy = first(Copy, "COPY one \\\n  # comment\n\n   --two \\\n\tthree /dst")
    found = [(word.text, word.location.line, word.location.column) for word in (*copy.sources, copy.destination)]
    assert found == [("one", 2, 6), ("--two", 5, 4), ("three", 6, 2), ("/dst", 6, 8)]
    assert (copy.location.line, copy.location.last_line) == (2, 6)


def test_values_of_flags_know_their_place() -> None:
    copy = first(Copy, 'COPY --chown="a b" --from=x y z')
    assert copy.chown is not None
    assert copy.from_ is not None
    assert (copy.chown.text, copy.chown.location.column) == ("a b", 14)
    assert (copy.from_.text, copy.from_.location.column, copy.from_.location.length) == ("x", 27, 1)


def test_a_heredoc_belongs_to_the_lines_of_its_instruction() -> None:
    run = first(Run, "RUN <<EOF\na\n\nb\nEOF\n")
    assert (run.location.line, run.location.last_line) == (2, 6)
    assert run.source_text == "RUN <<EOF\na\n\nb\nEOF"
    assert run.line == "RUN <<EOF"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN a \\\n b", "a  b"),
        ("RUN a \\  \t\n b", "a  b"),
        ("RUN a\\\n\nb", "ab"),
        ("RUN a \\\\\nENV x=y", "a \\\\"),
        ("RUN a \\\n# c\n b", "a  b"),
        ("RUN a \\\n  # c \\\n b", "a  b"),
        ("\\\nRUN a", "a"),
        ("RUN a \\", "a"),
        ("RUN a \\\r\n b\r", "a  b"),
    ],
)
def test_continuations(text: str, expected: str) -> None:
    run = read("FROM scratch\n" + text).stages[0].instructions[0]
    assert isinstance(run, Run)
    assert run.arguments == (expected,)


def test_blank_lines_inside_an_instruction_are_noted() -> None:
    dockerfile = read("FROM scratch\nRUN a \\\n\n b\nRUN c \\\n # d\n e\n")
    assert [place.last_line for place in dockerfile.empty_continuations] == [4]


def test_directives() -> None:
    dockerfile = read("#  Syntax = docker/dockerfile:1.7-labs \n# ESCAPE=`\n#check=skip=A, B;error=true\nFROM x\n")
    assert dockerfile.syntax == "docker/dockerfile:1.7-labs"
    assert dockerfile.escape == "`"
    assert dockerfile.check == CheckOptions(skip=frozenset({"A", ""}))


@pytest.mark.parametrize("above", ["\n", "# comment\n", "# unknown=1\n", "ARG x\n"])
def test_directives_end_at_the_first_other_line(above: str) -> None:
    assert read(above + "# escape=`\nFROM x\n").escape == "\\"


@pytest.mark.parametrize(
    "name",
    [
        "docker/dockerfile",
        "docker/dockerfile:1",
        "docker/dockerfile:1.26.0",
        "docker/dockerfile:1-labs",
        "docker/dockerfile:labs",
        "docker/dockerfile:1.4.3-labs",
        "docker.io/docker/dockerfile:1",
        "docker/dockerfile-upstream:master-labs",
        "docker/dockerfile:1@sha256:" + "0" * 64,
        "mirror.example.org:5000/hub/docker/dockerfile:1",
        "dockerfile.v0",
    ],
)
def test_known_frontends_are_read_here(name: str) -> None:
    assert read(f"# syntax={name}\nFROM x\n").syntax == name


@pytest.mark.parametrize("name", ["x", "docker/dockerfile:2", "docker/dockerfilex", "evil/docker/dockerfile:1", ""])
def test_other_frontends_are_refused(name: str) -> None:
    assert messages(f"# syntax={name} \nFROM x\n") == [f'the frontend "{name}" is not available']


def test_comments_above_an_instruction_describe_and_skip() -> None:
    dockerfile = read(
        "# unrelated\n#\n# V the version\nARG V\n# build makes it\nFROM x AS build\n# check=skip=R\nENV a b\n"
    )
    assert dockerfile.meta_args[0].definitions[0].description == "the version"
    assert dockerfile.meta_args[0].comments == ("V the version",)
    assert dockerfile.stages[0].description == "makes it"
    assert dockerfile.stages[0].instructions[0].check.skip == {"R"}


def test_errors_of_several_instructions_are_collected_in_order() -> None:
    found = faults("FROM x\nCOPY --a b c\nFOO\nCOPY --from=y\nENV x\n")
    assert [fault.message for fault in found] == [
        "unknown flag --a for COPY",
        'unknown instruction "FOO"',
        "COPY needs a source and a destination",
        'ENV needs a value for "x"',
    ]
    assert [place(fault)[0] for fault in found] == [2, 3, 4, 5]


def test_a_heredoc_of_a_faulty_instruction_is_no_instruction() -> None:
    assert messages("FROM x\nCOPY --bad <<EOF /x\nnot an instruction\nEOF\n") == ["unknown flag --bad for COPY"]


def test_a_stage_after_a_faulty_from_keeps_its_instructions_to_itself() -> None:
    assert messages("FROM x AS 1\nCOPY a b\nFROM y\nRUN true\n") == ['"1" is no name for a stage']


def test_before_the_first_from_one_error_is_enough() -> None:
    assert messages("RUN a\nRUN b\nFROM x\n") == ["RUN stands before the first FROM"]
    assert messages("RUN a\nBAD b\n") == ["RUN stands before the first FROM", 'unknown instruction "BAD"']


def test_a_missing_from_is_told_with_what_there_is() -> None:
    assert messages("") == ["the Dockerfile is empty"]
    assert messages("ARG x\n") == ["the Dockerfile has no FROM"]


def test_onbuild_keeps_what_the_image_config_will_hold() -> None:
    onbuild = first(Onbuild, "onBuild   RUN  <<A\nx\nA\n")
    assert onbuild.expression == "RUN  <<A\nx\nA"
    assert isinstance(onbuild.trigger, Run)
    assert parse_trigger(onbuild.expression, None) == onbuild.trigger


def test_a_trigger_of_a_base_is_read_like_an_instruction() -> None:
    assert parse_trigger("WORKDIR /x", None) == first(Workdir, "WORKDIR /x")
    assert parse_trigger("ENV a=b` c", None, escape="`") == first(Env, "ENV a=b` c", top="# escape=`\nFROM x\n")


@pytest.mark.parametrize("text", ["", "RUN a\nRUN b", "FROM x", "FOO", "COPY --x a b", "MAINTAINER m", "ONBUILD RUN x"])
def test_a_trigger_that_is_none_is_an_error_at_from(text: str) -> None:
    at = Location(decode_source("Dockerfile", b"FROM base"), 1, 6, 4)
    with pytest.raises(DockerfileError, match="ONBUILD trigger") as caught:
        parse_trigger(text, at)
    assert caught.value.location is at


@pytest.mark.parametrize(
    "text",
    [
        "FROM x\n" + "RUN a \\\n" * 30_000,
        "FROM x\n" + "COPY --bad a b\n" * 4_000,
        "FROM x\nRUN " + "<<A" * 30_000 + "\n",
        "FROM x\nCOPY " + "--link " * 15_000 + "a b\n",
        "FROM x\nENV " + "a=b " * 40_000 + "\n",
        "FROM x\nENV a=" + '"' * 120_001 + "\n",
        "FROM x\nCMD " + "[" * 120_000 + "\n",
        "FROM x\nCMD [" + '"a",' * 40_000 + '"b"]\n',
        "# syntax=" + " " * 120_000 + "x\nFROM x\n",
        "# escape" + " " * 120_000 + "\nFROM x\n",
        "FROM x\nEXPOSE " + "0-65535 " * 12_000 + "\n",
        "#" * 120_000 + "\nFROM x\n" + "\\\n" * 30_000,
        "FROM x\nRUN --mount=" + "a=b," * 30_000 + " x\n",
        "FROM x\nLABEL " + "\\" * 120_001 + "\n",
        "ONBUILD " * 30_000,
        "FROM x\n" + "ONBUILD " * 30_000,
    ],
    ids=lambda text: str(text)[:24],
)
def test_large_inputs_take_time_in_proportion(text: str) -> None:
    begin = time.perf_counter()
    with contextlib.suppress(DockerfileError):
        read(text)
    assert time.perf_counter() - begin < 5


def test_a_nul_character_is_an_error_once() -> None:
    (fault,) = faults(b"FROM x\n# \0\nRUN echo a \\\n  b\0c\nFOO\n")
    assert fault.message == "a NUL character stands in this line"
    assert place(fault) == (4, 4, 1)


def test_a_file_in_utf_16_is_told_so() -> None:
    (fault,) = faults("\ufeffFROM x\nRUN y\n".encode("utf-16-le"))
    assert fault.hint == "an editor may have saved the file as UTF-16: save it as UTF-8"
