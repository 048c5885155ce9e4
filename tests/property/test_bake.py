"""Whatever is in a bake file, it is read or refused with an error that says where."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyoci.errors import PyociError
from tests.unit.bake.files import printed

WORDS = (
    'target "default" {', "}", "\n", "tags = ", "[", "]", '"x"', '"${A}"', "${", "args = {", "A = 1", ",", "(", ")",
    "for x in", ":", "=>", "if", "...", "variable", "function", '"f"', "params = [a]", "result = a", "upper(", "1", "-",
    "*", "/", "%", "==", "&&", "!", "? 1 : 2", "null", "true", "<<E\n", "E\n", "matrix = {", 'name = "${x}"', "\\", '"',
    "group", "inherits = ", "[*].a", ".b", "# c", "/*", "$", "'", "é", "\x00", "services:", "  build: .", "&a", "*a",
    "<<: *a", "- ", "{", '"target": {', '"default": {', ": ", "\t", "1e999", "9" * 50, "\ud800",
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))


@pytest.mark.parametrize("name", ["docker-bake.hcl", "docker-bake.json", "compose.yaml", "-"])
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    try:
        printed(text, name=name)
    except PyociError as error:
        assert error.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docker-bake.hcl", "a = " + "[" * 2000 + "]" * 2000),
        ("docker-bake.hcl", "a = " + "-" * 3000 + "1"),
        ("docker-bake.hcl", "a = " + "(" * 2000 + "1" + ")" * 2000),
        ("docker-bake.json", '{"a": ' + "[" * 5000 + "]" * 5000 + "}"),
        ("compose.yaml", "a: " + "[" * 2000 + "]" * 2000),
        ("compose.yaml", "a: &a [*a]"),
    ],
)
def test_deep_nesting_is_refused(name: str, text: str) -> None:
    with pytest.raises(PyociError):
        printed(text, name=name)
