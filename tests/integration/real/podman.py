"""podman with a storage of its own; it needs no server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.real.programs import output, scratch_directory

__all__ = ["RealPodman", "real_podman"]

_LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
"""podman asks for more than its own limits, which root without CAP_SYS_RESOURCE cannot have."""


@dataclass(frozen=True, slots=True)
class RealPodman:
    """A storage, and podman for it."""

    directory: Path

    def __call__(self, *arguments: str | Path) -> str:
        """What `podman ARGUMENTS…` prints; fails the test when podman does."""
        command: list[str | Path] = [
            *("podman", "--root", self.directory / "root", "--runroot", self.directory / "run"),
            *("--tmpdir", self.directory / "tmp", "--runtime", "runc", "--cgroup-manager", "cgroupfs"),
            *("--events-backend", "none", "--log-level", "error"),
        ]
        return output([*command, *arguments], directory=self.directory)

    def load(self, archive: Path) -> str:
        """`podman load`; returns what it printed."""
        return self("load", "--input", archive)

    def run(self, image: str, *command: str) -> str:
        """What a container of the image prints."""
        return self("run", "--rm", "--network=host", *_LIMITS, image, *command)

    def inspect(self, image: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self("image", "inspect", image))
        return found[0]

    def save(self, target: Path, *images: str, format: str = "docker-archive") -> Path:
        """`podman save` into a file or directory."""
        self("save", "--format", format, "--output", target, *images)
        return target

    def remove_images(self) -> None:
        """Leaves no image behind."""
        self("rmi", "--all", "--force")


@contextmanager
def real_podman() -> Iterator[RealPodman]:
    """podman with an empty storage, which is removed when the block ends."""
    with scratch_directory("podman") as directory:
        yield RealPodman(directory)
