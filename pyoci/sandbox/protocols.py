"""What the rest of pyoci asks of a sandbox: run one process in one root file system.

Knows no image, no layer and no Dockerfile. Host paths are `Path`; paths inside the root are strings and are resolved
inside it, never on the host.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from pyoci.values import dataclass, field

__all__ = [
    "NO_LIMITS",
    "Attached",
    "BindMount",
    "Captured",
    "DirectoryRoot",
    "FileMount",
    "Limits",
    "Mode",
    "Mount",
    "Network",
    "OverlayRoot",
    "Privilege",
    "Process",
    "Root",
    "Sandbox",
    "SocketMount",
    "Stdio",
    "Terminal",
    "TmpfsMount",
    "Ulimit",
]

Mode = Literal["root", "subuid", "single", "chroot", "none"]
"""Rungs of the ladder, best first."""
Network = Literal["host", "none"]


@dataclass(frozen=True, slots=True)
class Privilege:
    """What a worker enters: a mode, and the IDs that it needs for that."""

    mode: Mode
    uid: int
    """The builder's own, as the host counts."""
    gid: int
    uid_ranges: tuple[tuple[int, int, int], ...] = ()
    """For `subuid`: first ID inside the namespace, first outside, count."""
    gid_ranges: tuple[tuple[int, int, int], ...] = ()
    newuidmap: str = ""
    """Path of newuidmap(1); empty when the builder may write the map itself."""
    newgidmap: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """What runs, as runtime-spec config.md#process means it."""

    args: tuple[str, ...]
    """Never empty; `args[0]` is looked up in the PATH of `env` unless it has a slash."""
    env: tuple[str, ...] = ()
    """`NAME=value`."""
    cwd: str = "/"
    """Made, as runc makes it, when the root has none (0755, 0:0)."""
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
    upper: Path | None = None
    """None with `work` None: a stack that is only looked at, as the source of a BindMount."""
    work: Path | None = None
    """A directory of the same file system as `upper`, used for nothing else; may keep private files of the mount."""
    owners: Path | None = None
    """A file that single mode appends to: owners of what was written to `upper` but can carry no extended attribute.

    Lines `INODE UID GID` (inode numbers in `upper`: symlinks, FIFOs, sockets); `default UID GID`, the owner of every
    new file that nothing else is known of; `exact 0 0` where the step saw owners as they are recorded. None: such
    owners are lost.
    """
    driver: Literal["kernel", "fuse"] = "kernel"
    """`fuse` mounts with the fuse-overlayfs that the capabilities name."""


@dataclass(frozen=True, slots=True)
class DirectoryRoot:
    """A root that is one directory, written in place. Missing mount points are made in it and removed afterwards."""

    path: Path
    owners: Path | None = None
    """As for OverlayRoot, with inode numbers in `path`."""


Root: TypeAlias = OverlayRoot | DirectoryRoot


@dataclass(frozen=True, slots=True)
class BindMount:
    """A file or directory of the host, or of another root, at `target`."""

    target: str
    """Absolute path inside the root; symlinks are resolved there, and what is missing appears in no layer."""
    source: Path | Root
    """A host path, or a root of which `source_path` is shown."""
    source_path: str = ""
    """Path inside `source`, resolved inside it; empty shows `source` itself."""
    access: Literal["read-only", "read-write", "discard"] = "read-only"
    """`discard` lets the process write but throws the writes away (`RUN --mount=type=bind,rw`)."""
    owner: tuple[int, int, int] | None = None
    """uid, gid and mode that an empty source directory is given before it is shown (cache mounts)."""
    public: bool = False
    """Whoever runs, root too, may do with its files what everybody may: they have no owner inside, and setuid bits do
    not count. For directories of the host, read-only. Where the kernel cannot, the user is told once.
    """


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
    content: bytes = field(repr=False)
    mode: int = 0o400
    uid: int = 0
    gid: int = 0
    writable: bool = False
    """Whether the process may write to it; what it writes is thrown away."""
    beneath: bool = False
    """It lies below the writes, as if the root had it: the process may replace, change or remove it, and that counts
    as a change of the root; what is left alone is in no layer. Over what is no file, and where nothing can be laid
    beneath, it is not there, or mounted as others are.
    """


@dataclass(frozen=True, slots=True)
class SocketMount:
    """A Unix socket at `target` that leads to one of the host, whoever connects (`RUN --mount=type=ssh`)."""

    target: str
    source: Path
    """The host's socket, connected to with the builder's own rights."""
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Mount: TypeAlias = BindMount | TmpfsMount | FileMount | SocketMount


@dataclass(frozen=True, slots=True)
class Ulimit:
    """One limit of getrlimit(2)."""

    name: str
    """As docker spells it: `nofile`, `nproc`, `core`, …"""
    soft: int
    """-1 is no limit."""
    hard: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process and its children may use. A limit that cannot be kept on this machine is a SandboxError."""

    ulimits: tuple[Ulimit, ...] = ()
    shm_bytes: int = 64 << 20
    """Size of /dev/shm."""
    memory_bytes: int = 0
    """0 is no limit; needs a cgroup that may be written to."""
    pids: int = 0
    """0 is no limit; needs a cgroup that may be written to."""
    cgroup_parent: str = ""
    """Path below the cgroup root under which the step gets a cgroup of its own; empty: below pyoci's own."""
    add_hosts: tuple[tuple[str, str], ...] = ()
    """Further lines of /etc/hosts: name and address."""


NO_LIMITS = Limits()


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
        limits: Limits = NO_LIMITS,
    ) -> int:
        """The exit status: 0..125 of the command, 126 not executable, 127 not found, 128 + number when killed by a
        signal.

        124 when `timeout_seconds` ran out, as of timeout(1); the last line of the output says so. When it returns,
        nothing that the process started is alive. Setting `cancelled` ends it within a second. /etc/hosts and
        /etc/resolv.conf are the sandbox's own, read-only, unless `mounts` has something at those paths. Mounts are made
        in the order of their depth, else as given.

        Raises:
            SandboxError: isolation could not be set up; the message says what the kernel refused, the hint what to
            change. Cancelled: `cancelled` was set.
        """
