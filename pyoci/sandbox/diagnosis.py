"""Says in words what a machine allows, why, and what to change: what `pyoci doctor` shows."""

from __future__ import annotations

import errno
from typing import Literal

from pyoci.sandbox.capabilities import Capabilities
from pyoci.sandbox.protocols import Mode
from pyoci.values import dataclass

__all__ = ["MODE_MEANING", "Finding", "Level", "diagnose"]

Level = Literal["good", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that matters for running steps. `to_dict` of dataclasses makes it JSON."""

    name: str
    """For programs: stable, one word or several with hyphens."""
    level: Level
    """`bad` keeps steps from running, or from being right; `note` is a better mode or a feature that is missing."""
    message: str
    cause: str = ""
    mend: str = ""
    """What to change, as a command where there is one."""


MODE_MEANING: dict[Mode, str] = {
    "root": "namespaces made by root: exact owners, device nodes, limits",
    "subuid": "a user namespace with a range of IDs: exact owners",
    "single": "a user namespace with one ID: owners are recorded beside the files",
    "chroot": "chroot(2) by root: exact owners, no isolation",
    "none": "RUN is refused; everything else of a build works",
}


def diagnose(capabilities: Capabilities, mode: Mode | None = None) -> tuple[Finding, ...]:
    """What there is to say, the chosen mode first. `mode` is the one in use where it is not the best."""
    chosen = mode or capabilities.best
    level: Level = "bad" if chosen == "none" else "note" if chosen == "chroot" else "good"
    findings = [Finding("mode", level, f"steps run in mode {chosen}: {MODE_MEANING[chosen]}")]
    findings += _user_namespaces(capabilities)
    if chosen in ("single", "none", "chroot") or mode is not None:
        findings += _subordinate_ids(capabilities)
    if chosen == "single":
        findings += _recorder(capabilities)
    if chosen not in ("chroot", "none"):
        findings += _storage(capabilities)
        findings += _kernel(capabilities)
    return tuple(findings)


def _user_namespaces(capabilities: Capabilities) -> list[Finding]:
    facts = capabilities.facts
    if capabilities.works("root") or capabilities.works("subuid") or capabilities.works("single"):
        return []
    number = facts.get("user_namespace", 0)
    sysctls = facts.get("sysctls", {})
    status = facts.get("status", {})
    name, message = "user-namespaces", "user namespaces cannot be made"
    if number == errno.ENOSPC or sysctls.get("user/max_user_namespaces") == "0":
        cause = "user.max_user_namespaces is 0 (ENOSPC)"
        return [Finding(name, "bad", message, cause, "sudo sysctl -w user.max_user_namespaces=15000")]
    if number == errno.EPERM and sysctls.get("kernel/unprivileged_userns_clone") == "0":
        cause = "kernel.unprivileged_userns_clone is 0 (EPERM)"
        return [Finding(name, "bad", message, cause, "sudo sysctl -w kernel.unprivileged_userns_clone=1")]
    if sysctls.get("kernel/apparmor_restrict_unprivileged_userns") == "1" and number in (0, errno.EPERM, errno.EACCES):
        return [
            Finding(
                name,
                "bad",
                "user namespaces give no rights",
                "kernel.apparmor_restrict_unprivileged_userns is 1, as on Ubuntu since 23.10",
                "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            )
        ]
    if number == errno.EPERM and status.get("Seccomp") == "2":
        return [
            Finding(
                name,
                "bad",
                message,
                "a container's system call filter refuses unshare(2) (EPERM)",
                "start the container with --security-opt seccomp=unconfined",
            )
        ]
    if number == errno.EINVAL:
        return [Finding(name, "bad", message, "this kernel has none (EINVAL)", "use a kernel with CONFIG_USER_NS")]
    cause = (
        f"unshare(2) said {errno.errorcode.get(number, number)}" if number else capabilities.refused.get("single", "")
    )
    return [Finding(name, "bad", message, cause, "run pyoci as root")]


def _subordinate_ids(capabilities: Capabilities) -> list[Finding]:
    reason = capabilities.refused.get("subuid")
    if reason is None or capabilities.facts.get("user_namespace"):
        return []
    name, message = "subordinate-ids", "no range of user IDs for steps"
    if capabilities.facts.get("status", {}).get("NoNewPrivs") == "1":
        return [
            Finding(
                name,
                "note",
                message,
                "no_new_privs is set, under which newuidmap has no rights",
                "in Kubernetes set allowPrivilegeEscalation: true",
            )
        ]
    if "not installed" in reason:
        return [Finding(name, "note", message, reason, "sudo apt-get install uidmap (shadow-utils elsewhere)")]
    if "gives no range" in reason:
        mend = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
        return [Finding(name, "note", message, reason, mend)]
    mend = "look at /etc/subuid and /etc/subgid, and whether newuidmap is setuid root" if "map" in reason else ""
    return [Finding(name, "note", message, reason, mend)]


def _recorder(capabilities: Capabilities) -> list[Finding]:
    name, message = "recorder", "owners are not recorded: every new file belongs to 0:0"
    if not capabilities.listener:
        cause = "the kernel gives no listener for system calls: before Linux 5.0, or one is in use outside"
        return [Finding(name, "bad", message, cause, "use a range of subordinate IDs")]
    if not capabilities.user_xattr:
        cause = "the store's file system keeps no user.* attributes"
        return [Finding(name, "bad", message, cause, "move the store to ext4, xfs or btrfs: PYOCI_HOME=…")]
    return [Finding(name, "good", "owners and device nodes are recorded beside the files")]


def _storage(capabilities: Capabilities) -> list[Finding]:
    name = "storage"
    match capabilities.storage:
        case "overlay":
            return [Finding(name, "good", "layers are stacked by the kernel (overlay)")]
        case "memory":
            cause = "the store's file system cannot take the writes of an overlay, as in a container without a volume"
            mend = "put the store on a volume or a disk: PYOCI_HOME=…"
            return [Finding(name, "note", "what a step writes is kept in memory while it runs", cause, mend)]
        case "fuse":
            cause = "this kernel has no overlay in user namespaces (before Linux 5.11)"
            return [Finding(name, "note", "layers are stacked by fuse-overlayfs, which is slower", cause)]
        case "copy":
            cause = f"overlay said {_reason(capabilities.facts.get('overlay', 0))}"
            mend = "install fuse-overlayfs, or use Linux 5.11 or later"
            return [Finding(name, "note", "layers are copied for every step, which is slow", cause, mend)]


def _kernel(capabilities: Capabilities) -> list[Finding]:
    findings = []
    if capabilities.facts.get("fresh_proc"):
        cause = "parts of /proc are covered here, as in a container"
        mend = "start the container with --security-opt systempaths=unconfined"
        findings.append(Finding("proc", "note", "a step sees the processes of this container in /proc", cause, mend))
    if capabilities.landlock_abi < 6:
        cause = f"Landlock version {capabilities.landlock_abi}; 6 is needed (Linux 6.12)"
        findings.append(
            Finding("landlock", "note", "with the host's network a step reaches abstract Unix sockets", cause)
        )
    return findings


def _reason(number: int) -> str:
    return errno.errorcode.get(number, "nothing in time" if number < 0 else str(number))
