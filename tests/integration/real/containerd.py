"""A containerd of the tests' own, spoken to with `ctr`: the image store that docker uses from 29 on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.real.programs import daemon, output, run, scratch_directory

__all__ = ["RealContainerd", "real_containerd"]

_CONFIG = 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'


@dataclass(frozen=True, slots=True)
class RealContainerd:
    """A running containerd."""

    directory: Path

    def __call__(self, *arguments: str | Path) -> str:
        """What `ctr ARGUMENTS…` prints; fails the test when ctr does."""
        return output(self._command(*arguments), directory=self.directory)

    def _command(self, *arguments: str | Path) -> list[str | Path]:
        return ["ctr", "--address", self.directory / "containerd.sock", "--namespace", "pyoci", *arguments]

    def load(self, archive: Path, *options: str) -> str:
        """`ctr image import`: unpacks the host's platform."""
        return self("images", "import", *options, archive)

    def images(self) -> dict[str, str]:
        """Digest by name."""
        lines = self("images", "list").splitlines()[1:]
        return {fields[0]: fields[2] for fields in map(str.split, lines)}

    def content(self) -> set[str]:
        """Digests of everything stored."""
        return set(self("content", "list", "--quiet").split())

    def run(self, image: str, *command: str) -> str:
        """What a container of the image prints."""
        return self("run", "--rm", "--net-host", image, f"judged-{os.getpid()}", *command)

    def remove_images(self) -> None:
        """Leaves no image behind."""
        for name in self.images():
            self("images", "remove", "--sync", name)


@contextmanager
def real_containerd() -> Iterator[RealContainerd]:
    """A containerd without images, stopped and removed when the block ends."""
    with scratch_directory("containerd") as directory:
        containerd = RealContainerd(directory)
        (directory / "config.toml").write_text(_CONFIG)
        command: list[str | Path] = [
            *("containerd", "--config", directory / "config.toml", "--root", directory / "root"),
            *("--state", directory / "state", "--address", directory / "containerd.sock"),
        ]

        def ready() -> bool:
            return run(containerd._command("version"), directory=directory).returncode == 0

        with daemon(command, directory / "log", ready=ready):
            yield containerd
