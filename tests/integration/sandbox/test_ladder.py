"""Which rung of the ladder is taken where, and what is said about it.

The places are made with capabilities, filters and masks.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.accounts import SBIN, python_for_everybody, temporary_account
from tests.integration.sandbox.world import extract

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

DOCKER = ("filter", "capabilities")
"""A container as docker makes it by default."""
UNCONFINED = ("mounts", "overlay", "mask", "capabilities")
"""One with --security-opt seccomp=unconfined, and its own root as the store."""
NOBODY_AT_ALL = 4242

Inside = Callable[..., dict[str, Any]]


@contextmanager
def place(base_tar: Path, package: Path) -> Iterator[Inside]:
    """Runs a builder in a place that is made by rules, and says what it found."""
    directory = Path(tempfile.mkdtemp(prefix="pyoci-ladder-"))
    directory.chmod(0o755)
    extract(base_tar, directory / "base")
    python, _ = python_for_everybody()

    def inside(*rules: str, user: str = "", uid: int = 0, mode: str = "") -> dict[str, Any]:
        storage = directory / f"storage{len(list(directory.iterdir()))}"
        storage.mkdir(mode=0o777)
        storage.chmod(0o777)
        rules = tuple(f"overlay={storage}" if rule == "overlay" else rule for rule in rules)
        owner = (f"user={uid}",) if uid else ()
        command = [
            *(python, package / "confine.py", *rules, *owner, "--"),
            *(python, package / "inside.py", storage, directory / "base", user, mode),
        ]
        done = subprocess.run(command, env={"PATH": SBIN}, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    try:
        yield inside
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def inside(busybox_tar: Path, package: Path) -> Iterator[Inside]:
    with place(busybox_tar, package) as made:
        yield made


def worked(result: dict[str, Any], *, processes: bool = True) -> None:
    assert result["step"]["status"] == 0, result
    assert result["step"]["output"].splitlines()[0] == "0"
    assert result["step"]["output"].endswith("done\n")
    if processes:
        assert int(result["step"]["output"].splitlines()[1]) > 10


def test_root(inside: Inside) -> None:
    result = inside()
    assert (result["mode"], result["storage"]) == ("root", "overlay")
    assert result["findings"].keys() == {"mode", "storage"}
    assert result["forced"] == {mode: mode for mode in ("root", "subuid", "single", "chroot", "none")}
    worked(result)


def test_a_user_with_subordinate_ids(inside: Inside) -> None:
    with temporary_account(subordinate_ids=True) as account:
        result = inside(user=account.name, uid=account.uid)
    assert (result["mode"], result["storage"]) == ("subuid", "overlay")
    assert (
        result["forced"]["root"]
        == "isolation root is not possible here: it needs root (subuid is; `pyoci doctor` says what to change)"
    )
    worked(result)


def test_a_user_without_subordinate_ids(inside: Inside) -> None:
    with temporary_account(subordinate_ids=False) as account:
        result = inside(user=account.name, uid=account.uid)
    assert (result["mode"], result["storage"]) == ("single", "overlay")
    assert result["findings"]["subordinate-ids"]["cause"] == f"/etc/subuid gives no range to {account.name}"
    assert "usermod --add-subuids" in result["findings"]["subordinate-ids"]["mend"]
    assert result["findings"]["recorder"]["level"] == "good"
    worked(result)
    assert result["step"]["warnings"] == []


@pytest.mark.parametrize("mode", ["subuid", "single", "chroot"])
def test_root_that_wants_another_mode(inside: Inside, mode: str) -> None:
    result = inside(mode=mode)
    assert result["mode"] == mode
    worked(result, processes=mode != "chroot")
    assert [warning.partition(":")[0] for warning in result["step"]["warnings"]] == (
        ["steps are not isolated here"] if mode == "chroot" else []
    )


@pytest.mark.parametrize("mode", ["root", "subuid", "single"])
def test_an_old_kernel(inside: Inside, mode: str) -> None:
    """mount(2) does what the newer calls do."""
    result = inside("old-kernel", mode=mode)
    assert (result["mode"], result["storage"]) == (mode, "overlay")
    worked(result)
    assert result["step"]["made"] == [".", "made"]


def test_without_new_privileges(inside: Inside) -> None:
    """newuidmap is setuid; without its rights it is of no use."""
    with temporary_account(subordinate_ids=True) as account:
        result = inside("no-new-privileges", user=account.name, uid=account.uid)
    assert result["mode"] == "single"
    assert result["findings"]["subordinate-ids"]["mend"] == "in Kubernetes set allowPrivilegeEscalation: true"
    worked(result)


def test_user_namespaces_used_up(inside: Inside) -> None:
    result = inside("no-user-namespaces")
    assert result["mode"] == "chroot"
    finding = result["findings"]["user-namespaces"]
    assert finding["cause"] == "user.max_user_namespaces is 0 (ENOSPC)"
    assert finding["mend"] == "sudo sysctl -w user.max_user_namespaces=15000"


def test_root_in_a_container(inside: Inside) -> None:
    result = inside(*DOCKER)
    assert (result["mode"], result["storage"]) == ("chroot", "copy")
    assert result["findings"]["mode"]["level"] == "note"
    assert (
        result["findings"]["user-namespaces"]["cause"] == "a container's system call filter refuses unshare(2) (EPERM)"
    )
    worked(result, processes=False)
    assert result["step"]["made"] == ["33"]


def test_a_user_in_a_container(inside: Inside) -> None:
    result = inside(*DOCKER, uid=NOBODY_AT_ALL)
    assert result["mode"] == "none"
    assert result["findings"]["mode"]["level"] == "bad"
    assert result["findings"]["user-namespaces"]["mend"] == "start the container with --security-opt seccomp=unconfined"
    assert result["step"] == ("this machine lets this user run no step (`pyoci doctor` says why and what to change)")


def test_root_in_a_container_without_a_filter(inside: Inside) -> None:
    """Every ID of the container is there, parts of /proc are covered, and the store is on an overlay."""
    result = inside(*UNCONFINED)
    assert (result["mode"], result["storage"]) == ("subuid", "memory")
    assert result["findings"]["storage"]["level"] == "note"
    assert "systempaths=unconfined" in result["findings"]["proc"]["mend"]
    worked(result)
    assert result["step"]["made"] == [".", "made"]


def test_a_user_in_a_container_without_a_filter(inside: Inside) -> None:
    result = inside(*UNCONFINED, uid=NOBODY_AT_ALL)
    assert (result["mode"], result["storage"]) == ("single", "memory")
    worked(result)
    assert result["step"]["made"] == [".", "made"]


def test_a_sandbox_in_a_sandbox(inside: Inside, busybox_tar: Path, package: Path) -> None:
    """The outer one has the listener; the inner one emulates and says so."""
    with temporary_account(subordinate_ids=False) as account:
        result = inside("listener", user=account.name, uid=account.uid)
    assert result["mode"] == "single"
    assert result["findings"]["recorder"]["level"] == "bad"
    worked(result)
    assert result["step"]["warnings"] == ["owners are not recorded here: every new file belongs to 0:0"]
