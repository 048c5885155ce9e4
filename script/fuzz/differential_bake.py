"""Asks buildx and pyoci for the values of random expressions and templates, and shows where the answers differ.

    .venv/bin/python script/fuzz/differential_bake.py --files 20 --seed 1

Each file has 60 build arguments: expressions, quoted templates, heredocs with and without the indentation, directives
and `~` markers everywhere. An argument that cannot be evaluated has another value, so that refusals are compared too.
Needs `buildx` on PATH; no daemon. Exits 1 if an answer differs. Left out is what is known to differ: division, whose
results have more digits in HCL, and `&&` and `||` of what is no bool.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.unit.bake.files import printed  # noqa: E402 -- the checkout comes first

HEAD = """
variable "S" {
  default = "a"
}
variable "N" {
  default = 5
}
variable "L" {
  default = ["p", "q r"]
}
variable "O" {
  default = { k = "v", j = "w" }
}
target "default" {
  args = {
"""
ARGUMENTS = 60
_LEAVES = (
    "0",
    "7",
    "30",
    '""',
    '"a"',
    '"b c"',
    '"é"',
    '"1"',
    "true",
    "false",
    "S",
    "N",
    "L[0]",
    "O.k",
    '"${S}"',
    '"${N}"',
)
_CONDITIONS = ("true", "false", "N > 3", 'S == "a"')
_ONE = ("upper", "strlen", "trimspace", "title", "sha1", "base64encode", "sanitize", "reverse", "jsonencode")
_TWO = ("max", "min", "add", "subtract")
_LISTS = (
    'join("-", [for x in L : x])',
    'join(",", [for x in L : "<${x}>"])',
    "jsonencode(O)",
    "length(L)",
    "jsonencode(L)",
)


class Writer:
    """Writes random HCL."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def _of(self, *choices: str) -> str:
        return self._random.choice(choices)

    def expression(self, depth: int) -> str:
        """An expression that is well-formed; it need not have a value."""
        if depth == 0:
            return self._of(*_LEAVES, "0.5", "2.75")
        one, other = self.expression(depth - 1), self.expression(depth - 1)
        return self._of(
            f"({one} {self._of('+', '-', '*')} {other})",
            f"({one} {self._of('==', '!=', '<', '>', '<=', '>=')} {other})",
            f"({self._of(*_CONDITIONS)} ? {one} : {other})",
            f"{self._of(*_ONE)}({one})",
            f"{self._of(*_TWO)}({one}, {other})",
            f'replace({one}, "a", {other})',
            f"jsonencode([{one}, {other}])",
            f'"{self.template(depth - 1, lines=False)}"',
            self._of(*_LISTS),
            one,
        )

    def template(self, depth: int, *, lines: bool) -> str:
        """The inside of a quoted string, or of a heredoc."""
        return "".join(self._part(depth, lines=lines) for _ in range(self._random.randint(0, 4)))

    def _part(self, depth: int, *, lines: bool) -> str:
        after = self._of("\n", "\n", "\n  ", "\n\n", " ") if lines else self._of("\\n", " ", "")
        if depth == 0:
            return self._of("a", " ", "  b ", "$x", "%y", "$${q}", "%%{z}", "é") + after
        inner = self.template(depth - 1, lines=lines)
        match self._random.randint(0, 3):
            case 0:
                return self._of("a", " ", "  b ", "100% ", "$ ") + after
            case 1:
                return "$" + self._sequence(self.expression(depth - 1)) + after
            case 2:
                other = (
                    self._directive("else") + self.template(depth - 1, lines=lines)
                    if self._random.random() < 0.5
                    else ""
                )
                opening = self._directive(f"if {self._of(*_CONDITIONS)}")
                return f"{opening}{after}{inner}{other}{self._directive('endif')}{after}"
            case _:
                loop = self._of("x in L", "i, x in L", "k, x in O")
                body = self._of("${x}", "<${~ x ~}>")
                return f"{self._directive(f'for {loop}')}{after}{body}{inner}{self._directive('endfor')}{after}"

    def _sequence(self, text: str) -> str:
        return "{" + self._of("", "~") + " " + text + " " + self._of("", "~") + "}"

    def _directive(self, text: str) -> str:
        return "%" + self._sequence(text)

    def argument(self, number: int) -> str:
        """A build argument, with another value where it cannot be evaluated."""
        quoted = f'"{self.template(2, lines=False)}"'
        heredoc = f"<<EOT\n{self.template(2, lines=True)}\nEOT\n"
        margin = self._of("", "    ", "      ")
        flush = f"<<-EOT\n      {self.template(2, lines=True)}".replace("\n", f"\n{margin}") + "\n    EOT\n"
        value = self._of(quoted, f'"${{{self.expression(3)}}}"', heredoc, flush)
        return f'    A{number} = try({value}, "refused")\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    writer = Writer(options.seed)
    differing = 0
    for _ in range(options.files):
        arguments = [writer.argument(number) for number in range(ARGUMENTS)]
        text = HEAD + "".join(arguments) + "  }\n}\n"
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "docker-bake.hcl").write_text(text)
            environment = {"PATH": os.environ["PATH"], "HOME": name}
            done = subprocess.run(
                ["buildx", "bake", "--print"], cwd=name, env=environment, capture_output=True, text=True, check=False
            )
        if done.returncode:
            print(f"buildx refuses the file: {done.stderr.splitlines()[-1]}")
            return 1
        theirs = json.loads(done.stdout)["target"]["default"]["args"]
        mine = printed(text)["target"]["default"]["args"]
        for number, argument in enumerate(arguments):
            found, expected = mine.get(f"A{number}"), theirs.get(f"A{number}")
            if found != expected:
                differing += 1
                print(f"{argument}  pyoci: {found!r}\n  buildx: {expected!r}")
    print(f"{options.files * ARGUMENTS} arguments, {differing} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
