"""The standard library. Values are those of go-cty's documentation, and of sha256sum, md5sum and base64."""

from __future__ import annotations

import pytest

from pyoci.bake.functions import ELSEWHERE, standard_functions
from pyoci.errors import BakeError
from tests.unit.bake.files import argument

CASES = {
    "absolute(-3)": "3",
    "add(123, 1)": "124",
    "and(true, false)": "false",
    'base64decode("aGk=")': "hi",
    'base64encode("hi")': "aGk=",
    'basename("/a/b.txt")': "b.txt",
    "ceil(1.2)": "2",
    'chomp("a\\n\\n")': "a",
    'jsonencode(chunklist(["a", "b", "c"], 2))': '[["a","b"],["c"]]',
    'coalesce(null, "x")': "x",
    'coalescelist([], ["y"])[0]': "y",
    'join(",", compact(["a", "", "b"]))': "a,b",
    'join(",", concat(["a"], ["b"]))': "a,b",
    'contains(["a"], "a")': "true",
    'csvdecode("a,b\\n1,2")[0].b': "2",
    'dirname("/a/b.txt")': "/a",
    'join(",", distinct(["a", "b", "a"]))': "a,b",
    "divide(1, 4)": "0.25",
    'element(["a", "b"], 3)': "b",
    "equal(1, 1)": "true",
    'join(",", flatten([["a"], [["b"]], "c"]))': "a,b,c",
    "floor(1.8)": "1",
    'format("%s-%03d-%t-%q-%5.2f-%v-%%", "a", 7, true, "b", 1.5, [1])': 'a-007-true-"b"- 1.50-[1]-%',
    'join(",", formatlist("%s!", ["a", "b"]))': "a!,b!",
    'formatdate("YYYY-MM-DD hh:mm:ss \'at\' EEE", "2023-11-14T22:13:20Z")': "2023-11-14 22:13:20 at Tue",
    "greaterthan(2, 1)": "true",
    "hasindex([1], 1)": "false",
    "homedir()": "/home/me",
    'indent(2, "a\\nb")': "a\n  b",
    'index({ a = "x" }, "a")': "x",
    'indexof(["a", "b"], "b")': "1",
    "int(1.9)": "1",
    'join("-", ["a", "b"], ["c"])': "a-b-c",
    'jsondecode("{\\"a\\": [1]}").a[0]': "1",
    'jsonencode({ b = [1, true, null], a = "x" })': '{"a":"x","b":[1,true,null]}',
    'join(",", keys({ b = 1, a = 2 }))': "a,b",
    "length([1, 2])": "2",
    "lessthan(1, 2)": "true",
    "log(100, 10)": "2",
    'lookup({ a = "x" }, "b", "d")': "d",
    'lower("ÄB")': "äb",
    "max(1, 3, 2)": "3",
    'md5("hello")': "5d41402abc4b2a76b9719d911017c592",
    "merge({ a = 1 }, { a = 2 }).a": "2",
    "min(1, 3)": "1",
    "modulo(7, 3)": "1",
    "multiply(2, 3)": "6",
    "negate(2)": "-2",
    "not(true)": "false",
    'notequal("a", "b")': "true",
    "or(true, false)": "true",
    'parseint("ff", 16)': "255",
    "pow(2, 10)": "1024",
    "jsonencode(range(3))": "[0,1,2]",
    "jsonencode(range(1, 8, 3))": "[1,4,7]",
    'regex("[a-z]+", "12abc")': "abc",
    'regex("(\\\\d+)-(?P<n>x)", "1-x").n': "x",
    'regex_replace("a1b22", "([0-9]+)", "<$1>")': "a<1>b<22>",
    'jsonencode(regexall("[0-9]", "a1b2"))': '["1","2"]',
    'replace("1.0.0", ".", "-")': "1-0-0",
    'reverse("abc")': "cba",
    "jsonencode(reverselist([1, 2]))": "[2,1]",
    "unixtimestampparse(1700000000).month_name": "November",
    'sanitize("a.b/c")': "a_b_c",
    'sethaselement(["a"], "b")': "false",
    'jsonencode(setintersection(["a", "b"], ["b"]))': '["b"]',
    'jsonencode(setsubtract(["a", "b"], ["b"]))': '["a"]',
    'jsonencode(setunion(["a"], ["b", "a"]))': '["a","b"]',
    'sha1("hello")': "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
    'sha256("hello")': "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    "signum(-5)": "-1",
    'jsonencode(slice(["a", "b", "c"], 1, 3))': '["b","c"]',
    'jsonencode(sort(["b", "a"]))': '["a","b"]',
    'jsonencode(split(",", "a,b"))': '["a","b"]',
    'strlen("äb")': "2",
    'substr("hello", 1, 3)': "ell",
    'substr("hello", -3, -1)': "llo",
    "subtract(3, 1)": "2",
    'timeadd("2023-11-14T22:13:20Z", "1h30m")': "2023-11-14T23:43:20Z",
    "timestamp()": "2023-11-14T22:13:20Z",
    'title("hello big world")': "Hello Big World",
    'trim("?!hi!?", "!?")': "hi",
    'trimprefix("v1", "v")': "1",
    'trimspace("  a ")': "a",
    'trimsuffix("a.go", ".go")': "a",
    "unixtimestampparse(1700000000).year": "2023",
    'upper("a")': "A",
    'urlencode("a b&c")': "a+b%26c",
    "jsonencode(values({ b = 1, a = 2 }))": "[2,1]",
    'zipmap(["a"], ["x"]).a': "x",
}


@pytest.mark.parametrize("expression", CASES)
def test_a_function(expression: str) -> None:
    assert argument(expression) == CASES[expression]


def test_what_is_not_there_is_not_there_twice() -> None:
    assert not set(ELSEWHERE) & set(standard_functions(now=0, home="/"))


@pytest.mark.parametrize(
    "expression",
    [
        "range(100000)",
        'format("%d")',
        'format("a%")',
        'regex("(", "a")',
        'timeadd("now", "1h")',
        'timeadd("2023-11-14T22:13:20Z", "soon")',
        'base64decode("!")',
        'jsondecode("{")',
        "pow(10, 100000)",
        "log(0, 10)",
        'parseint("z", 10)',
        "zipmap([1], [])",
        "element([], 0)",
        "coalesce(null)",
        "slice([1], 0, 5)",
        'indent(5000, "a")',
    ],
)
def test_what_a_function_refuses(expression: str) -> None:
    with pytest.raises(BakeError) as caught:
        argument(expression)
    assert caught.value.message.startswith(expression.partition("(")[0] + ": ")
    assert caught.value.location is not None
