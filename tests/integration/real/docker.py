"""A docker engine of the tests' own: Debian's dockerd (20.10, the classic image store), with its data in a directory.

It makes no bridge and touches no firewall, so containers run with `--network=host`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.real.programs import daemon, output, run, scratch_directory

__all__ = ["RealDocker", "real_docker"]


@dataclass(frozen=True, slots=True)
class RealDocker:
    """A running engine."""

    directory: Path

    @property
    def socket(self) -> str:
        """As `DOCKER_HOST` wants it."""
        return f"unix://{self.directory}/docker.sock"

    def __call__(self, *arguments: str | Path, input: bytes | None = None) -> str:
        """What `docker ARGUMENTS…` prints; fails the test when docker does."""
        return output(self._command(*arguments), directory=self.directory, input=input)

    def refused(self, *arguments: str | Path, input: bytes | None = None) -> str:
        """What docker says when it fails, as it must."""
        done = run(self._command(*arguments), directory=self.directory, input=input)
        assert done.returncode != 0, f"docker {arguments} was expected to fail"
        return done.stderr.decode()

    def _command(self, *arguments: str | Path) -> list[str | Path]:
        return ["docker", "--config", self.directory / "config", "--host", self.socket, *arguments]

    def load(self, archive: Path) -> str:
        """`docker load`; returns what it printed."""
        return self("load", "--input", archive)

    def run(self, image: str, *command: str, options: tuple[str, ...] = ()) -> str:
        """What a container of the image prints."""
        return self("run", "--rm", "--network=host", *options, image, *command)

    def inspect(self, image: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self("image", "inspect", image))
        return found[0]

    def save(self, target: Path, *images: str) -> Path:
        """`docker save` into a file."""
        self("save", "--output", target, *images)
        return target

    def remove_images(self) -> None:
        """Leaves no image behind."""
        for image in set(self("images", "--quiet", "--all").split()):
            run(self._command("rmi", "--force", image), directory=self.directory)


@contextmanager
def real_docker() -> Iterator[RealDocker]:
    """An engine without images, stopped and removed with everything that it made when the block ends."""
    with scratch_directory("docker") as directory:
        docker = RealDocker(directory)
        command: list[str | Path] = [
            *("dockerd", "--data-root", directory / "data", "--exec-root", directory / "exec"),
            *("--pidfile", directory / "pid", "--host", docker.socket),
            *("--iptables=false", "--ip6tables=false", "--bridge=none"),
        ]

        def ready() -> bool:
            return run(docker._command("version"), directory=directory).returncode == 0

        with daemon(command, directory / "log", ready=ready):
            yield docker
