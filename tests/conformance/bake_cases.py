"""Cases of `bake`: one text file each, with the files of a directory, the command line and the environment.

    # what the case shows
    == file docker-bake.hcl
    target "default" {}
    == argument --set=*.context=app
    == variable NAME=value
    == socket agent
    == remote docker-bake.hcl
    target "default" {}

What buildx says stands beside it as JSON: the object or the text of its standard output, or why it refuses. Where an
output names the directory of the case, DIRECTORY stands for it. Files that are `remote` are in a git repository, and in
an archive and one by one on a web server: REPOSITORY, ARCHIVE and WEB stand for their addresses.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.fetch.git_server import git_server
from tests.integration.fetch.web_server import Page, web_server

__all__ = ["BAKES", "BakeCase", "BakeServers", "bake_servers", "read_bake_cases", "shown_output"]

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
    remote: dict[str, str] = field(default_factory=dict)
    """Files that are not in the directory."""

    @property
    def recorded(self) -> Any:
        """What buildx said."""
        return json.loads((BAKES / f"{self.name}.json").read_text())

    def command(self, servers: BakeServers | None = None) -> list[str]:
        """The arguments of `bake`, which shows what it would build unless it is to say something else."""
        says_else = any(argument.startswith("--list") for argument in self.arguments)
        arguments = list(self.arguments) if says_else else ["--print", *self.arguments]
        return [servers.address(argument) for argument in arguments] if servers is not None else arguments

    def write(self, directory: Path) -> None:
        """The files on disk."""
        for name, text in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())


def shown_output(text: str, directory: Path, servers: BakeServers | None = None) -> Any:
    """An output as it is recorded."""
    text = text.replace(str(directory), "DIRECTORY")
    text = servers.token(text) if servers is not None else text
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class BakeServers:
    """Where the remote files of a case are."""

    tokens: dict[str, str]

    def address(self, text: str) -> str:
        """A text with addresses for what stands for them."""
        for token, address in self.tokens.items():
            text = text.replace(token, address)
        return text

    def token(self, text: str) -> str:
        """A text with what stands for the addresses."""
        for token, address in self.tokens.items():
            text = text.replace(address, token)
        return text


@contextmanager
def bake_servers(case: BakeCase, directory: Path) -> Iterator[BakeServers | None]:
    """Servers with the remote files of a case; None if it has none."""
    if not case.remote:
        yield None
        return
    directory.mkdir()
    with git_server(directory) as git, web_server() as web:
        git.repository("project").commit(case.remote)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for name, text in case.remote.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                tar.addfile(member, io.BytesIO(text.encode()))
                web.pages[f"/{name}"] = Page(text.encode())
        web.pages["/project.tar.gz"] = Page(archive.getvalue())
        addresses = {"REPOSITORY": git.url("project"), "ARCHIVE": web.url("/project.tar.gz"), "WEB": web.url("")}
        yield BakeServers(addresses)


def read_bake_cases() -> list[BakeCase]:
    """All of them, by name."""
    return [_read(path) for path in sorted(BAKES.glob("*.case"))]


def _read(path: Path) -> BakeCase:
    files: dict[str, str] = {}
    arguments: list[str] = []
    variables: dict[str, str] = {}
    sockets: list[str] = []
    remote: dict[str, str] = {}
    into = files
    current = ""
    for line in re.findall(r"[^\n]*\n|[^\n]+", path.read_bytes().decode()):
        match line.rstrip("\n").split(" ", 2):
            case ["==", "file", name]:
                current, into = name, files
                into[name] = ""
            case ["==", "remote", name]:
                current, into = name, remote
                into[name] = ""
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
                into[current] += line
            case _:
                pass
    return BakeCase(path.stem, files, tuple(arguments), variables, tuple(sockets), remote)
