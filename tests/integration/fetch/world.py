"""Builds in a directory of their own, and what came out of them."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyoci.api.build import BuildResult, build
from pyoci.api.services import Options
from pyoci.build.request import BuildRequest, Output
from pyoci.environment import Environment
from pyoci.location import Location
from pyoci.platforms import Platform
from pyoci.progress import Reporter

__all__ = ["EPOCH", "World"]

EPOCH = 1_700_000_000


class _Steps(Reporter):
    """Which steps were carried out, and which were found."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.cached: list[str] = []
        self.warnings: list[str] = []
        self.messages: list[str] = []

    def step_started(self, step: str, title: str) -> None:
        self.done.append(title)

    def step_cached(self, step: str, title: str) -> None:
        self.cached.append(title)

    def warning(self, text: str, *, location: Location | None = None) -> None:
        self.warnings.append(text)

    def message(self, text: str) -> None:
        self.messages.append(text)


@dataclass
class World:
    """One user's store and working directory."""

    directory: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    offline: bool = False
    ca_files: tuple[Path, ...] = ()
    steps: _Steps = field(default_factory=_Steps)

    @property
    def store(self) -> Path:
        return self.directory / "store"

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def options(self) -> Options:
        """What calls of the API are told of this user."""
        environment = Environment(
            store=self.store,
            working_directory=self.directory,
            home=self.directory / "home",
            uid=0,
            gid=0,
            platform=Platform("linux", "amd64"),
            now=0,
            variables={"PATH": "/usr/local/bin:/usr/bin:/bin", "SOURCE_DATE_EPOCH": str(EPOCH), **self.variables},
        )
        return Options(environment=environment, reporter=self.steps, offline=self.offline, ca_files=self.ca_files)

    def build(self, context: str = "context", **fields: Any) -> BuildResult:
        """Builds; the image's files are in `out.tar` then."""
        self.steps = _Steps()
        output = Output("tar", str(self.directory / "out.tar"))
        return build(BuildRequest(context=context, outputs=(output,), **fields), options=self.options())

    def files(self) -> dict[str, str]:
        """What is in the image: mode, owner, time and content (or link) of everything, read by Python's tarfile."""
        found = {}
        with tarfile.open(self.directory / "out.tar") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                text = content.read().decode("utf-8", "replace").rstrip("\n") if content else member.linkname or "/"
                line = f"{member.mode:o} {member.uid}:{member.gid} {member.mtime} {text}"
                found[member.name.removeprefix("./").rstrip("/")] = line
        found.pop("", None)
        return found

    def contents(self) -> dict[str, str]:
        """Path and content of every file and link."""
        return {path: line.split(" ", 3)[3] for path, line in self.files().items() if line.split(" ", 3)[3] != "/"}
