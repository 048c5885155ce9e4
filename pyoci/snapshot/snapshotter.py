"""Root directories over layers, kept in the store: unpacked once each, stacked by overlayfs, changes kept as they are.

The builder's side: knows the store and the worker, and leaves every file with a foreign owner to the worker.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from pyoci.content import ContentSource
from pyoci.digest import digest_hex, sha256_digest
from pyoci.errors import ContentError, ContentNotFound
from pyoci.image.image import Layer
from pyoci.image.media_types import layer_compression
from pyoci.layer.entry import Change, Entry, LayerPath
from pyoci.sandbox.protocols import Mode, OverlayRoot, Root
from pyoci.snapshot.changes import dump_changes, load_changes
from pyoci.snapshot.protocols import SnapshotID, Stacked, StackReader
from pyoci.store import Store

if TYPE_CHECKING:
    from pyoci.sandbox.worker import Reply, Worker

__all__ = ["StoreSnapshotter"]

_UNPACK_JOBS = 2


@dataclass(slots=True)
class _StackedRootfs:
    """A writable root under construction. Implements `Rootfs`."""

    snapshotter: StoreSnapshotter
    root: OverlayRoot
    lowers: list[tuple[Path, dict[str, list[int]] | None]]
    directory: Path
    kept: bool = field(default=False)

    def keep(self) -> tuple[SnapshotID, Sequence[Change]]:
        self.kept = True
        return self.snapshotter.keep(self)


class StoreSnapshotter:
    """Implements `Snapshotter` for one store and one worker."""

    def __init__(
        self,
        store: Store,
        content: ContentSource,
        worker: Callable[[], Worker],
        *,
        stacks: Callable[[], StackReader],
        driver: Callable[[], Literal["kernel", "fuse"]] = lambda: "kernel",
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`worker` and `driver` are asked for when the first root is needed, never by a build that is cached."""
        self._store = store
        self._content = content
        self._worker = worker
        self._stacks = stacks
        self._driver = driver
        self._warn = warn
        self._lock = threading.Lock()
        self._unpacking: dict[str, threading.Lock] = {}
        self._numbers = itertools.count()

    @property
    def _mode(self) -> Mode:
        return self._worker().privilege.mode

    @contextmanager
    def checkout(self, stack: Sequence[Stacked]) -> Iterator[_StackedRootfs]:
        lowers = self._lowers(stack)
        directory = self._store.root / "snapshots" / f"partial-{os.getpid()}-{next(self._numbers)}"
        self._remove([directory])
        for path in (directory, directory / "upper", directory / "work"):
            path.mkdir(mode=0o700)
        (directory / "upper").chmod(self._stacks().root(stack).mode)
        root = OverlayRoot(
            tuple(path for path, _ in lowers) or (self._empty_lower(),),
            directory / "upper",
            directory / "work",
            directory / "owners",
            self._driver(),
        )
        rootfs = _StackedRootfs(self, root, lowers, directory)
        try:
            yield rootfs
        finally:
            if not rootfs.kept or directory.exists():
                self._remove([directory])

    @contextmanager
    def view(self, stack: Sequence[Stacked]) -> Iterator[Root]:
        lowers = self._lowers(stack)
        yield OverlayRoot(tuple(path for path, _ in lowers) or (self._empty_lower(),), driver=self._driver())

    def keep(self, rootfs: _StackedRootfs) -> tuple[SnapshotID, Sequence[Change]]:
        """Reads back what changed and puts the upper directory where later steps find it."""
        directory = rootfs.directory
        reply = self._call(
            "diff",
            {
                "upper": _text(directory / "upper"),
                "work": _text(directory / "work"),
                "owners": _text(directory / "owners"),
                "ownership": self._ownership(),
                "lowers": [(_text(path), recorded) for path, recorded in rootfs.lowers],
            },
        )
        snapshot = f"{self._mode}-{secrets.token_hex(16)}"
        plain = reply.values["changes"]
        (directory / "owners").unlink(missing_ok=True)
        (directory / "owners.json").write_text(json.dumps(reply.values["owners"]))
        (directory / "changes").write_bytes(dump_changes(plain))
        directory.rename(self._path(snapshot))
        return snapshot, self.changes(snapshot)

    def open(self, snapshot: SnapshotID, entry: Entry) -> BinaryIO | int:
        upper = self._path(snapshot) / "upper"
        with suppress(OSError):
            return _open_below(upper, entry.path)
        reply = self._call("open_file", {"directory": _text(upper), "path": entry.path})
        return reply.descriptors[0]

    def changes(self, snapshot: SnapshotID) -> Sequence[Change]:
        try:
            data = (self._path(snapshot) / "changes").read_bytes()
        except FileNotFoundError:
            raise ContentNotFound(f"what step {snapshot} changed is not kept any more") from None
        return load_changes(data, snapshot)

    def remove(self, paths: Sequence[Path]) -> None:
        """Removes directories of the store, whatever owners and modes their files have.

        Raises:
            LayerError, SandboxError: they cannot be removed.
        """
        self._remove(paths)

    # where things are

    def _path(self, snapshot: SnapshotID) -> Path:
        return self._store.root / "snapshots" / snapshot

    def _empty_lower(self) -> Path:
        path = self._store.root / "unpacked" / "empty"
        path.mkdir(exist_ok=True)
        return path

    def _ownership(self) -> Literal["chown", "record"]:
        return "record" if self._mode == "single" else "chown"

    def _call(self, operation: str, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Reply:
        return self._worker().call(f"pyoci.snapshot.operations:{operation}", request, descriptors)

    def _remove(self, paths: Sequence[Path]) -> None:
        there = [_text(path) for path in paths if path.is_dir()]
        if there:
            self._call("remove", {"paths": there})

    # lower directories

    def _lowers(self, stack: Sequence[Stacked]) -> list[tuple[Path, dict[str, list[int]] | None]]:
        """Directories for a stack, uppermost first, each with the owners to know of it (None: they are beside it)."""
        layers = [number for number, element in enumerate(stack) if isinstance(element, Layer)]
        opaque: dict[int, bool] = {}
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_UNPACK_JOBS) as pool:
            found = list(pool.map(lambda number: self._unpacked(stack[: number + 1]), layers))
        paths: dict[int, tuple[Path, dict[str, list[int]] | None]] = {}
        for number, (path, is_opaque) in zip(layers, found, strict=True):
            paths[number] = (path, None)
            opaque[number] = is_opaque
        for number, element in enumerate(stack):
            if not isinstance(element, Layer):
                paths[number] = (self._kept_upper(element), self._kept_owners(element))
        lowers = []
        for number in range(len(stack) - 1, -1, -1):
            lowers.append(paths[number])
            if opaque.get(number):
                break
        return lowers

    def _kept_upper(self, snapshot: SnapshotID) -> Path:
        mode = snapshot.partition("-")[0]
        path = self._path(snapshot) / "upper"
        if not path.is_dir():
            raise ContentNotFound(f"what step {snapshot} changed is not kept any more")
        if mode != self._mode:
            raise ContentError(
                f"a step of this build was run with isolation {mode}, which {self._mode} cannot build on",
                hint=f"build with --isolation={mode}, or with --no-cache",
            )
        return path

    def _kept_owners(self, snapshot: SnapshotID) -> dict[str, list[int]]:
        try:
            owners: dict[str, list[int]] = json.loads((self._path(snapshot) / "owners.json").read_text())
        except (OSError, ValueError):
            return {}
        return owners

    def _unpacked(self, stack: Sequence[Stacked]) -> tuple[Path, bool]:
        """The directory of the uppermost layer of a stack, and whether it hides all that is below."""
        layer = stack[-1]
        assert isinstance(layer, Layer)
        implied = {
            path: (entry.mode, entry.uid, entry.gid, entry.mtime)
            for path, entry in sorted(self._stacks().implied(stack).items())
        }
        name = digest_hex(layer.diff_id)
        if implied:
            mark = sha256_digest(json.dumps(list(implied.items())).encode("utf-8", "surrogateescape"))
            name = f"{name}-{digest_hex(mark)[:16]}"
        target = self._store.root / "unpacked" / self._mode / name
        record = target / "unpacked.json"
        with self._lock:
            lock = self._unpacking.setdefault(str(target), threading.Lock())
        with lock:
            if not record.exists():
                target.parent.mkdir(mode=0o755, exist_ok=True)
                self._unpack(layer, target, implied)
        try:
            return target / "files", bool(json.loads(record.read_bytes())["opaque_root"])
        except (OSError, ValueError, KeyError) as error:
            raise ContentError(f"{target} is damaged", hint="remove it with `pyoci prune`") from error

    def _unpack(self, layer: Layer, target: Path, implied: Mapping[LayerPath, tuple[int, int, int, int]]) -> None:
        mode = self._mode
        with self._content.open(layer.descriptor) as blob:
            reply = self._call(
                "unpack",
                {
                    "layers": [
                        {"compression": layer_compression(layer.descriptor.media_type), "diff_id": layer.diff_id}
                    ],
                    "target": _text(target),
                    "whiteouts": "overlay-trusted" if mode == "root" else "overlay-user",
                    "ownership": self._ownership(),
                    "devices": "make" if mode == "root" else "record",
                    "implied": [(path, *values) for path, values in implied.items()],
                },
                [blob.fileno()],
            )
        for text in reply.values["skipped"]:
            self._warn(f"layer {layer.diff_id[:19]}: {text}")


def _text(path: Path) -> str:
    """A path as text that the worker, which always counts file names as UTF-8, takes for the same bytes."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def _open_below(directory: Path, path: str) -> int:
    """A descriptor of a file, reached without following a link."""
    current = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *parents, name = path.split("/")
    try:
        for part in parents:
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = below
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=current)
    finally:
        os.close(current)
