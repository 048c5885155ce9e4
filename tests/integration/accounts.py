"""Users that exist for one test, and a pyoci that they can run although they may read nothing of root's."""

from __future__ import annotations

import fcntl
import itertools
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Account", "Installation", "installation", "python_for_everybody", "root_account", "temporary_account"]

ROOT = Path(__file__).resolve().parents[2]
SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOBODY = 65534

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Account:
    """A user, and a directory of theirs that is deleted with them."""

    name: str
    uid: int
    gid: int
    home: Path


@contextmanager
def root_account() -> Iterator[Account]:
    """root, with a home that is not root's."""
    with _locked():
        _remove_leftovers()
    with public_directory("home") as home:
        yield Account("root", 0, 0, home)


@contextmanager
def temporary_account(*, subordinate_ids: bool) -> Iterator[Account]:
    """A new unprivileged user, with or without entries in /etc/subuid and /etc/subgid; needs root.

    Everything that is in the home is deleted afterwards, also what belongs to subordinate IDs.
    """
    name = f"pyoci{os.getpid()}n{next(_numbers)}"
    with public_directory("home") as home:
        with _locked():
            _remove_leftovers()
            _run("useradd", "--no-create-home", "--home-dir", str(home), "--shell", "/bin/sh", "--user-group", name)
        try:
            with _locked():
                for file, flag in (("subuid", "subuids"), ("subgid", "subgids")):
                    _set_subordinate_ids(Path("/etc") / file, flag, name, wanted=subordinate_ids)
            entry = pwd.getpwnam(name)
            os.chown(home, entry.pw_uid, entry.pw_gid)
            yield Account(name, entry.pw_uid, entry.pw_gid, home)
        finally:
            with _locked():
                _run("userdel", name)


@contextmanager
def _locked() -> Iterator[None]:
    """Test processes run side by side, and two that look for free subordinate IDs at once find the same."""
    with Path("/run/pyoci-accounts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_leftovers() -> None:
    """Removes users and directories of test runs that were killed before they could."""
    for entry in pwd.getpwall():
        if _of_a_dead_process(r"pyoci(\d+)n\d+", entry.pw_name):
            _run("userdel", entry.pw_name)
    for directory in Path(tempfile.gettempdir()).glob("pyoci-*"):
        if _of_a_dead_process(r"pyoci-(?:home|installed)-(\d+)-\w+", directory.name):
            shutil.rmtree(directory, ignore_errors=True)


def _of_a_dead_process(pattern: str, name: str) -> bool:
    found = re.fullmatch(pattern, name)
    return found is not None and not Path("/proc", found[1]).exists()


def _set_subordinate_ids(file: Path, flag: str, name: str, *, wanted: bool) -> None:
    entries = (
        [line.split(":") for line in file.read_text().splitlines() if line.count(":") == 2] if file.exists() else []
    )
    mine = [(int(start), int(count)) for owner, start, count in entries if owner == name]
    if wanted and not mine:
        start = max([int(start) + int(count) for _, start, count in entries], default=100_000)
        _run("usermod", f"--add-{flag}", f"{start}-{start + 65535}", name)
    for start, count in () if wanted else mine:
        _run("usermod", f"--del-{flag}", f"{start}-{start + count - 1}", name)


@contextmanager
def public_directory(purpose: str) -> Iterator[Path]:
    """A new directory that every user can reach, unlike pytest's own; deleted afterwards."""
    directory = Path(tempfile.mkdtemp(prefix=f"pyoci-{purpose}-{os.getpid()}-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _run(*command: str) -> str:
    result = subprocess.run(command, env={"PATH": SBIN}, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stderr}"
    return result.stdout


@dataclass(frozen=True, slots=True)
class Installation:
    """A copy of pyoci and its dependencies that every user can read, and an interpreter that they can run."""

    python: str
    packages: Path

    def command(self, *arguments: str) -> list[str]:
        return [self.python, "-m", "pyoci", *arguments]

    def environment(self, account: Account, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """That of a login, with a store below the account's home."""
        return {
            "PATH": SBIN,
            "HOME": str(account.home),
            "USER": account.name,
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(self.packages),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYOCI_HOME": str(account.home / "store"),
            **(variables or {}),
        }

    def run(
        self,
        account: Account,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        timeout_seconds: float = 600,
    ) -> subprocess.CompletedProcess[str]:
        """`pyoci ARGUMENTS` as that account, from the checkout, with output captured; the caller judges the status."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(account, variables),
            cwd=account.home,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )


def installation(directory: Path) -> Installation:
    """Installs pyoci of this checkout into `directory`, which everybody must be able to reach."""
    python, version = python_for_everybody()
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--only-binary=:all:", "--python-version", version, "--target", str(directory), *dependencies),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, umask=0o022)
    assert result.returncode == 0, result.stderr
    shutil.copytree(ROOT / "pyoci", directory / "pyoci", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else path.stat().st_mode | 0o444)
    return Installation(python, directory)


def python_for_everybody() -> tuple[str, str]:
    """An interpreter that nobody in particular can run, and its version as pip takes it."""
    script = "import sys; print(sys.executable, '.'.join(map(str, sys.version_info[:2])), sys.version_info >= (3, 11))"
    for name in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            result = subprocess.run(
                [name, "-c", script],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                env={"PATH": SBIN},
                capture_output=True,
                text=True,
                timeout=60,
            )
        except OSError:
            continue
        words = result.stdout.split()
        if result.returncode == 0 and words[2:] == ["True"]:
            return words[0], words[1]
    raise AssertionError("no Python 3.11 that an unprivileged user can run; Debian's python3 would do")
