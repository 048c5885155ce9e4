"""Expansion of whole instructions, and what words cost. The words themselves are in fixtures/words."""

from __future__ import annotations

import time

import pytest

from pyoci.dockerfile.expand import ExpansionError, expand, expand_instruction, expand_word
from pyoci.dockerfile.glob import replaced, without_prefix, without_suffix
from pyoci.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Env,
    Expose,
    Healthcheck,
    Label,
    Run,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from pyoci.location import Location
from tests.unit.dockerfile.reading import first

VARIABLES = {"abc": "hello", "p": "80 443/tcp", "u": "app", "f": "a.txt"}.get


def test_one_value_for_the_whole_instruction() -> None:
    env = expand_instruction(first(Env, "ENV abc=bye def=$abc $abc=1"), VARIABLES)
    assert [(p.name.text, p.value.text) for p in env.pairs] == [("abc", "bye"), ("def", "hello"), ("hello", "1")]


def test_fields_that_expand() -> None:
    copy = expand_instruction(
        first(Copy, "COPY --chown=$u:$u --chmod=$abc --from=$u --exclude=$f $f '$f' $u/"), VARIABLES
    )
    assert copy.chown is not None and copy.chown.text == "app:app"
    assert copy.chmod is not None and copy.chmod.text == "hello"
    assert [word.text for word in (*copy.sources, copy.destination)] == ["a.txt", "$f", "app/"]
    assert copy.from_ is not None and copy.from_.text == "$u"
    assert copy.exclude[0].text == "$f"
    add = expand_instruction(first(Add, "ADD --checksum=$abc $f /x"), VARIABLES)
    assert add.checksum is not None and add.checksum.text == "hello"
    assert expand_instruction(first(Workdir, "WORKDIR /$u/$abc"), VARIABLES).path.text == "/app/hello"
    assert expand_instruction(first(User, "USER ${u}:${g:-staff}"), VARIABLES).user.text == "app:staff"
    assert expand_instruction(first(Label, "LABEL $u=$abc"), VARIABLES).pairs[0].name.text == "app"
    assert expand_instruction(first(Volume, "VOLUME /$u"), VARIABLES).paths[0].text == "/app"
    assert expand_instruction(first(Stopsignal, "STOPSIGNAL $abc"), VARIABLES).signal.text == "hello"
    arg = expand_instruction(first(Arg, "ARG $u=$abc"), VARIABLES)
    assert [(d.name.text, d.default and d.default.text) for d in arg.definitions] == [("$u", "hello")]


def test_fields_that_do_not() -> None:
    for kind, text in (
        (Run, "RUN echo $u"),
        (Cmd, "CMD echo $u"),
        (Healthcheck, "HEALTHCHECK CMD $u"),
    ):
        instruction = first(kind, text)
        assert expand_instruction(instruction, VARIABLES) == instruction


def test_a_variable_may_hold_several_ports() -> None:
    expose = expand_instruction(first(Expose, 'EXPOSE $p 9 "1"'), VARIABLES)
    assert [word.text for word in expose.ports] == ["1", "80", "443/tcp", "9"]


def test_a_heredoc_is_stripped_then_expanded_and_then_final() -> None:
    copy = expand_instruction(first(Copy, "COPY <<-A <<'B' /x\n\t$u\n\t\\$u 'q'\n\tA\n$u\nB\n"), VARIABLES)
    assert [(h.text, h.expand) for h in copy.heredocs] == [("app\n$u 'q'\n", False), ("$u\n", False)]
    assert expand_instruction(copy, VARIABLES) == copy


def test_tabs_that_a_variable_brings_along_stay() -> None:
    copy = expand_instruction(first(Copy, "COPY <<-A /x\n\t$tabs\nA\n"), {"tabs": "\tx"}.get)
    assert copy.heredocs[0].text == "\tx\n"


def test_names_that_are_not_set_are_told_with_their_place() -> None:
    missed: list[tuple[str, int]] = []

    def note(name: str, location: Location) -> None:
        missed.append((name, location.column))

    expand_instruction(first(Copy, "COPY --chown=$x $b$a $u ${c:-d}"), VARIABLES, on_missing=note)
    assert sorted(missed) == [("a", 17), ("b", 17), ("c", 25), ("x", 14)]


def test_an_error_points_into_the_word() -> None:
    with pytest.raises(ExpansionError) as caught:
        expand_instruction(first(Env, "ENV a=1 b=xx${y!z}"), VARIABLES)
    assert caught.value.location is not None
    assert (caught.value.location.column, caught.value.location.length) == (13, 6)


def test_names_used_and_missed() -> None:
    expansion = expand_word("$abc ${u:-$x} ${y:-$z}", VARIABLES)
    assert expansion.used == {"abc", "u"}
    assert expansion.missing == {"x", "y", "z"}


def test_substitutions_nest_only_so_deep() -> None:
    assert expand("${a:-" * 50 + "x" + "}" * 50, VARIABLES) == "x"
    with pytest.raises(ExpansionError, match="more than 100 deep"):
        expand("${a:-" * 5000 + "x" + "}" * 5000, VARIABLES)


def test_a_word_cannot_grow_without_limit() -> None:
    with pytest.raises(ExpansionError, match="more than 16 MiB"):
        expand("$a" * 20, {"a": "x" * 2**20}.get)


@pytest.mark.parametrize(
    "word",
    ["$abc" * 50_000, "'" * 200_000, '"$abc"' * 30_000, "\\" * 200_000, "<" * 200_000, "$" * 200_000, "a b " * 50_000],
    ids=lambda word: str(word)[:8],
)
def test_words_take_time_in_proportion(word: str) -> None:
    begin = time.perf_counter()
    expand_word(word, VARIABLES)
    assert time.perf_counter() - begin < 5


def test_patterns_take_time_in_proportion() -> None:
    value = "a" * 20_000
    begin = time.perf_counter()
    assert without_prefix(value, "*a" * 50 + "b", longest=False) == value
    assert without_suffix(value, "*a" * 50, longest=True) == ""
    assert replaced(value, "*a" * 50 + "b", "x", everywhere=True) == value
    assert replaced(value, "aa", "b", everywhere=True) == "b" * 10_000
    assert time.perf_counter() - begin < 5
