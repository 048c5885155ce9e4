"""BuildKit as a judge: its daemon, started by hand in a directory of its own where it and `buildctl` are on PATH."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

__all__ = ["BuildKit", "running_buildkit"]


class BuildKit:
    """A running daemon."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "sock"

    def version(self) -> str:
        return subprocess.run(["buildkitd", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]

    def build(
        self,
        context: Path,
        output: Path,
        *,
        options: Mapping[str, str],
        layouts: Mapping[str, Path],
        arguments: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Builds to an OCI archive; `options` are the frontend's, `layouts` OCI layouts by context name."""
        command = [
            "buildctl",
            "--addr",
            f"unix://{self.socket}",
            "build",
            "--progress=plain",
            "--frontend=dockerfile.v0",
        ]
        command += [f"--local=context={context}", f"--local=dockerfile={context}", f"--output=type=oci,dest={output}"]
        command += [f"--opt={key}={value}" for key, value in options.items()]
        for name, path in layouts.items():
            command += [f"--oci-layout={name}={path}"]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300, check=False)


@contextlib.contextmanager
def running_buildkit(directory: Path) -> Iterator[BuildKit]:
    """Starts the daemon in `directory` and ends it with everything that it mounted."""
    runc = shutil.which("runc") or "runc"
    command = ["buildkitd", "--addr", f"unix://{directory}/sock", "--root", str(directory / "root")]
    command += ["--oci-worker-binary", runc, "--oci-worker-net", "host", "--containerd-worker=false"]
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
        try:
            for _ in range(200):
                if (directory / "sock").exists():
                    break
                time.sleep(0.05)
            yield BuildKit(directory)
        finally:
            daemon.terminate()
            daemon.wait(30)
            shutil.rmtree(directory / "root", ignore_errors=True)
