"""What the rest of pyoci asks of a sandbox: run one process in one root file system.

Knows no image, no layer and no Dockerfile. Host paths are `Path`; paths inside the root are strings and are resolved
inside it, never on the host.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

__all__ = [
    "Attached",
    "BindMount",
    "Captured",
    "DirectoryRoot",
    "FileMount",
    "Mode",
    "Mount",
    "Network",
    "OverlayRoot",
    "Process",
    "Root",
    "Sandbox",
    "Stdio",
    "Terminal",
    "TmpfsMount",
]

Mode = Literal["root", "subuid", "single", "chroot", "none"]
"""Rungs of the ladder, best first."""
Network = Literal["host", "none"]


@dataclass(frozen=True, slots=True)
class Process:
    """What runs, as runtime-spec config.md#process means it."""

    args: tuple[str, ...]
    """Never empty; `args[0]` is looked up in the PATH of `env` unless it has a slash."""
    env: tuple[str, ...] = ()
    """`NAME=value`."""
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    """Supplementary groups."""
    hostname: str = "buildkitsandbox"
    insecure: bool = False
    """Keep every capability and leave the seccomp filter out (`RUN --security=insecure`)."""


@dataclass(frozen=True, slots=True)
class OverlayRoot:
    """A root made of stacked directories, uppermost first, and a directory that takes the writes."""

    lowers: tuple[Path, ...]
    upper: Path
    work: Path


@dataclass(frozen=True, slots=True)
class DirectoryRoot:
    """A root that is one directory, written in place."""

    path: Path


Root: TypeAlias = OverlayRoot | DirectoryRoot


@dataclass(frozen=True, slots=True)
class BindMount:
    """A file or directory of the host, or of another root, at `target`."""

    target: str
    source: Path | Root
    """A host path, or a root of which `source_path` is shown."""
    source_path: str = ""
    """Path inside `source`, resolved inside it; empty shows `source` itself."""
    access: Literal["read-only", "read-write", "discard"] = "read-only"
    """`discard` lets the process write but throws the writes away (`RUN --mount=type=bind,rw`)."""
    owner: tuple[int, int, int] | None = None
    """uid, gid and mode that an empty source directory is given before it is first used (cache mounts)."""


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """An empty file system in memory."""

    target: str
    size_bytes: int = 0
    """0 leaves it to the kernel."""
    mode: int = 0o1777


@dataclass(frozen=True, slots=True)
class FileMount:
    """A file with given bytes, such as a secret or `/etc/resolv.conf`; on no disk."""

    target: str
    content: bytes
    mode: int = 0o400
    uid: int = 0
    gid: int = 0
    writable: bool = False


Mount: TypeAlias = BindMount | TmpfsMount | FileMount


@dataclass(frozen=True, slots=True)
class Captured:
    """stdin is empty; stdout and stderr, joined in order, go to `output` as they come, from one thread."""

    output: Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Attached:
    """The process gets these file descriptors as they are (`pyoci run -i`)."""

    stdin: int
    stdout: int
    stderr: int


@dataclass(frozen=True, slots=True)
class Terminal:
    """The process gets a terminal of its own, joined to these descriptors (`pyoci run -t`)."""

    stdin: int
    stdout: int


Stdio: TypeAlias = Captured | Attached | Terminal


class Sandbox(Protocol):
    """May be used from several threads at once; every `run` is on its own."""

    @property
    def mode(self) -> Mode:
        """Which rung of the ladder this is."""

    def run(
        self,
        process: Process,
        root: Root,
        mounts: Sequence[Mount],
        *,
        network: Network,
        stdio: Stdio,
        cancelled: threading.Event,
        timeout_seconds: float | None = None,
    ) -> int:
        """The exit status: 0..125 of the command, 126 not executable, 127 not found, 128 + number when killed by a signal.

        When it returns, nothing that the process started is alive. Setting `cancelled` ends it within a second.

        Raises:
            SandboxError: isolation could not be set up; the message says what the kernel refused, the hint what to change.
            Cancelled: `cancelled` was set.
        """
