"""pyoci as it is typed, with a home and a store of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.base_image import write_base_layout

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class CommandLine:
    directory: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    """Further ones of the environment."""

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "XDG_RUNTIME_DIR": str(self.directory / "run"),
            "PYOCI_HOME": str(self.directory / "store"),
            "PYTHONPATH": str(ROOT),
            **self.variables,
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pyoci", *arguments]

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ok(self, *arguments: str, stdin: str = "") -> str:
        """What it printed, without the line end."""
        done = self(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def base(self) -> str:
        """A value for --build-context: an image with a shell."""
        path = self.directory / "base"
        if not path.exists():
            write_base_layout(path)
        return f"base=oci-layout://{path}:latest"
