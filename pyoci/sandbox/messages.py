"""Shapes of what crosses between builder and worker: plain dictionaries that marshal can carry.

The worker names these types in annotations only and never imports this module, which would cost it `typing`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

__all__ = [
    "BindMessage",
    "FileMessage",
    "IDRange",
    "LimitsMessage",
    "MountMessage",
    "PrivilegeMessage",
    "ProbeReply",
    "ProbeRequest",
    "RecorderMessage",
    "RootMessage",
    "RunReply",
    "RunRequest",
    "SettingsMessage",
    "SocketMessage",
    "TmpfsMessage",
]

IDRange: TypeAlias = tuple[int, int, int]
"""First ID inside the namespace, first ID outside, count: a line of uid_map."""


class PrivilegeMessage(TypedDict):
    """As `protocols.Privilege`."""

    mode: str
    uid: int
    gid: int
    uid_ranges: list[IDRange]
    gid_ranges: list[IDRange]
    newuidmap: str
    newgidmap: str


class SettingsMessage(TypedDict):
    """The first message to a worker."""

    path: list[str]
    """Added to `sys.path`."""
    privilege: PrivilegeMessage
    operations: list[str]
    scratch: list[str]
    """Directories covered by memory."""


class RootMessage(TypedDict):
    """As `protocols.Root`; `path` is set for a DirectoryRoot only."""

    path: str
    lowers: list[str]
    upper: str
    work: str
    owners: str
    fuse: str
    """Path of fuse-overlayfs; empty for the kernel's overlay."""


class BindMessage(TypedDict):
    """As `protocols.BindMount`."""

    kind: Literal["bind"]
    target: str
    source: str
    root: RootMessage | None
    source_path: str
    access: str
    owner: tuple[int, int, int] | None
    public: bool


class TmpfsMessage(TypedDict):
    """As `protocols.TmpfsMount`."""

    kind: Literal["tmpfs"]
    target: str
    size_bytes: int
    mode: int


class FileMessage(TypedDict):
    """As `protocols.FileMount`."""

    kind: Literal["file"]
    target: str
    content: bytes
    mode: int
    uid: int
    gid: int
    writable: bool
    beneath: bool


class SocketMessage(TypedDict):
    """As `protocols.SocketMount`."""

    kind: Literal["socket"]
    target: str
    source: str
    mode: int
    uid: int
    gid: int


MountMessage: TypeAlias = BindMessage | TmpfsMessage | FileMessage | SocketMessage


class LimitsMessage(TypedDict):
    """As `protocols.Limits`, ulimits by number."""

    ulimits: list[tuple[int, int, int]]
    """Resource, soft, hard."""
    shm_bytes: int
    memory_bytes: int
    pids: int
    cgroup_parent: str


class RecorderMessage(TypedDict):
    """How system calls that would need more IDs, or device nodes, than the namespace has are answered."""

    program: bytes
    """A seccomp filter that asks the listener."""
    fallback: bytes
    """One that answers success by itself; empty lets the kernel refuse."""
    owner_xattr: str
    device_xattr: str
    emulates: bool
    """Whether processes see what was recorded; else only device nodes are."""
    groups: list[int]
    """Supplementary groups of the command, which are then emulated too."""
    fallback_env: list[str]
    """Variables of the command where the fallback is used."""


class RunRequest(TypedDict):
    """One process. Descriptors: the conversation, then one for `captured` (stdout) and three for `attached`."""

    mode: str
    args: list[str]
    env: list[str]
    cwd: str
    uid: int
    gid: int
    groups: list[int]
    hostname: str
    insecure: bool
    root: RootMessage
    mounts: list[MountMessage]
    network: str
    stdio: Literal["captured", "attached", "terminal"]
    window: tuple[int, int]
    """Rows and columns of the terminal."""
    timeout_seconds: float
    """0 for none."""
    grace_seconds: float
    """Between SIGTERM and SIGKILL."""
    limits: LimitsMessage
    filter: bytes
    """A seccomp filter; empty for none."""
    recorder: RecorderMessage | None


class ProbeRequest(TypedDict):
    """What is to be tried."""

    storage: str
    privileges: list[PrivilegeMessage]
    """Best first."""


class ProbeReply(TypedDict):
    """What came of it. Numbers are errno; 0 is success, -1 no answer in time."""

    status: dict[str, str]
    uid_map: str
    sysctls: dict[str, str]
    works: dict[str, str]
    """For each mode what was refused; empty when it works."""
    user_namespace: int
    namespaces: int
    overlay: int
    overlay_in_memory: int
    fresh_proc: int
    listener: int
    user_xattr: int
    chroot: int
    fuse: int
    landlock: int
    """ABI version."""


class RunReply(TypedDict):
    """How it ended."""

    status: int
    notes: list[str]
    """What the user should be told once: something could not be kept as promised."""
