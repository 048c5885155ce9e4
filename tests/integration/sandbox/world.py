"""One user, one mode, one worker, and a root file system unpacked as that mode needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pyoci.sandbox.namespace_sandbox import OPERATION, NamespaceSandbox
from pyoci.sandbox.probe import Host, probe
from pyoci.sandbox.protocols import (
    NO_LIMITS,
    Captured,
    DirectoryRoot,
    Limits,
    Mode,
    Mount,
    Network,
    OverlayRoot,
    Process,
    Root,
)
from pyoci.sandbox.worker import Worker
from tests.integration.accounts import ROOT, SBIN, Account, python_for_everybody, root_account, temporary_account

__all__ = ["PATH", "Changed", "Result", "World", "copy_of", "eventually", "extract", "interpreter", "packages", "world"]

PATH = f"PATH={SBIN}"
OPERATIONS = (
    OPERATION,
    *(f"sandbox_operations:{name}" for name in ("unpack", "listing", "read", "remove", "write")),
)
_REGULAR, _DIRECTORY, _CHARACTER, _SYMLINK = 0o100000, 0o040000, 0o020000, 0o120000


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended."""

    status: int
    output: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A path that a step wrote, as a layer would tell of it."""

    kind: str
    """file, dir, symlink, whiteout, char, block, other"""
    mode: int
    uid: int
    gid: int
    opaque: bool = False
    device: tuple[int, int] = (0, 0)
    links: int = 1
    xattrs: dict[str, bytes] = field(default_factory=dict)

    @property
    def owner(self) -> tuple[int, int]:
        return self.uid, self.gid


@dataclass(slots=True)
class World:
    """Everything a test needs; `fresh` gives it a root of its own."""

    mode: Mode
    account: Account
    worker: Worker
    sandbox: NamespaceSandbox
    base: Path
    package: Path
    warnings: list[str]
    last: Root | None = None

    def directory(self, name: str = "d") -> Path:
        """A new directory that belongs to the user."""
        path = Path(tempfile.mkdtemp(prefix=name, dir=self.account.home))
        path.chmod(0o755)
        os.chown(path, self.account.uid, self.account.gid)
        return path

    def fresh(self, *lowers: Path) -> OverlayRoot | DirectoryRoot:
        """A root over the base (and further lowers above it) that nothing was written to."""
        home = self.directory("root")
        if self.mode == "chroot":
            shutil.copytree(self.base, home / "root", symlinks=True, copy_function=shutil.copy2)
            return DirectoryRoot(home / "root")
        for name in ("upper", "work"):
            path = home / name
            path.mkdir(mode=0o755)
            os.chown(path, self.account.uid, self.account.gid)
        return OverlayRoot((*lowers, self.base), home / "upper", home / "work", owners=home / "owners")

    def run(
        self,
        command: str | Sequence[str],
        mounts: Sequence[Mount] = (),
        *,
        root: Root | None = None,
        network: Network = "none",
        uid: int = 0,
        gid: int = 0,
        groups: Sequence[int] = (),
        cwd: str = "/",
        env: Sequence[str] = (),
        insecure: bool = False,
        timeout_seconds: float | None = 120,
        limits: Limits = NO_LIMITS,
        cancelled: threading.Event | None = None,
        output: Callable[[bytes], None] | None = None,
    ) -> Result:
        """Runs a shell command, or an argument vector, in `root` or a fresh one, which `last` names afterwards."""
        said: list[bytes] = []
        self.last = root or self.fresh()
        if self.mode == "chroot":
            network = "host"
        status = self.sandbox.run(
            Process(
                ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command),
                env=(PATH, *env),
                cwd=cwd,
                uid=uid,
                gid=gid,
                groups=tuple(groups),
                insecure=insecure,
            ),
            self.last,
            mounts,
            network=network,
            stdio=Captured(output or said.append),
            cancelled=cancelled or threading.Event(),
            timeout_seconds=timeout_seconds,
            limits=limits,
        )
        return Result(status, b"".join(said).decode(errors="replace"))

    def ask(self, operation: str, **request: object) -> dict[str, Any]:
        return dict(self.worker.call(f"sandbox_operations:{operation}", request).values)

    def layer(self, files: Mapping[str, bytes | str | bool | None]) -> Path:
        """A lower directory with files (bytes), symlinks (str), whiteouts (False) and directories (None)."""
        top = self.directory("layer")
        for name, content in files.items():
            self.ask("write", path=str(top / name), content=content)
        return top

    def listing(self, path: Path | str) -> dict[str, dict[str, Any]]:
        entries: dict[str, dict[str, Any]] = self.ask("listing", path=str(path))["entries"]
        return entries

    def changes(self, root: Root | None = None, *, lowers: Sequence[Path] = ()) -> dict[str, Changed]:
        """What was written to a root's upper directory, with the owners that were meant."""
        root = root or self.last
        assert isinstance(root, OverlayRoot) and root.upper is not None
        table, default, exact = _table(root.owners)
        below = [self.listing(path) for path in lowers]
        listing = self.listing(root.upper)
        found = {
            path: self._changed(path, entry, table, default, [] if exact else below)
            for path, entry in listing.items()
            if path != "."
        }
        for path, change in found.items():  # parents first
            parent = found.get(path.rpartition("/")[0])
            recorded = "user.rootlesscontainers" in listing[path]["xattrs"] or listing[path]["inode"] in table
            if exact and parent is not None and parent.mode & 0o2000 and not recorded and change.kind != "whiteout":
                found[path] = replace(change, gid=parent.gid)
        return found

    def _changed(
        self,
        path: str,
        entry: dict[str, Any],
        table: dict[int, tuple[int, int]],
        default: tuple[int, int],
        below: list[dict[str, dict[str, Any]]],
    ) -> Changed:
        xattrs = dict(entry["xattrs"])
        mark = "trusted.overlay." if self.mode == "root" else "user.overlay."
        opaque = xattrs.get(f"{mark}opaque") == b"y"
        owner = entry["uid"], entry["gid"]
        recorded = xattrs.pop("user.rootlesscontainers", None)
        if self.mode == "single":
            inherited = [
                _decode(layer[path]["xattrs"]["user.rootlesscontainers"])
                for layer in below
                if "user.rootlesscontainers" in layer.get(path, {"xattrs": {}})["xattrs"]
            ]
            owner = _decode(recorded) if recorded is not None else (inherited or [default])[0]
            owner = table.get(entry["inode"], owner)
        kinds = {_REGULAR: "file", _DIRECTORY: "dir", _SYMLINK: "symlink", _CHARACTER: "char", 0o060000: "block"}
        kind = kinds.get(entry["type"], "other")
        device = tuple(entry["device"])
        if kind == "char" and device == (0, 0):
            kind = "whiteout"
        if emulated := xattrs.pop("user.pyoci.device", b""):
            letter, major, minor = emulated.split()
            kind, device = "char" if letter == b"c" else "block", (int(major), int(minor))
        kept = {name: value for name, value in xattrs.items() if not name.startswith(mark)}
        return Changed(kind, entry["mode"], *owner, opaque, (device[0], device[1]), entry["links"], kept)


