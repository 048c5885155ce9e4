"""Expressions of HCL: operators, templates, loops, types. Values are those of HCL's specification."""

from __future__ import annotations

import pytest

from pyoci.errors import BakeError
from tests.unit.bake.files import argument, printed


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3.5"),
        ("6 / 2", "3"),
        ("-7 % 3", "-1"),
        ("1.5 + 1.5", "3"),
        ("1e3", "1000"),
        ("0.1", "0.1"),
        ("1 < 2", "true"),
        ("2 <= 1", "false"),
        ('"a" == "a"', "true"),
        ('"1" == 1', "false"),
        ("1 != 2", "true"),
        ("true && !false", "true"),
        ("false || false", "false"),
        ('true ? "yes" : "no"', "yes"),
        ('"" != "" ? 1 : 2', "2"),
        ('"a${1 + 1}b"', "a2b"),
        ('"$${x} %%{y} $x"', "${x} %{y} $x"),
        (r'"tab\t \"q\" \u00e9 \\"', 'tab\t "q" é \\'),
        ('["a", "b"][1]', "b"),
        ('["a", "b"].0', "a"),
        ('{ a = "x", "b" = "y" }.b', "y"),
        ('{ (join("", ["k", "1"])) = 5 }["k1"]', "5"),
        ('join(",", [for x in ["a", "b"] : upper(x)])', "A,B"),
        ('join(",", [for i, x in ["a", "b"] : "${i}${x}" if x != "a"])', "1b"),
        ('join(",", [for k, v in { b = 2, a = 1 } : "${k}=${v}"])', "a=1,b=2"),
        ('{ for x in ["a", "b"] : x => upper(x) }.b', "B"),
        ('join(",", { for x in ["aa", "ab"] : substr(x, 0, 1) => x... }.a)', "aa,ab"),
        ('join(",", [{ n = "x" }, { n = "y" }][*].n)', "x,y"),
        ('join(",", [{ n = "x" }].*.n)', "x"),
        ("max([1, 3, 2]...)", "3"),
        ("<<E\nline one\nline ${1 + 1}\nE\n", "line one\nline 2\n"),
        ("<<-E\n    a\n      b\n    E\n", "a\n  b\n"),
    ],
)
def test_an_expression(expression: str, value: str) -> None:
    got = argument(expression)
    assert got == value.replace("${", "$${").replace("%{", "%%{")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nothing", 'there is no variable "nothing"'),
        ("no_function(1)", 'there is no function "no_function"'),
        ("1 / 0", "division by zero"),
        ('"a" + 1', 'a number is needed, not "a"'),
        ("!1", "a bool is needed, not a number"),
        ('"${null}x"', "a string is needed, not null"),
        ("[1][1]", "the list has no element 1: it has 1"),
        ("{ a = 1 }.b", 'the object has no element "b" (it has: a)'),
        ("[for x in 1 : x]", "a for goes over a list or an object, not a number"),
        ("[1, 2]", "args: a string is needed, not a list"),
        (r'"\q"', '"\\q" is no escape of a string'),
        ('upper("a", "b")', "upper: 1 argument wanted, 2 given"),
        ('bcrypt("x")', 'the function "bcrypt" is not supported'),
    ],
)
def test_what_an_expression_cannot_be(expression: str, message: str) -> None:
    with pytest.raises(BakeError) as caught:
        argument(expression)
    assert caught.value.message == message
    assert caught.value.location is not None
    assert caught.value.location.line == 3


def test_try_and_can() -> None:
    assert argument('try(["a"][3], "b")') == "b"
    assert argument("can([1][3])") == "false"
    assert argument("can([1][0])") == "true"


def test_a_function_of_the_file() -> None:
    before = 'function "increment" {\n params = [number]\n result = number + 1\n}\n'
    assert argument('"${increment(123)}"', before=before) == "124"


def test_a_function_with_further_parameters() -> None:
    before = 'function "f" {\n params = [a]\n variadic_params = rest\n result = "${a}:${join("+", rest)}"\n}\n'
    assert argument("f(1, 2, 3)", before=before) == "1:2+3"


def test_a_function_that_calls_itself_is_told_of() -> None:
    before = 'function "f" {\n params = [a]\n result = f(a)\n}\n'
    with pytest.raises(BakeError, match='the function "f" calls itself'):
        argument("f(1)", before=before)


def test_an_attribute_of_another_block() -> None:
    text = 'target "a" {\n tags = ["x:1"]\n}\ntarget "default" {\n tags = [for t in target.a.tags : "${t}-b"]\n}\n'
    assert printed(text)["target"]["default"]["tags"] == ["x:1-b"]


def test_attributes_in_a_circle_are_told_of() -> None:
    text = 'target "a" {\n tags = target.b.tags\n}\ntarget "b" {\n tags = target.a.tags\n}\n'
    with pytest.raises(BakeError, match="depends on itself"):
        printed(text, "a")
