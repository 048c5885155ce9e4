"""Steps: what a vertex of the build graph does, as frozen data.

Every field of a step is in its cache key and nothing else is (DESIGN D7); titles and places in the Dockerfile live on
the vertex. A new kind of work gets a dataclass here, an operation in `operations/` and a `case` in `executor.py`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pyoci.digest import Digest
from pyoci.image.image import Layer
from pyoci.values import dataclass

__all__ = [
    "BindMountStep",
    "CacheMountStep",
    "ContextStep",
    "CopySource",
    "CopyStep",
    "GitStep",
    "HostStep",
    "HttpStep",
    "ImageStep",
    "InlineFile",
    "MountStep",
    "RunStep",
    "SecretMountStep",
    "SourceStep",
    "SshMountStep",
    "Step",
    "TmpfsMountStep",
    "WorkdirStep",
]


@dataclass(frozen=True, slots=True)
class ImageStep:
    """The file system of an image. No inputs; never cached, since it is already named by content."""

    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class ContextStep:
    """A directory of this machine. No inputs and no identity: only the content of what is read from it counts."""

    name: str
    """`.` for the build context, else the name given to `--build-context`."""


@dataclass(frozen=True, slots=True)
class HostStep:
    """The building machine's own toolchain. No inputs; its state tells itself apart (`host.py`)."""

    directories: tuple[str, ...]
    """What is shown besides settings: absolute paths."""
    epoch: int


@dataclass(frozen=True, slots=True)
class HttpStep:
    """A file behind a URL, as a tree with one file. No inputs."""

    url: str
    checksum: Digest | None
    name: str
    """What the file is called."""
    epoch: int


@dataclass(frozen=True, slots=True)
class GitStep:
    """A checkout of a git repository. No inputs."""

    remote: str
    reference: str
    """Branch, tag, full reference or commit; empty for the default branch."""
    commit: str
    """A commit ID (or its beginning) that the checkout must have; empty accepts any."""
    subdirectory: str
    keep_git_directory: bool
    submodules: bool
    fetch_by_commit: bool
    commit_times: bool
    epoch: int


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A file whose content stands in the Dockerfile (a heredoc)."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class CopySource:
    """One source argument of COPY or ADD."""

    input: int
    """Position among the vertex's inputs."""
    path: str
    """As in the Dockerfile, variables expanded."""
    pattern: bool = True
    """Whether `path` may hold wildcards; what was fetched is named literally."""
    unpack: bool = False
    """An archive is unpacked instead of copied."""


@dataclass(frozen=True, slots=True)
class CopyStep:
    """COPY or ADD. Inputs: the file system to add to, then those where the files come from.

    Everything that it makes has the time `epoch`.
    """

    sources: tuple[CopySource, ...]
    destination: str
    """Absolute; a trailing slash says that it is a directory."""
    inline: tuple[InlineFile, ...] = ()
    chown: str = ""
    """`user[:group]`, by name or number; empty keeps the source's owners (0:0 in a context)."""
    chmod: str = ""
    """Octal or symbolic; empty keeps the source's modes."""
    link: bool = False
    """The layer does not depend on what is below it."""
    parents: bool = False
    excludes: tuple[str, ...] = ()
    epoch: int = 0
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class WorkdirStep:
    """Makes a directory where it is missing. Input: the file system."""

    path: str
    user: str
    """Who owns what is made: USER's words; empty means root."""
    epoch: int


@dataclass(frozen=True, slots=True)
class BindMountStep:
    """`RUN --mount=type=bind`. `input` is the position among the vertex's inputs."""

    target: str
    input: int
    source: str
    writable: bool


@dataclass(frozen=True, slots=True)
class CacheMountStep:
    """`RUN --mount=type=cache`. Its content is in no key."""

    target: str
    id: str
    sharing: Literal["shared", "private", "locked"]
    read_only: bool
    input: int | None
    """Position of the input that a new cache starts from."""
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class TmpfsMountStep:
    """`RUN --mount=type=tmpfs`."""

    target: str
    size: int
    """Bytes; 0 is unlimited."""


@dataclass(frozen=True, slots=True)
class SecretMountStep:
    """`RUN --mount=type=secret`: by ID, never by value."""

    id: str
    target: str
    """Empty when it is given as a variable only."""
    env: str
    required: bool
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class SshMountStep:
    """`RUN --mount=type=ssh`: by ID, never by value."""

    id: str
    target: str
    """Empty means /run/buildkit/ssh_agent.N, N counting the ssh mounts of the step."""
    required: bool
    mode: int
    uid: int
    gid: int


MountStep: TypeAlias = BindMountStep | CacheMountStep | TmpfsMountStep | SecretMountStep | SshMountStep


@dataclass(frozen=True, slots=True)
class RunStep:
    """RUN. Inputs: the file system to change, then those that the mounts name."""

    args: tuple[str, ...]
    """The whole command line, shell included."""
    env: tuple[str, ...]
    """`NAME=value` of ENV and ARG, in order; predefined proxy variables are not here."""
    cwd: str
    user: str
    """USER's words; empty means root."""
    mounts: tuple[MountStep, ...] = ()
    files: tuple[InlineFile, ...] = ()
    """Scripts of heredocs, shown below /dev/pipes."""
    network: Literal["host", "none"] = "host"
    insecure: bool = False
    hostname: str = "buildkitsandbox"


SourceStep: TypeAlias = ImageStep | HostStep | ContextStep | HttpStep | GitStep
Step: TypeAlias = SourceStep | CopyStep | WorkdirStep | RunStep
