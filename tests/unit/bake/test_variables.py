"""Variables: defaults, what the user sets, types, validation (docs/bake-reference.md#variable)."""

from __future__ import annotations

from typing import Any

import pytest

from pyoci.errors import BakeError
from tests.unit.bake.files import argument, printed, read


@pytest.mark.parametrize(
    ("block", "given", "value"),
    [
        ('default = "latest"', {}, "latest"),
        ('default = "latest"', {"V": "dev"}, "dev"),
        ("default = 1", {"V": "2"}, "2"),
        ("default = true", {"V": "0"}, "false"),
        ("", {"V": "x"}, "x"),
        ("", {}, ""),
        ("type = number", {"V": "3"}, "3"),
        ("type = string\n default = 5", {}, "5"),
        ('default = "${W}-x"', {"W": "w"}, "w-x"),
    ],
)
def test_a_value(block: str, given: dict[str, str], value: str) -> None:
    before = f'variable "W" {{\n default = ""\n}}\nvariable "V" {{\n {block}\n}}\n'
    assert argument("V", before=before, variables=given) == value


@pytest.mark.parametrize(
    ("block", "given", "value"),
    [
        ("type = list(string)", {"V": '"x,1",y'}, "x,1,y"),
        ("type = list(string)", {"V_JSON": '["j"]'}, "j"),
        ("type = list(number)\n default = [1]", {"V": "2,3"}, "2,3"),
        ("type = set(string)\n default = [1, 1]", {}, "1"),
    ],
)
def test_a_list(block: str, given: dict[str, str], value: str) -> None:
    assert argument('join(",", V)', before=f'variable "V" {{\n {block}\n}}\n', variables=given) == value


def test_an_object_with_a_type() -> None:
    before = 'variable "V" {\n type = object({ a = string, b = optional(number) })\n default = { a = 1 }\n}\n'
    assert argument('"${V.a} ${jsonencode(V.b)}"', before=before) == "1 null"


def test_a_null_variable_leaves_the_argument_out() -> None:
    text = 'variable "V" {\n default = null\n}\ntarget "default" {\n args = { A = V, B = "b" }\n}\n'
    assert printed(text)["target"]["default"]["args"] == {"B": "b"}


def test_values_at_the_top_of_a_file_are_not_set_from_outside() -> None:
    assert argument("T", before='T = "v${1 + 1}"\n', variables={"T": "x"}) == "v2"


def test_what_bake_defines_itself() -> None:
    assert argument('"${BAKE_LOCAL_PLATFORM} ${BAKE_CMD_CONTEXT}"') == "linux/amd64 cwd://"


def test_a_variable_that_is_used_before_it_is_defined() -> None:
    text = 'target "default" {\n tags = [A]\n}\nvariable "A" {\n default = B\n}\nvariable "B" {\n default = "b"\n}\n'
    assert printed(text)["target"]["default"]["tags"] == ["b"]


@pytest.mark.parametrize(
    ("block", "given", "message"),
    [
        ("default = true", {"V": "maybe"}, 'variable "V": it is set to "maybe", which is neither true nor false'),
        ("default = 1", {"V": "one"}, 'variable "V": a number is needed, not "one"'),
        ("default = V", {}, "variables depend on each other: V -> V"),
        ("default = W", {}, 'there is no variable "W"'),
        ("type = nothing\n default = 1", {}, 'there is no type "nothing"'),
        ("defalt = 1", {}, 'unknown attribute "defalt"'),
        (
            'default = ""\n validation {\n condition = V != ""\n error_message = "V is empty"\n }',
            {},
            'variable "V" is not valid: V is empty',
        ),
    ],
)
def test_what_a_variable_cannot_be(block: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(BakeError) as caught:
        argument('"x"', before=f'variable "V" {{\n {block}\n}}\n', variables=given)
    assert caught.value.message == message
    assert caught.value.location is not None


def test_variables_are_listed_with_type_value_and_description() -> None:
    text = 'variable "B" {\n default = 1\n}\nvariable "A" {\n type = list(string)\n description = "the a"\n}\n'
    listed = [(one.name, one.type, one.value, one.description) for one in read({"x.hcl": text}, {}).variables]
    expected: list[tuple[str, str, Any, str]] = [("A", "list of string", None, "the a"), ("B", "", 1, "")]
    assert listed == expected
