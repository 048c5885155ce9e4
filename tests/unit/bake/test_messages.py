"""The whole text of errors, as the command line shows it."""

from __future__ import annotations

import pytest

from pyoci.cli.render_error import render
from pyoci.errors import PyociError
from tests.unit.bake.files import printed

CASES = {
    "unclosed": (
        'target "a" {\n  tags = ["x"\n',
        "error: unexpected end of file\n"
        " --> docker-bake.hcl:3:1\n"
        "  |\n"
        "3 |\n"
        "  | ^\n"
        "hint: a brace or bracket is not closed\n",
    ),
    "attribute": (
        'target "default" {\n  dockerfle = "x"\n}\n',
        'error: unknown attribute "dockerfle"\n'
        " --> docker-bake.hcl:2:3\n"
        "  |\n"
        '2 |   dockerfle = "x"\n'
        "  |   ^^^^^^^^^\n"
        'hint: did you mean "dockerfile"?\n',
    ),
    "variable": (
        'variable "VERSION" {}\ntarget "default" {\n  tags = ["x:${VERSIN}"]\n}\n',
        'error: there is no variable "VERSIN"\n'
        " --> docker-bake.hcl:3:16\n"
        "  |\n"
        '3 |   tags = ["x:${VERSIN}"]\n'
        "  |                ^^^^^^\n"
        'hint: did you mean "VERSION"?\n',
    ),
    "function": (
        'target "default" {\n  tags = [uper("x")]\n}\n',
        'error: there is no function "uper"\n'
        " --> docker-bake.hcl:2:11\n"
        "  |\n"
        '2 |   tags = [uper("x")]\n'
        "  |           ^^^^^^^^^\n"
        'hint: did you mean "upper"?\n',
    ),
    "block": (
        'targt "default" {}\n',
        'error: unknown block "targt"\n'
        " --> docker-bake.hcl:1:7\n"
        "  |\n"
        '1 | targt "default" {}\n'
        "  |       ^^^^^^^^^\n"
        'hint: did you mean "target"?\n',
    ),
    "missing member": (
        'group "default" {\n  targets = ["web", "ap"]\n}\ntarget "web" {}\ntarget "app" {}\n',
        'error: there is no target "ap"\n'
        " --> docker-bake.hcl:1:7\n"
        "  |\n"
        '1 | group "default" {\n'
        "  |       ^^^^^^^^^\n"
        'hint: did you mean "app"?\n',
    ),
    "no default": (
        'target "web" {}\n',
        'error: there is no target "default"\nhint: there are: web\n',
    ),
    "inherits itself": (
        'target "default" {\n  inherits = ["b"]\n}\ntarget "b" {\n  inherits = ["default"]\n}\n',
        "error: targets inherit from themselves: default -> b -> default\n"
        " --> docker-bake.hcl:1:8\n"
        "  |\n"
        '1 | target "default" {\n'
        "  |        ^^^^^^^^^\n"
        "hint: take one of them out of inherits\n",
    ),
    "context of itself": (
        'target "default" {\n  contexts = { x = "target:default" }\n}\n',
        "error: targets are contexts of themselves: default -> default\n"
        " --> docker-bake.hcl:1:8\n"
        "  |\n"
        '1 | target "default" {\n'
        "  |        ^^^^^^^^^\n"
        "hint: take one of the contexts out\n",
    ),
    "name without matrix": (
        'target "default" {\n  name = "x"\n}\n',
        'error: name requires matrix\n --> docker-bake.hcl:2:3\n  |\n2 |   name = "x"\n  |   ^^^^\n',
    ),
    "matrix without name": (
        'target "default" {\n  matrix = { a = ["x", "y"] }\n}\n',
        'error: the matrix gives two targets the name "default"\n'
        " --> docker-bake.hcl:2:3\n"
        "  |\n"
        '2 |   matrix = { a = ["x", "y"] }\n'
        "  |   ^^^^^^\n"
        'hint: let name use every axis: name = "app-${axis}"\n',
    ),
    "said twice": (
        'target "default" {\n  tags = ["a"]\n  tags = ["b"]\n}\n',
        'error: "tags" is said twice in target "default"\n'
        " --> docker-bake.hcl:3:3\n"
        "  |\n"
        '3 |   tags = ["b"]\n'
        "  |   ^^^^\n"
        "hint: a second block of the same name overrides the first\n",
    ),
    "invalid name": (
        'target "a/b" {}\n',
        'error: invalid name "a/b"\n'
        " --> docker-bake.hcl:1:8\n"
        "  |\n"
        '1 | target "a/b" {}\n'
        "  |        ^^^^^\n"
        "hint: a name has letters, digits, _ and - alone; sanitize(…) makes one\n",
    ),
    "quotes": (
        "target \"default\" {\n  tags = ['x']\n}\n",
        'error: unexpected "\'"\n'
        " --> docker-bake.hcl:2:11\n"
        "  |\n"
        "2 |   tags = ['x']\n"
        "  |           ^\n"
        'hint: strings are in double quotes: "…"\n',
    ),
}

JSON = {
    "syntax": (
        '{"target": {"default": {"tags": ["x",]}}}',
        "error: illegal trailing comma before end of array\n",
    ),
    "attribute": (
        '{\n  "target": {\n    "default": {"tag": ["x"]}\n  }\n}\n',
        'error: unknown attribute "tag"\n'
        " --> docker-bake.json:3:17\n"
        "  |\n"
        '3 |     "default": {"tag": ["x"]}\n'
        "  |                 ^^^^^\n"
        'hint: did you mean "tags"?\n',
    ),
}


def shown(text: str, name: str) -> str:
    with pytest.raises(PyociError) as caught:
        printed(text, name=name)
    return render(caught.value, colour=False)


@pytest.mark.parametrize("case", CASES)
def test_an_error_of_hcl(case: str) -> None:
    text, expected = CASES[case]
    assert shown(text, "docker-bake.hcl") == expected


def test_an_error_of_json_points_at_the_key() -> None:
    text, expected = JSON["attribute"]
    assert shown(text, "docker-bake.json") == expected


def test_malformed_json_is_located() -> None:
    assert " --> docker-bake.json:1:" in shown(JSON["syntax"][0], "docker-bake.json")


def test_malformed_yaml_is_located() -> None:
    assert " --> compose.yaml:3:1\n" in shown("services:\n  a: [\n", "compose.yaml")
