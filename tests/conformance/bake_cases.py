"""Cases of `bake`: one text file each, with the files of a directory, the command line and the environment.

    # what the case shows
    == file docker-bake.hcl
    target "default" {}
    == argument --set=*.context=app
    == variable NAME=value
    == socket agent

What buildx says stands beside it as JSON: the object or the text of its standard output, or why it refuses. Where an
output names the directory of the case, DIRECTORY stands for it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["BAKES", "BakeCase", "read_bake_cases", "shown_output"]

BAKES = Path(__file__).parents[2] / "fixtures" / "bake"
HOME = "/home/me"


@dataclass(frozen=True)
class BakeCase:
    """One behaviour."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    """Of the environment."""
    sockets: tuple[str, ...] = ()
    """Of agents, which buildx looks for before it says anything."""

    @property
    def recorded(self) -> Any:
        """What buildx said."""
        return json.loads((BAKES / f"{self.name}.json").read_text())

    @property
    def command(self) -> list[str]:
        """The arguments of `bake`, which shows what it would build unless it is to say something else."""
        says_else = any(argument.startswith("--list") for argument in self.arguments)
        return list(self.arguments) if says_else else ["--print", *self.arguments]

    def write(self, directory: Path) -> None:
        """The files on disk."""
        for name, text in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())


def shown_output(text: str, directory: Path) -> Any:
    """An output as it is recorded."""
    text = text.replace(str(directory), "DIRECTORY")
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_bake_cases() -> list[BakeCase]:
    """All of them, by name."""
    return [_read(path) for path in sorted(BAKES.glob("*.case"))]


def _read(path: Path) -> BakeCase:
    files: dict[str, str] = {}
    arguments: list[str] = []
    variables: dict[str, str] = {}
    sockets: list[str] = []
    current = ""
    for line in re.findall(r"[^\n]*\n|[^\n]+", path.read_bytes().decode()):
        match line.rstrip("\n").split(" ", 2):
            case ["==", "file", name]:
                current = name
                files[name] = ""
            case ["==", *_]:
                current = ""
                _, kind, text = line.rstrip("\n").split(" ", 2)
                if kind == "socket":
                    sockets.append(text)
                elif kind == "argument":
                    arguments.append(text)
                elif kind == "variable":
                    name, _, value = text.partition("=")
                    variables[name] = value
                else:
                    raise ValueError(f"{path.name}: cannot read section {kind}")
            case _ if current:
                files[current] += line
            case _:
                pass
    return BakeCase(path.stem, files, tuple(arguments), variables, tuple(sockets))
