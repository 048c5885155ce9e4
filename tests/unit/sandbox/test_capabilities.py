"""The choice of a mode, and what is said about it."""

from __future__ import annotations

import dataclasses
import errno
import json
from collections.abc import Mapping
from typing import Any

import pytest

from pyoci.errors import SandboxError
from pyoci.sandbox.capabilities import Capabilities, Storage, capabilities_from_dict, choose_mode
from pyoci.sandbox.diagnosis import Finding, diagnose
from pyoci.sandbox.protocols import Mode, Privilege

FACTS: dict[str, Any] = {"user_namespace": 0, "sysctls": {}, "status": {"NoNewPrivs": "0", "Seccomp": "0"}}


def capabilities(
    works: Mapping[Mode, str],
    *,
    storage: Storage = "overlay",
    listener: bool = True,
    user_xattr: bool = True,
    landlock_abi: int = 7,
    **facts: Any,
) -> Capabilities:
    """Modes with what is said against them; nothing where they work."""
    return Capabilities(
        privileges=tuple(Privilege(mode, 1000, 1000) for mode in works),
        refused={mode: said for mode, said in works.items() if said},
        storage=storage,
        listener=listener,
        user_xattr=user_xattr,
        landlock_abi=landlock_abi,
        facts={**FACTS, **facts},
    )


@pytest.mark.parametrize(
    ("works", "best"),
    [
        ({"root": "", "subuid": "", "single": "", "chroot": ""}, "root"),
        ({"root": "no", "subuid": "", "single": ""}, "subuid"),
        ({"subuid": "no", "single": ""}, "single"),
        ({"root": "no", "subuid": "no", "single": "no", "chroot": ""}, "chroot"),
        ({"single": "no"}, "none"),
    ],
)
def test_the_best_is_chosen(works: dict[Mode, str], best: Mode) -> None:
    found = capabilities(works)
    assert choose_mode(found) == best
    assert found.privilege(best).mode == best
    assert choose_mode(found, "none") == "none"


def test_what_does_not_work_cannot_be_forced() -> None:
    found = capabilities({"subuid": "newuidmap: write to uid_map failed", "single": ""})
    with pytest.raises(SandboxError) as raised:
        choose_mode(found, "subuid")
    assert str(raised.value) == "isolation subuid is not possible here: newuidmap: write to uid_map failed"
    assert raised.value.hint == "single is; `pyoci doctor` says what to change"
    with pytest.raises(SandboxError, match="isolation chroot is not possible here: it needs root"):
        choose_mode(found, "chroot")
    assert choose_mode(found, "single") == "single"


def test_without_namespaces_nothing_is_stacked() -> None:
    found = capabilities({"root": "", "chroot": ""})
    assert (found.storage_for("root"), found.storage_for("chroot")) == ("overlay", "copy")


def test_they_can_be_kept() -> None:
    found = Capabilities(
        (Privilege("subuid", 1, 2, ((0, 1, 1), (1, 100000, 65536)), ((0, 2, 1),), "/usr/bin/newuidmap", "/g"),),
        {"root": "it needs root"},
        "memory",
        "/usr/bin/fuse-overlayfs",
        True,
        True,
        6,
        {"user_namespace": 0},
    )
    assert capabilities_from_dict(json.loads(json.dumps(found.to_dict()))) == found


CASES: dict[str, tuple[Capabilities, Finding]] = {
    "count": (
        capabilities({"single": "no"}, user_namespace=errno.ENOSPC),
        Finding(
            "user-namespaces",
            "bad",
            "user namespaces cannot be made",
            "user.max_user_namespaces is 0 (ENOSPC)",
            "sudo sysctl -w user.max_user_namespaces=15000",
        ),
    ),
    "debian": (
        capabilities({"single": "no"}, user_namespace=errno.EPERM, sysctls={"kernel/unprivileged_userns_clone": "0"}),
        Finding(
            "user-namespaces",
            "bad",
            "user namespaces cannot be made",
            "kernel.unprivileged_userns_clone is 0 (EPERM)",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
    ),
    "ubuntu": (
        capabilities({"single": "no"}, sysctls={"kernel/apparmor_restrict_unprivileged_userns": "1"}),
        Finding(
            "user-namespaces",
            "bad",
            "user namespaces give no rights",
            "kernel.apparmor_restrict_unprivileged_userns is 1, as on Ubuntu since 23.10",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ),
    "container": (
        capabilities({"single": "no"}, user_namespace=errno.EPERM, status={"Seccomp": "2"}),
        Finding(
            "user-namespaces",
            "bad",
            "user namespaces cannot be made",
            "a container's system call filter refuses unshare(2) (EPERM)",
            "start the container with --security-opt seccomp=unconfined",
        ),
    ),
    "kernel": (
        capabilities({"single": "no"}, user_namespace=errno.EINVAL),
        Finding(
            "user-namespaces",
            "bad",
            "user namespaces cannot be made",
            "this kernel has none (EINVAL)",
            "use a kernel with CONFIG_USER_NS",
        ),
    ),
    "unknown": (
        capabilities({"single": "no"}, user_namespace=errno.ENOMEM),
        Finding(
            "user-namespaces", "bad", "user namespaces cannot be made", "unshare(2) said ENOMEM", "run pyoci as root"
        ),
    ),
    "listener": (
        capabilities({"single": ""}, listener=False),
        Finding(
            "recorder",
            "bad",
            "owners are not recorded: every new file belongs to 0:0",
            "the kernel gives no listener for system calls: before Linux 5.0, or one is in use outside",
            "use a range of subordinate IDs",
        ),
    ),
    "attributes": (
        capabilities({"single": ""}, user_xattr=False),
        Finding(
            "recorder",
            "bad",
            "owners are not recorded: every new file belongs to 0:0",
            "the store's file system keeps no user.* attributes",
            "move the store to ext4, xfs or btrfs: PYOCI_HOME=…",
        ),
    ),
    "copy": (
        capabilities({"subuid": ""}, storage="copy", overlay=errno.EPERM),
        Finding(
            "storage",
            "note",
            "layers are copied for every step, which is slow",
            "overlay said EPERM",
            "install fuse-overlayfs, or use Linux 5.11 or later",
        ),
    ),
    "landlock": (
        capabilities({"root": ""}, landlock_abi=4),
        Finding(
            "landlock",
            "note",
            "with the host's network a step reaches abstract Unix sockets",
            "Landlock version 4; 6 is needed (Linux 6.12)",
        ),
    ),
}


@pytest.mark.parametrize(("found", "finding"), CASES.values(), ids=CASES)
def test_findings(found: Capabilities, finding: Finding) -> None:
    assert finding in diagnose(found)
    assert json.dumps([dataclasses.asdict(known) for known in diagnose(found)])


def test_nothing_bad_is_said_of_a_good_machine() -> None:
    assert {finding.level for finding in diagnose(capabilities({"root": ""}))} == {"good"}
