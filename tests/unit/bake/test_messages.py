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
    "if not ended": (
        'target "default" {\n  args = {\n    A = "a %{ if true }b"\n  }\n}\n',
        "error: %{ if } is not ended\n"
        " --> docker-bake.hcl:3:12\n"
        "  |\n"
        '3 |     A = "a %{ if true }b"\n'
        "  |            ^^^^^^^^^^^^\n"
        "hint: end it with %{ endif }\n",
    ),
    "else alone": (
        'target "default" {\n  tags = ["%{ else }"]\n}\n',
        "error: unexpected %{ else }\n"
        " --> docker-bake.hcl:2:12\n"
        "  |\n"
        '2 |   tags = ["%{ else }"]\n'
        "  |            ^^^^^^^^^\n"
        "hint: no directive is open here\n",
    ),
    "no directive": (
        'target "default" {\n  tags = ["a%{while}"]\n}\n',
        'error: "while" is no directive of a template\n'
        " --> docker-bake.hcl:2:13\n"
        "  |\n"
        '2 |   tags = ["a%{while}"]\n'
        "  |             ^^^^^^^^\n"
        "hint: the directives are if, else, endif, for and endfor; %%{ stands for the signs themselves\n",
    ),
    "for of nothing": (
        'target "default" {\n  tags = ["%{ for x }y%{ endfor }"]\n}\n',
        "error: %{ for } names no loop\n"
        " --> docker-bake.hcl:2:12\n"
        "  |\n"
        '2 |   tags = ["%{ for x }y%{ endfor }"]\n'
        "  |            ^^^^^^^^^^\n"
        "hint: write %{ for value in list } or %{ for key, value in map }\n",
    ),
    "in a heredoc": (
        'target "default" {\n  dockerfile-inline = <<-EOT\n    FROM scratch\n    ENV A=${nothing}\n  EOT\n}\n',
        'error: there is no variable "nothing"\n'
        " --> docker-bake.hcl:4:13\n"
        "  |\n"
        "4 |     ENV A=${nothing}\n"
        "  |             ^^^^^^^\n"
        'hint: define it: variable "nothing" { default = … }\n',
    ),
    "heredoc not closed": (
        'target "default" {\n  dockerfile-inline = <<EOT\nFROM scratch\n  EOT x\n}\n',
        "error: the text that begins with <<EOT is not closed\n"
        " --> docker-bake.hcl:2:23\n"
        "  |\n"
        "2 |   dockerfile-inline = <<EOT\n"
        "  |                       ^^^^^\n"
        "hint: end it with a line that has EOT alone\n",
    ),
    "string not closed": (
        'target "default" {\n  tags = ["a]\n}\n',
        "error: a string is not closed\n"
        " --> docker-bake.hcl:2:11\n"
        "  |\n"
        '2 |   tags = ["a]\n'
        "  |           ^\n"
        'hint: a string ends on its line, with "; for text of several lines write <<EOT\n',
    ),
    "sequence not closed": (
        'target "default" {\n  tags = ["a${upper("x")"]\n}\n',
        'error: "${" is not closed by "}"\n'
        " --> docker-bake.hcl:2:13\n"
        "  |\n"
        '2 |   tags = ["a${upper("x")"]\n'
        "  |             ^^\n"
        'hint: write "$${" for the signs themselves\n',
    ),
    "comment not closed": (
        'target "default" {\n} /* x\n',
        "error: a comment is not closed\n --> docker-bake.hcl:2:3\n  |\n2 | } /* x\n  |   ^^\nhint: end it with */\n",
    ),
    "two expressions": (
        'target "default" {\n  tags = ["${1 2}"]\n}\n',
        'error: unexpected "2"\n --> docker-bake.hcl:2:16\n  |\n2 |   tags = ["${1 2}"]\n  |                ^\n',
    ),
    "closes too much": (
        'target "default" {\n  tags = ["${1)}"]\n}\n',
        'error: unexpected ")"\n --> docker-bake.hcl:2:15\n  |\n2 |   tags = ["${1)}"]\n  |               ^\n',
    ),
    "no type": (
        'variable "V" {\n  type = strin\n}\ntarget "default" {}\n',
        'error: there is no type "strin"\n'
        " --> docker-bake.hcl:2:10\n"
        "  |\n"
        "2 |   type = strin\n"
        "  |          ^^^^^\n"
        "hint: types are string, number, bool, any, list(…), set(…), map(…), tuple([…]), object({…})\n",
    ),
    "optional default": (
        'variable "V" {\n  type = object({ a = optional(string, "x") })\n}\ntarget "default" {}\n',
        "error: optional takes a type and nothing else\n"
        " --> docker-bake.hcl:2:23\n"
        "  |\n"
        '2 |   type = object({ a = optional(string, "x") })\n'
        "  |                       ^^^^^^^^^^^^^^^^^^^^^\n"
        "hint: try(…) gives another value where there is none\n",
    ),
    "validation": (
        'variable "PORT" {\n  default = 80\n  validation {\n    condition = PORT > 1024\n'
        '    error_message = "${PORT} needs root"\n  }\n}\ntarget "default" {}\n',
        'error: variable "PORT" is not valid: 80 needs root\n'
        " --> docker-bake.hcl:4:5\n"
        "  |\n"
        "4 |     condition = PORT > 1024\n"
        "  |     ^^^^^^^^^\n",
    ),
    "resources": (
        'target "default" {\n  resources = { cpu-share = 5 }\n}\n',
        'error: resources: unknown resource "cpu-share" (they are memory, memory-swap, cpu-shares, cpu-period, '
        "cpu-quota, cpuset-cpus, cpuset-mems)\n"
        " --> docker-bake.hcl:2:15\n"
        "  |\n"
        "2 |   resources = { cpu-share = 5 }\n"
        "  |               ^^^^^^^^^^^^^^^^^\n",
    ),
    "policy": (
        'target "default" {\n  policy = ["strict=maybe"]\n}\n',
        'error: policy: "maybe" is neither true nor false\n'
        " --> docker-bake.hcl:2:12\n"
        "  |\n"
        '2 |   policy = ["strict=maybe"]\n'
        "  |            ^^^^^^^^^^^^^^^^\n",
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
