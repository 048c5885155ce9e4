"""The values of `protocols.py` as messages for the worker."""

from __future__ import annotations

from pathlib import Path
from resource import RLIM_INFINITY
from typing import assert_never

from pyoci.errors import SandboxError
from pyoci.sandbox.messages import LimitsMessage, MountMessage, RootMessage
from pyoci.sandbox.protocols import (
    BindMount,
    DirectoryRoot,
    FileMount,
    Limits,
    Mount,
    OverlayRoot,
    Root,
    SocketMount,
    TmpfsMount,
)
from pyoci.sandbox.worker import encode_path

__all__ = ["ULIMITS", "limits_message", "mount_message", "root_message"]

ULIMITS = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}
"""Names that docker takes, to numbers of getrlimit(2)."""


def root_message(root: Root, *, fuse: str) -> RootMessage:
    """A root for the worker; `fuse` is the path of fuse-overlayfs, empty where there is none.

    Raises:
        SandboxError: it asks for what is not there.
    """
    match root:
        case OverlayRoot():
            if root.driver == "fuse" and not fuse:
                raise SandboxError("fuse-overlayfs is not installed")
            return {
                "path": "",
                "lowers": [encode_path(lower) for lower in root.lowers],
                "upper": encode_path(root.upper) if root.upper else "",
                "work": encode_path(root.work) if root.work else "",
                "owners": encode_path(root.owners) if root.owners else "",
                "fuse": fuse if root.driver == "fuse" else "",
            }
        case DirectoryRoot():
            owners = encode_path(root.owners) if root.owners else ""
            return {
                "path": encode_path(root.path),
                "lowers": [],
                "upper": "",
                "work": "",
                "owners": owners,
                "fuse": "",
            }
        case _:
            assert_never(root)


def mount_message(mount: Mount, *, fuse: str) -> MountMessage:
    """A mount for the worker.

    Raises:
        SandboxError: as for `root_message`.
    """
    match mount:
        case BindMount():
            path, root = ("", mount.source) if not isinstance(mount.source, Path) else (encode_path(mount.source), None)
            return {
                "kind": "bind",
                "target": mount.target,
                "source": path,
                "root": None if root is None else root_message(root, fuse=fuse),
                "source_path": mount.source_path,
                "access": mount.access,
                "owner": mount.owner,
                "public": mount.public,
            }
        case TmpfsMount():
            return {"kind": "tmpfs", "target": mount.target, "size_bytes": mount.size_bytes, "mode": mount.mode}
        case FileMount():
            return {
                "kind": "file",
                "target": mount.target,
                "content": mount.content,
                "mode": mount.mode,
                "uid": mount.uid,
                "gid": mount.gid,
                "writable": mount.writable,
                "beneath": mount.beneath,
            }
        case SocketMount():
            return {
                "kind": "socket",
                "target": mount.target,
                "source": encode_path(mount.source),
                "mode": mount.mode,
                "uid": mount.uid,
                "gid": mount.gid,
            }
        case _:
            assert_never(mount)


def limits_message(limits: Limits) -> LimitsMessage:
    """Limits for the worker.

    Raises:
        SandboxError: a ulimit has no such name, or a soft limit above its hard one.
    """
    return {
        "ulimits": _ulimits(limits),
        "shm_bytes": limits.shm_bytes,
        "memory_bytes": limits.memory_bytes,
        "pids": limits.pids,
        "cgroup_parent": limits.cgroup_parent,
    }


def _ulimits(limits: Limits) -> list[tuple[int, int, int]]:
    numbers: list[tuple[int, int, int]] = []
    for limit in limits.ulimits:
        if limit.name not in ULIMITS:
            raise SandboxError(f'unknown ulimit "{limit.name}"', hint=f"one of {', '.join(sorted(ULIMITS))}")
        soft, hard = (RLIM_INFINITY if value == -1 else value for value in (limit.soft, limit.hard))
        if hard != RLIM_INFINITY and (soft == RLIM_INFINITY or soft > hard):
            raise SandboxError(f"ulimit {limit.name}: the soft limit {limit.soft} is above the hard one {limit.hard}")
        numbers.append((ULIMITS[limit.name], soft, hard))
    return numbers
