"""The directories below an overlay's upper one, merged as the kernel merges them, to see what a path was before a step.

Runs in the worker.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from pyoci.layer.directories import open_directory
from pyoci.layer.entry import LayerPath
from pyoci.layer.paths import ROOT, parent_of, parents_of
from pyoci.snapshot.ondisk import FileOnDisk, Owner, read_file
from pyoci.values import dataclass, field

__all__ = ["OPAQUE_XATTRS", "Before", "Lower", "Lowers", "is_opaque", "is_whiteout"]

OPAQUE_XATTRS = ("trusted.overlay.opaque", "user.overlay.opaque")
_CACHED = 256


@dataclass(frozen=True, slots=True)
class Lower:
    """One lower directory of an overlay."""

    files: Path
    owners: Mapping[str, Owner] = field(default_factory=dict)
    """Of what can hold no attribute, by path (`Applied.owners`)."""


@dataclass(frozen=True, slots=True)
class Before:
    """What was at a path."""

    found: FileOnDisk
    lower: int
    """Which lower directory has it."""
    owner: Owner
    """With recorded ownership: what is recorded, else root."""
    stack: tuple[int, ...]
    """For a directory: the lower directories that have something in it, uppermost first."""


class Lowers:
    """Lookups in lower directories, uppermost first. Use as a context manager; keeps a bounded number of
    descriptors.
    """

    def __init__(self, lowers: Sequence[Lower]) -> None:
        self._lowers = tuple(lowers)
        self._open: dict[tuple[int, str], int] = {}

    def __enter__(self) -> Lowers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def root(self) -> tuple[int, ...]:
        """The stack of the root directory."""
        return tuple(range(len(self._lowers)))

    def child(self, stack: tuple[int, ...], path: LayerPath) -> Before | None:
        """What is at a path whose parent has this stack; None if nothing is, or a socket."""
        name = path.rpartition("/")[2]
        contributing: list[int] = []
        described: tuple[int, FileOnDisk] | None = None
        for number in stack:
            parent = self.directory(number, parent_of(path))
            try:
                status = os.lstat(name, dir_fd=parent)
            except FileNotFoundError:
                continue
            if is_whiteout(status):
                break
            if not stat.S_ISDIR(status.st_mode):
                if not contributing:
                    found = read_file(name, parent, status)
                    return Before(found, number, self._owner(number, path, found), ()) if found else None
                break
            contributing.append(number)
            if described is None and (found := read_file(name, parent, status)):
                described = number, found
            if is_opaque(self.directory(number, path)):
                break
        if described is None:
            return None
        number, found = described
        return Before(found, number, self._owner(number, path, found), tuple(contributing))

    def names(self, stack: tuple[int, ...], path: LayerPath) -> set[str]:
        """Everything that the lower directories of a stack have in one of their directories, whiteouts included."""
        names: set[str] = set()
        for number in stack:
            with os.scandir(self.directory(number, path)) as listing:
                names.update(entry.name for entry in listing)
        return names

    def root_directory(self) -> Before | None:
        """What the root directory is."""
        if not self._lowers:
            return None
        descriptor = self.directory(0, ROOT)
        found = read_file("", descriptor, os.fstat(descriptor))
        return Before(found, 0, self._owner(0, ROOT, found), self.root()) if found else None

    def directory(self, number: int, path: LayerPath) -> int:
        """The descriptor of a directory of one lower, valid until the next call."""
        cached = self._open.get((number, path))
        if cached is not None:
            return cached
        steps = [*parents_of(path), path] if path else []
        known = len(steps)
        while known and (number, steps[known - 1]) not in self._open:
            known -= 1
        if known:
            here = self._open[number, steps[known - 1]]
        else:
            cached = self._open.get((number, ROOT))
            here = self._remember(number, ROOT, self._open_root(number)) if cached is None else cached
        for step in steps[known:]:
            here = self._remember(number, step, open_directory(step.rpartition("/")[2], here))
        return here

    def _open_root(self, number: int) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._lowers[number].files, flags)

    def _remember(self, number: int, path: LayerPath, descriptor: int) -> int:
        if len(self._open) >= _CACHED:
            oldest = next(iter(self._open))
            os.close(self._open.pop(oldest))
        self._open[number, path] = descriptor
        return descriptor

    def _owner(self, number: int, path: LayerPath, found: FileOnDisk) -> Owner:
        return found.recorded or self._lowers[number].owners.get(path) or (0, 0)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether overlayfs has noted here that something below is gone: a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(directory: int) -> bool:
    """Whether a directory hides what the lower ones have in it."""
    for key in OPAQUE_XATTRS:
        try:
            if os.getxattr(directory, key) == b"y":
                return True
        except OSError:
            continue  # not there, or of the kind that only root sees
    return False
