"""Whatever is in a bake file, it is read or refused with an error that says where."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyoci.bake.env_file import parse_env_file
from pyoci.bake.hcl import parse_hcl
from pyoci.dockerfile.parser import decode_source
from pyoci.errors import BakeError, PyociError
from pyoci.location import SourceFile
from tests.unit.bake.files import argument, printed

WORDS = (
    'target "default" {', "}", "\n", "tags = ", "[", "]", '"x"', '"${A}"', "${", "args = {", "A = 1", ",", "(", ")",
    "for x in", ":", "=>", "if", "...", "variable", "function", '"f"', "params = [a]", "result = a", "upper(", "1", "-",
    "*", "/", "%", "==", "&&", "!", "? 1 : 2", "null", "true", "<<E\n", "E\n", "matrix = {", 'name = "${x}"', "\\", '"',
    "group", "inherits = ", "[*].a", ".b", "# c", "/*", "$", "'", "é", "\x00", "services:", "  build: .", "&a", "*a",
    "<<: *a", "- ", "{", '"target": {', '"default": {', ": ", "\t", "1e999", "9" * 50, "\ud800", "%{ if true }",
    "%{ else }", "%{ endif ~}", "%{ for x in [1] }", "%{~ endfor }", "$${", "%%{", "~}", "${~ 1", "<<-E\n", "E", "\r\n",
    "type = list(", "string)", "object({", "convert(", "validation {", "condition = ", "extends: a", "include: [x]",
    "!reset null", "!override [a]", "semvercmp(", "cidrhost(", "resources = {", "policy = [",
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
TEMPLATES = st.lists(st.sampled_from((*WORDS, "a", " ", "\n", "${x}", "${1}", "${[1]}", "x")), max_size=12).map("".join)


@pytest.mark.parametrize("name", ["docker-bake.hcl", "docker-bake.json", "compose.yaml", "-"])
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    try:
        printed(text, name=name)
    except PyociError as error:
        assert error.message


@settings(max_examples=400, deadline=None)
@given(raw=st.one_of(st.binary(max_size=120), TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_hcl_or_an_error_with_its_place(raw: bytes) -> None:
    source = decode_source("docker-bake.hcl", raw)
    try:
        parse_hcl(source)
    except BakeError as error:
        assert error.location is not None
        place = error.location
        assert 1 <= place.line <= source.text.count("\n") + 1
        assert 1 <= place.column <= len(source.line(place.line)) + 1


@settings(max_examples=300, deadline=None)
@given(text=TEMPLATES)
def test_any_template_has_a_value_or_an_error_with_its_place(text: str) -> None:
    for written in (f'"{text}"', f"<<E\n{text}\nE\n", f"<<-E\n  {text}\n  E\n"):
        try:
            argument(written)
        except BakeError as error:
            assert error.location is not None


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters='\\"$%{}\n\r'), max_size=60))
def test_a_plain_string_means_itself(text: str) -> None:
    assert argument(f'"{text}"') == text
    assert argument(f"<<E\n{text} .\nE\n") == f"{text} .\n"


@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_any_env_file_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        parse_env_file(SourceFile(".env", text), {})
    except BakeError as error:
        assert error.location is not None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docker-bake.hcl", "a = " + "[" * 2000 + "]" * 2000),
        ("docker-bake.hcl", "a = " + "-" * 3000 + "1"),
        ("docker-bake.hcl", "a = " + "(" * 2000 + "1" + ")" * 2000),
        ("docker-bake.hcl", "a = " + '"${' * 2000 + "1" + '}"' * 2000),
        ("docker-bake.hcl", 'a = "' + "%{ if true }" * 2000 + "%{ endif }" * 2000 + '"'),
        ("docker-bake.json", '{"a": ' + "[" * 5000 + "]" * 5000 + "}"),
        ("compose.yaml", "a: " + "[" * 2000 + "]" * 2000),
        ("compose.yaml", "a: &a [*a]"),
    ],
)
def test_deep_nesting_is_refused(name: str, text: str) -> None:
    with pytest.raises(PyociError):
        printed(text, name=name)