def _decode(value: bytes) -> tuple[int, int]:
    """uid and gid of the protobuf message, read by hand: both fields are there and in order."""
    numbers = []
    position = 0
    for tag in (0x08, 0x10):
        assert value[position] == tag
        position += 1
        number = shift = 0
        while True:
            byte = value[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        numbers.append(number)
    assert position == len(value)
    return numbers[0], numbers[1]


def _table(path: Path | None) -> tuple[dict[int, tuple[int, int]], tuple[int, int], bool]:
    """The side table of single mode, the default owner, and whether the step saw owners as they are."""
    owners: dict[int, tuple[int, int]] = {}
    default, exact = (0, 0), False
    for line in path.read_text().splitlines() if path is not None and path.exists() else ():
        first, uid, gid = line.split()
        if first == "default":
            default = int(uid), int(gid)
        elif first == "exact":
            exact = True
        else:
            owners[int(first)] = int(uid), int(gid)
    return owners, default, exact


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def extract(tar: Path, target: Path) -> None:
    """Unpacks a base as it is."""
    target.mkdir()
    subprocess.run(["tar", "--extract", "--file", tar, "--directory", target], check=True, timeout=120)


@contextmanager
def packages() -> Iterator[Path]:
    """A copy of pyoci that every user can read, beside the operations of these tests."""
    directory = Path(tempfile.mkdtemp(prefix="pyoci-worker-"))
    try:
        shutil.copytree(ROOT / "pyoci", directory / "pyoci", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(Path(__file__).with_name("operations.py"), directory / "sandbox_operations.py")
        for name in ("confine.py", "inside.py"):
            shutil.copy(Path(__file__).with_name(name), directory)
        for path in (directory, *directory.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield directory
    finally:
        shutil.rmtree(directory)


def copy_of(original: World) -> World:
    """The same world with a worker of its own, for a process that was forked."""
    account = original.account
    worker = Worker(
        original.worker.privilege, operations=OPERATIONS, interpreter=interpreter(account), packages=original.package
    )
    sandbox = NamespaceSandbox(worker)
    return World(original.mode, account, worker, sandbox, original.base, original.package, [])


def interpreter(account: Account) -> list[str]:
    """Python as that user; as root this very one."""
    if account.uid == 0:
        return [sys.executable, "-I", "-S", "-E", "-X", "utf8"]
    python, _ = python_for_everybody()
    setpriv = shutil.which("setpriv", path=SBIN)
    assert setpriv is not None
    user = [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    return [setpriv, *user, python, "-I", "-S", "-E", "-X", "utf8"]


@contextmanager
def world(mode: Mode, base_tar: Path, package: Path) -> Iterator[World]:
    """A world in which steps run in that mode; the mode is what a probe of that user chose, but for chroot."""
    as_root = mode in ("root", "chroot")
    with root_account() if as_root else temporary_account(subordinate_ids=mode == "subuid") as account:
        start = interpreter(account)
        storage = account.home / "probe"
        storage.mkdir()
        os.chown(storage, account.uid, account.gid)
        found = probe(Host(account.uid, account.gid, account.name, SBIN, storage), interpreter=start)
        assert mode == "chroot" or found.best == mode, found
        warnings: list[str] = []
        worker = Worker(found.privilege(mode), operations=OPERATIONS, interpreter=start, packages=package)
        with worker:
            sandbox = NamespaceSandbox(worker, warn=warnings.append)
            made = World(mode, account, worker, sandbox, account.home / "base", package, warnings)
            made.ask("write", path=str(made.base), content=None)
            with base_tar.open("rb") as stream:
                request = {"target": str(made.base), "record": mode == "single"}
                worker.call("sandbox_operations:unpack", request, [stream.fileno()])
            try:
                yield made
            finally:
                for path in account.home.iterdir():
                    made.ask("remove", path=str(path))
