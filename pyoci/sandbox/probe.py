"""Finds out what this machine lets the user do, by trying it in processes that are thrown away.

What it needs to know of the host comes in; the answer holds until the machine is started anew, its users' ID ranges
change, or the store moves, and can be kept in a file.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyoci.errors import Cancelled, SandboxError
from pyoci.sandbox.capabilities import Capabilities, Storage, capabilities_from_dict
from pyoci.sandbox.protocols import Privilege
from pyoci.sandbox.subordinate import own_ranges, subordinate_ranges
from pyoci.sandbox.worker import Worker, encode_path, privilege_message
from pyoci.values import dataclass

__all__ = ["OPERATION", "Host", "probe", "probe_once"]

OPERATION = "pyoci.sandbox.probing:probe"
_FORMAT = 1
"""Of the kept file; counts up when `Capabilities` changes."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the probe is told of the machine and the user."""

    uid: int
    gid: int
    user: str
    """Name by which /etc/subuid knows the user; may be empty."""
    path: str
    """Directories with programs, as in $PATH."""
    storage: Path
    """An existing directory on the file system where roots will be."""
    subuid: Path = Path("/etc/subuid")
    subgid: Path = Path("/etc/subgid")
    proc: Path = Path("/proc")


def probe(host: Host, *, interpreter: Sequence[str] = (), timeout_seconds: float = 30) -> Capabilities:
    """Tries everything; takes some hundredths of a second.

    Raises:
        SandboxError: not even a process could be started, or there was no answer in time.
    """
    privileges, lacking = _candidates(host)
    # Entering nothing by itself, this worker is the user as they are.
    worker = Worker(Privilege("chroot", host.uid, host.gid), operations=(OPERATION,), interpreter=interpreter)
    late = threading.Event()
    timer = threading.Timer(timeout_seconds, late.set)
    timer.start()
    try:
        request = {
            "storage": encode_path(host.storage),
            "privileges": [privilege_message(privilege) for privilege in privileges],
        }
        found = worker.call(OPERATION, request, cancelled=late).values
    except Cancelled:
        raise SandboxError(f"the sandbox could not be probed within {timeout_seconds:g} seconds") from None
    finally:
        timer.cancel()
        worker.close()
    fuse = "" if found["fuse"] else shutil.which("fuse-overlayfs", path=host.path) or ""
    refused = {**lacking, **{mode: said for mode, said in found["works"].items() if said}}
    if found["namespaces"]:
        refused.update(dict.fromkeys(("root", "subuid", "single"), "no PID or mount namespaces"))
    if found["chroot"]:
        refused.setdefault("chroot", "chroot(2) is refused")
    return Capabilities(
        privileges=tuple(privileges),
        refused=refused,
        storage=_storage(found, fuse),
        fuse_overlayfs=fuse,
        listener=found["listener"] == 0,
        user_xattr=found["user_xattr"] == 0,
        landlock_abi=found["landlock"],
        facts=found,
    )


def probe_once(host: Host, kept: Path, *, interpreter: Sequence[str] = ()) -> Capabilities:
    """What a file keeps of an earlier probe of the same host since it was started; else probes, and keeps that.

    Raises:
        SandboxError: as `probe`.
    """
    key = _key(host)
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
        if known["key"] == key:
            return capabilities_from_dict(known["capabilities"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not kept yet, or by another version: probing is cheap
    found = probe(host, interpreter=interpreter)
    temporary = kept.with_name(f"{kept.name}.{threading.get_native_id()}")
    try:
        temporary.write_text(json.dumps({"key": key, "capabilities": found.to_dict()}), encoding="utf-8")
        temporary.replace(kept)
    except OSError:
        temporary.unlink(missing_ok=True)  # a store that cannot be written to: the answer is good all the same
    return found


def _key(host: Host) -> list[Any]:
    def changed(path: Path) -> int:
        try:
            return path.stat().st_mtime_ns
        except OSError:
            return 0

    boot = (host.proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    sysctls = [
        _text(host.proc / "sys/user/max_user_namespaces"),
        _text(host.proc / "self/status", "NoNewPrivs:", "Seccomp:", "CapEff:"),
    ]
    return [
        *(_FORMAT, boot, host.uid, host.gid, host.user, host.path, host.storage.stat().st_dev),
        *(changed(host.subuid), changed(host.subgid), *sysctls),
    ]


def _text(path: Path, *starts: str) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return " ".join(line for line in lines if not starts or line.startswith(starts))


def _candidates(host: Host) -> tuple[list[Privilege], dict[str, str]]:
    """What there is to try, best first, and what is not worth trying, with the reason."""
    lacking: dict[str, str] = {}
    privileges: list[Privilege] = []
    own = own_ranges(_text_of(host.proc / "self/uid_map"))
    initial = own == [(0, 0xFFFF_FFFF)]
    if host.uid != 0:
        lacking["root"] = "it needs root"
    elif not initial:
        lacking["root"] = "root of a user namespace is not root of the machine"
    else:
        privileges.append(Privilege("root", host.uid, host.gid))
    subuid = _subordinate(host, own)
    if isinstance(subuid, Privilege):
        privileges.append(subuid)
    else:
        lacking["subuid"] = subuid
    privileges.append(Privilege("single", host.uid, host.gid))
    if host.uid == 0:
        privileges.append(Privilege("chroot", host.uid, host.gid))
    else:
        lacking["chroot"] = "it needs root"
    return privileges, lacking


def _subordinate(host: Host, own: list[tuple[int, int]]) -> Privilege | str:
    """How to get many IDs into a user namespace, or why there is no way."""
    if host.uid == 0:
        # Root may hand down whatever exists where it is.
        if sum(count for _, count in own) < 2:
            return "there is only one ID in this user namespace"
        groups = own_ranges(_text_of(host.proc / "self/gid_map"))
        return Privilege(
            "subuid", 0, 0, tuple((at, at, count) for at, count in own), tuple((at, at, count) for at, count in groups)
        )
    tools = [shutil.which(name, path=host.path) for name in ("newuidmap", "newgidmap")]
    if None in tools:
        return "newuidmap and newgidmap are not installed"
    ranges = []
    for path, number in ((host.subuid, host.uid), (host.subgid, host.gid)):
        lines = [(0, number, 1)]
        for first, count in subordinate_ranges(path, host.user, host.uid):
            lines.append((sum(line[2] for line in lines), first, count))
        if len(lines) == 1:
            return f"{path} gives no range to {host.user or host.uid}"
        ranges.append(tuple(lines))
    return Privilege("subuid", host.uid, host.gid, ranges[0], ranges[1], tools[0] or "", tools[1] or "")


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _storage(found: Any, fuse: str) -> Storage:
    if found["overlay"] == 0:
        return "overlay"
    if found["overlay_in_memory"] == 0:
        return "memory"
    return "fuse" if fuse else "copy"
