"""Cases of the conformance suite: one text file each, with a Dockerfile, a context and the options of the build.

    # what the case shows
    == Dockerfile
    FROM scratch
    COPY a /
    == file a 0644
    content
    == dir d 0700
    == link l target
    == fifo f
    == tar t.tar.gz
    file a/b 4755 1:2 content
    hardlink c 0644 0:0 a/b
    == option target=final
    == arg NAME=value
    == fails

`base` in a FROM is a base image that the suite makes (busybox). What BuildKit made of a case stands beside it as JSON.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["BUILDS", "Case", "read_case", "read_cases"]

BUILDS = Path(__file__).parents[2] / "fixtures" / "builds"


@dataclass(frozen=True)
class Node:
    """One entry of a context."""

    kind: str
    path: str
    argument: str
    content: str


@dataclass(frozen=True)
class Case:
    """One behaviour of the language."""

    name: str
    about: str
    dockerfile: str
    nodes: tuple[Node, ...]
    options: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    contexts: dict[str, str] = field(default_factory=dict)
    """Named contexts, by the folder of the context that they are."""
    fails: bool = False

    @property
    def final_on_base(self) -> bool:
        """Whether the image's lowest layer is the base's."""
        bases: dict[str, str] = {}
        current = ""
        for line in self.dockerfile.splitlines():
            words = [word for word in line.split() if not word.startswith("--")]
            if len(words) > 1 and words[0].upper() == "FROM":
                current = words[3].lower() if len(words) > 3 else f"#{len(bases)}"
                bases[current] = bases.get(words[1].lower(), words[1])
        return bases.get(self.options.get("target", current).lower(), "") == "base"

    @property
    def runs(self) -> bool:
        return "RUN" in self.dockerfile

    @property
    def recorded(self) -> Any:
        """What BuildKit made of it."""
        return json.loads((BUILDS / f"{self.name}.json").read_text())

    def write_context(self, directory: Path) -> None:
        """The context on disk, with the Dockerfile in it."""
        directory.mkdir(parents=True)
        (directory / "Dockerfile").write_bytes(self.dockerfile.encode("utf-8", "surrogateescape"))
        for node in self.nodes:
            path = directory / node.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if node.kind == "link":
                path.symlink_to(node.argument)
            elif node.kind == "hardlink":
                os.link(directory / node.argument, path)
            elif node.kind == "fifo":
                os.mkfifo(path)
            elif node.kind == "dir":
                path.mkdir(exist_ok=True)
            elif node.kind == "tar":
                _write_tar(path, node.content.splitlines())
            else:
                path.write_bytes(node.content.encode("utf-8", "surrogateescape"))
        for node in reversed(self.nodes):
            if node.kind in ("file", "dir", "fifo", "tar"):
                default = "0755" if node.kind == "dir" else "0644"
                (directory / node.path).chmod(int(node.argument or default, 8))
        for parent in sorted({p for node in self.nodes for p in (directory / node.path).parents if p > directory}):
            if not any(node.kind == "dir" and directory / node.path == parent for node in self.nodes):
                parent.chmod(0o755)


_TAR_TYPES = {
    "file": tarfile.REGTYPE,
    "hardlink": tarfile.LNKTYPE,
    "link": tarfile.SYMTYPE,
    "dir": tarfile.DIRTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def _write_tar(path: Path, lines: list[str]) -> None:
    """An archive of entries `KIND PATH MODE UID:GID [CONTENT or TARGET]`, compressed as its name says."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for line in lines:
            kind, name, mode, owner, *rest = line.split(" ", 4)
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.mtime = _TAR_TYPES[kind], int(mode, 8), 1_600_000_000
            member.uid, member.gid = map(int, owner.split(":"))
            content = (rest[0] + "\n").encode() if rest and kind == "file" else b""
            member.size, member.linkname = len(content), rest[0] if rest and kind != "file" else ""
            tar.addfile(member, io.BytesIO(content))
    path.write_bytes(_compressed(path.suffix, out.getvalue()))


def _compressed(suffix: str, data: bytes) -> bytes:
    match suffix:
        case ".gz" | ".tgz":
            return gzip.compress(data, mtime=0)
        case ".bz2":
            return bz2.compress(data)
        case ".xz":
            return lzma.compress(data)
        case ".zst":
            return zstd.compress(data)
        case _:
            return data


def read_case(path: Path) -> Case:
    """The case in a file."""
    about: list[str] = []
    sections: list[tuple[list[str], list[str]]] = []
    for line in path.read_bytes().decode("utf-8", "surrogateescape").split("\n"):
        if line.startswith("== "):
            sections.append((line[3:].split(" "), []))
        elif sections:
            sections[-1][1].append(line)
        elif line.startswith("# "):
            about.append(line[2:])
    dockerfile = ""
    nodes: list[Node] = []
    options: dict[str, str] = {}
    args: dict[str, str] = {}
    contexts: dict[str, str] = {}
    fails = False
    for number, (words, lines) in enumerate(sections):
        text = "\n".join(lines)
        if number == len(sections) - 1:
            text = text.removesuffix("\n")
        text = text + "\n" if text else ""
        match words:
            case ["Dockerfile"]:
                dockerfile = text
            case ["option", value]:
                name, _, value = value.partition("=")
                options[name] = value
            case ["arg", value]:
                name, _, value = value.partition("=")
                args[name] = value
            case ["context", value]:
                name, _, value = value.partition("=")
                contexts[name] = value
            case ["fails"]:
                fails = True
            case [kind, name, *rest]:
                nodes.append(Node(kind, name, rest[0] if rest else "", text))
            case _:
                raise ValueError(f"{path.name}: cannot read section {words}")
    return Case(path.stem, " ".join(about), dockerfile, tuple(nodes), options, args, contexts, fails)


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def read_cases() -> list[Case]:
    """All cases, by name."""
    return [read_case(path) for path in sorted(BUILDS.glob("*.case"))]
