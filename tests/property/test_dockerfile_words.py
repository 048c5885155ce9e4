"""Laws of expansion, of patterns and of modes."""

from __future__ import annotations

import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyoci.dockerfile.chmod import parse_mode
from pyoci.dockerfile.expand import ExpansionError, expand, expand_word
from pyoci.dockerfile.glob import replaced, without_prefix, without_suffix
from pyoci.dockerfile.json_words import NotAllStrings, json_words
from pyoci.dockerfile.patterns import PatternSet, go_match
from pyoci.dockerfile.units import format_duration, parse_duration
from pyoci.errors import DockerfileError

VARIABLES = {"x": "value", "y": "", "z": "a b"}.get
texts = st.text(alphabet="ab.$\\{}'\"`:-+?#%/*xyz <", max_size=20)
values = st.text(alphabet="ab./\n", max_size=12)
globs = st.text(alphabet="ab.*?", max_size=6)


@given(texts)
@settings(max_examples=500)
def test_expansion_is_total(word: str) -> None:
    try:
        expansion = expand_word(word, VARIABLES)
    except ExpansionError:
        return
    assert "".join(expansion.words).replace(" ", "") == re.sub(r"\s", "", expansion.text)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="$\\'\"<"), max_size=20))
def test_what_is_not_special_stays(word: str) -> None:
    assert expand(word, VARIABLES) == word


@given(st.text(max_size=20))
def test_quoting_and_escaping_keep_everything(text: str) -> None:
    assume("'" not in text)
    assert expand(f"'{text}'", VARIABLES) == text
    assert expand("".join(f"\\{character}" for character in text), VARIABLES) == text
    in_double_quotes = "".join(f"`{c}" if c in '"$`' else c for c in text)
    assert expand(f'"{in_double_quotes}"', VARIABLES, "`") == text


@given(texts, texts)
def test_quoted_parts_expand_one_by_one(one: str, other: str) -> None:
    try:
        first, second = expand(f'"{one}"', VARIABLES), expand(f'"{other}"', VARIABLES)
    except ExpansionError:
        return
    try:
        assert expand(f'"{one}""{other}"', VARIABLES) == first + second
    except ExpansionError:
        assert one.endswith("\\") or other.endswith("\\") or "${" in one + other


@given(st.sampled_from("xyzu"), st.text(alphabet="ab ", max_size=5))
def test_a_default_and_an_alternative_never_meet(name: str, word: str) -> None:
    value = VARIABLES(name)
    assert expand(f"${{{name}:-{word}}}", VARIABLES) == (value or word)
    assert expand(f"${{{name}-{word}}}", VARIABLES) == (word if value is None else value)
    assert expand(f"${{{name}:+{word}}}", VARIABLES) == (word if value else "")
    assert expand(f"${{{name}+{word}}}", VARIABLES) == ("" if value is None else word)


def _regex(glob: str, star: str) -> str:
    return "".join(star if c == "*" else "." if c == "?" else re.escape(c) for c in glob)


@given(values, globs)
def test_prefixes_and_suffixes_are_what_trying_them_all_finds(value: str, glob: str) -> None:
    matching = [end for end in range(len(value) + 1) if re.fullmatch(_regex(glob, ".*"), value[:end])]
    assert without_prefix(value, glob, longest=False) == value[min(matching, default=0) :]
    assert without_prefix(value, glob, longest=True) == value[max(matching, default=0) :]
    ends = [len(value) - n for n in range(len(value) + 1) if re.fullmatch(_regex(glob, ".*"), value[len(value) - n :])]
    assert without_suffix(value, glob, longest=False) == value[: max(ends, default=len(value))]
    assert without_suffix(value, glob, longest=True) == value[: min(ends, default=len(value))]


@given(st.text(alphabet="ab./", max_size=12), globs)
def test_the_first_match_is_the_one_that_a_regular_expression_finds(value: str, glob: str) -> None:
    found = re.search(_regex(glob, ".*"), value)
    expected = value[: found.start()] + "X" + value[found.end() :] if found else value
    assert replaced(value, glob, "X", everywhere=False) == expected


paths = st.lists(st.sampled_from(["a", "b", "ab", "x.go"]), min_size=1, max_size=4).map("/".join)
patterns = st.lists(
    st.builds(
        lambda negation, parts: negation + "/".join(parts),
        st.sampled_from(["", "", "!"]),
        st.lists(st.sampled_from(["a", "b", "*", "**", "a*", "*.go", "?", "[ab]"]), min_size=1, max_size=3),
    ),
    max_size=5,
)


@given(patterns, paths)
@settings(max_examples=500)
def test_a_directory_that_is_passed_over_holds_nothing(texts: list[str], path: str) -> None:
    found = PatternSet(texts)
    for end in (index for index, character in enumerate(path) if character == "/"):
        directory = path[:end]
        if found.excluded(directory) and not found.may_reinclude_below(directory):
            assert found.excluded(path)


@given(patterns, paths)
def test_without_negations_what_is_excluded_takes_all_below_with_it(texts: list[str], path: str) -> None:
    found = PatternSet([text.removeprefix("!") for text in texts])
    if found.excluded(path):
        assert found.excluded(f"{path}/below")
    assert found.excluded(path) == found.matches_path_or_parents(path)


@given(st.text(alphabet="ab*?[]^-\\/", max_size=8), st.text(alphabet="ab/", max_size=6))
@settings(max_examples=500)
def test_patterns_are_total(pattern: str, path: str) -> None:
    for match in (go_match, lambda p, n: PatternSet([p]).excluded(n)):
        try:
            match(pattern, path)
        except DockerfileError as error:
            assert "malformed" in error.message or "takes back nothing" in error.message


@given(st.text(alphabet="ugoa+-=rwxXst,07", max_size=10), st.integers(0, 0o7777), st.booleans())
@settings(max_examples=500)
def test_modes_are_total_and_stay_modes(text: str, mode: int, is_directory: bool) -> None:
    try:
        change = parse_mode(text)
    except DockerfileError:
        return
    assert 0 <= change(mode, is_directory) <= 0o7777


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_durations_are_read_as_they_are_written(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)))
def test_the_json_form_is_what_json_says(value: object) -> None:
    import json

    text = json.dumps(value)
    try:
        words = json_words(text, 0, len(text))
    except NotAllStrings:
        assert isinstance(value, list)
        assert not all(isinstance(item, str) for item in value)
    else:
        is_words = isinstance(value, list) and all(isinstance(item, str) for item in value)
        assert (words is not None) == is_words
