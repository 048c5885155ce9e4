"""Root directories over layers, kept in the store: unpacked once each, stacked by overlayfs, changes kept as they are.

The builder's side: knows the store and the worker, and leaves every file with a foreign owner to the worker. Where
layers cannot be stacked on the store's file system, a root is a copy that is compared afterwards, or the writes go to
memory; what a step changed is then a layer at once.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

from pyoci.errors import ContentNotFound
from pyoci.image.image import Layer
from pyoci.layer.entry import Change, Entry
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.layer.protocols import OpenContent
from pyoci.sandbox.protocols import DirectoryRoot, Mode, OverlayRoot, Root
from pyoci.snapshot.changes import changes_of, dump_changes, load_changes
from pyoci.snapshot.protocols import SnapshotID, Stacked, StackReader
from pyoci.snapshot.unpacked import Lower, UnpackedLayers
from pyoci.values import dataclass

if TYPE_CHECKING:
    from pyoci.content.arrival import ArrivingContent
    from pyoci.sandbox.worker import Call, Reply, Worker

__all__ = ["READ_BACK", "Machine", "StoreSnapshotter", "WriteLayer"]

READ_BACK = "pyoci.snapshot.operations:diff"
"""What the worker is asked for when a step is done; for `Worker.prepare`."""


class Machine(Protocol):
    """What a snapshotter must know of where it runs. Asked when the first root is needed, never by a cached build."""

    @property
    def mode(self) -> Mode:
        """Who the worker is."""

    @property
    def storage(self) -> Literal["overlay", "memory", "fuse", "copy"]:
        """How a root with layers below it is made."""

    @property
    def scratch(self) -> Path:
        """With `memory`: the directory that the worker covers by memory."""


@dataclass(slots=True)
class _Calls:
    """The worker's operations by their short names."""

    worker: Callable[[], Worker]

    def begin(self, operation: str, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Call:
        return self.worker().begin(f"pyoci.snapshot.operations:{operation}", request, descriptors)

    def call(self, operation: str, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Reply:
        return self.worker().call(f"pyoci.snapshot.operations:{operation}", request, descriptors)


WriteLayer = Callable[[Sequence[Change], OpenContent], Layer]


@dataclass(slots=True)
class _OverlayRootfs:
    """Implements `Rootfs` where the kernel, or fuse-overlayfs, stacks directories."""

    snapshotter: StoreSnapshotter
    root: OverlayRoot
    lowers: Sequence[Lower]
    directory: Path

    def keep(self) -> Stacked:
        return self.snapshotter.keep_upper(self.directory, self.lowers)


@dataclass(slots=True)
class _MemoryRootfs:
    """Implements `Rootfs` where the store's file system cannot take the writes of an overlay."""

    snapshotter: StoreSnapshotter
    root: OverlayRoot
    lowers: Sequence[Lower]
    directory: Path

    def keep(self) -> Stacked:
        return self.snapshotter.layer_of_upper(self.directory, self.lowers)


@dataclass(slots=True)
class _CopiedRootfs:
    """Implements `Rootfs` where nothing can be mounted."""

    snapshotter: StoreSnapshotter
    root: DirectoryRoot
    listing: object

    def keep(self) -> Stacked:
        return self.snapshotter.layer_of_copy(self.root, self.listing)


class StoreSnapshotter:
    """Implements `Snapshotter` in the directory of one store, with one worker."""

    def __init__(
        self,
        root: Path,
        content: ArrivingContent,
        worker: Callable[[], Worker],
        machine: Callable[[], Machine],
        *,
        stacks: Callable[[], StackReader],
        write_layer: WriteLayer,
        as_layer: Callable[[SnapshotID], Layer],
        warn: Callable[[str], None] = lambda text: None,
        limits: Callable[[], Limits] = lambda: DEFAULT_LIMITS,
    ) -> None:
        """Works below `root`, in `snapshots` and `unpacked`.

        `write_layer` puts changes into the store; `as_layer` is what it makes of a kept snapshot. `limits` is asked
        when a layer is unpacked.
        """
        self._root_directory = root
        calls = _Calls(worker)
        self._call = calls.call
        self._machine = machine
        self._stacks = stacks
        self._write_layer = write_layer
        self._as_layer = as_layer
        self._numbers = itertools.count()
        self._layers = UnpackedLayers(root, content, calls, lambda: machine().mode, stacks, warn, limits)

    def unpack(self, stack: Sequence[Stacked]) -> None:
        with self._layers.coming(element for element in stack if isinstance(element, Layer)) as arrivals:
            # The machine is looked at only now: where it never was, that takes as long as many a layer does to come.
            storage = self._machine().storage
            if storage == "memory":
                self._layers.merged(self._only_layers(stack))
            elif storage != "copy":
                self._layers.unpack([self._usable(element) for element in stack])
            else:  # made anew for each step
                for arrival in arrivals:
                    arrival.wait()

    @contextmanager
    def checkout(self, stack: Sequence[Stacked]) -> Iterator[_OverlayRootfs | _MemoryRootfs | _CopiedRootfs]:
        storage = self._machine().storage
        if storage == "copy":
            with self._copy(self._only_layers(stack)) as copied:
                yield copied
        elif storage == "memory":
            with self._in_memory(self._only_layers(stack)) as written:
                yield written
        else:
            with self._overlay(stack) as stacked:
                yield stacked

    @contextmanager
    def _overlay(self, stack: Sequence[Stacked]) -> Iterator[_OverlayRootfs]:
        lowers = self._lowers(stack)
        directory = self._fresh(self._root_directory / "snapshots")
        self.remove([directory])
        for path in (directory, directory / "upper", directory / "work"):
            path.mkdir(mode=0o700)
        (directory / "upper").chmod(self._stacks().root(stack).mode)
        try:
            yield _OverlayRootfs(self, self._root(lowers, directory), lowers, directory)
        finally:
            self.remove([directory])

    @contextmanager
    def _in_memory(self, layers: Sequence[Layer]) -> Iterator[_MemoryRootfs]:
        lowers = [Lower(self._layers.merged(layers))]
        directory = self._fresh(self._machine().scratch)
        mode = self._stacks().root(layers).mode
        made = [(directory, 0o700), (directory / "upper", mode), (directory / "work", 0o700)]
        self._call("make_directories", {"directories": [(_text(path), bits) for path, bits in made]})
        try:
            yield _MemoryRootfs(self, self._root(lowers, directory), lowers, directory)
        finally:
            self._call("remove", {"paths": [_text(directory)]})

    @contextmanager
    def _copy(self, layers: Sequence[Layer]) -> Iterator[_CopiedRootfs]:
        directory = self._fresh(self._root_directory / "snapshots")
        self.remove([directory])
        try:
            files = self._layers.merged(layers, directory)
            listing = self._call("list_files", {"directory": _text(files)}).values["listing"]
            yield _CopiedRootfs(self, DirectoryRoot(files, directory / "owners"), listing)
        finally:
            self.remove([directory])

    @contextmanager
    def view(self, stack: Sequence[Stacked]) -> Iterator[Root]:
        storage = self._machine().storage
        if storage in ("copy", "memory"):
            yield DirectoryRoot(self._layers.merged(self._only_layers(stack)))
        else:
            lowers = self._lowers(stack)
            yield OverlayRoot(self._paths(lowers), driver="fuse" if storage == "fuse" else "kernel")

    def seed(self, stack: Sequence[Stacked], directory: Path) -> Path:
        return self._layers.merged(self._only_layers(stack), directory)

    def _root(self, lowers: Sequence[Lower], directory: Path) -> OverlayRoot:
        driver: Literal["kernel", "fuse"] = "fuse" if self._machine().storage == "fuse" else "kernel"
        return OverlayRoot(self._paths(lowers), directory / "upper", directory / "work", directory / "owners", driver)

    def _paths(self, lowers: Sequence[Lower]) -> tuple[Path, ...]:
        return tuple(lower.files for lower in lowers) or (self._layers.empty(),)

    # what a step changed

    def keep_upper(self, directory: Path, lowers: Sequence[Lower]) -> SnapshotID:
        """Reads back what changed and puts the upper directory where later steps find it."""
        reply = self._diff(directory, lowers)
        snapshot = f"{self._machine().mode}-{os.urandom(16).hex()}"
        (directory / "owners").unlink(missing_ok=True)
        (directory / "owners.json").write_text(json.dumps(reply.values["owners"]))
        (directory / "changes").write_bytes(dump_changes(reply.values["changes"]))
        directory.rename(self._path(snapshot))
        return snapshot

    def layer_of_upper(self, directory: Path, lowers: Sequence[Lower]) -> Layer:
        """A layer of what was written to memory."""
        changes = changes_of(self._diff(directory, lowers).values["changes"])
        return self._write_layer(changes, lambda entry: self._opened(directory / "upper", entry))

    def layer_of_copy(self, root: DirectoryRoot, listing: object) -> Layer:
        """A layer of what is other in a copy than when it was listed."""
        request = {
            "directory": _text(root.path),
            "listing": listing,
            "owners": _text(root.owners or root.path.with_name("owners")),
            "ownership": self._ownership(),
        }
        changes = changes_of(self._call("compare", request).values["changes"])
        return self._write_layer(changes, lambda entry: self._opened(root.path, entry))

    def _diff(self, directory: Path, lowers: Sequence[Lower]) -> Reply:
        request = {
            "upper": _text(directory / "upper"),
            "work": _text(directory / "work"),
            "owners": _text(directory / "owners"),
            "ownership": self._ownership(),
            "lowers": [(_text(lower.files), lower.owners) for lower in lowers],
        }
        return self._call("diff", request)

    def open(self, snapshot: SnapshotID, entry: Entry) -> BinaryIO | int:
        return self._opened(self._path(snapshot) / "upper", entry)

    def open_unpacked(self, layer: Layer, entry: Entry) -> int | None:
        for files in self._layers.directories_of(layer):
            with suppress(OSError):  # who may read it is for the file to say; the blob can be read by all
                return _open_below(files, entry.path)
        return None

    def _opened(self, directory: Path, entry: Entry) -> int:
        with suppress(OSError):
            return _open_below(directory, entry.path)
        reply = self._call("open_file", {"directory": _text(directory), "path": entry.path})
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
        there = [_text(path) for path in paths if path.is_dir()]
        if there:
            self._call("remove", {"paths": there})

    # where things are

    def _path(self, snapshot: SnapshotID) -> Path:
        return self._root_directory / "snapshots" / snapshot

    def _fresh(self, parent: Path) -> Path:
        return parent / f"partial-{os.getpid()}-{next(self._numbers)}"

    def _ownership(self) -> Literal["chown", "record"]:
        return "record" if self._machine().mode == "single" else "chown"

    def _only_layers(self, stack: Sequence[Stacked]) -> list[Layer]:
        return [element if isinstance(element, Layer) else self._as_layer(element) for element in stack]

    def _usable(self, element: Stacked) -> Stacked:
        """A kept upper directory is good for the mode that wrote it; for others it has to be a layer."""
        if isinstance(element, Layer) or element.partition("-")[0] == self._machine().mode:
            return element
        return self._as_layer(element)

    def _lowers(self, stack: Sequence[Stacked]) -> list[Lower]:
        """Directories for a stack, uppermost first."""
        usable = [self._usable(element) for element in stack]
        unpacked = self._layers.unpack(usable)
        lowers: list[Lower] = []
        for number in range(len(usable) - 1, -1, -1):
            element = usable[number]
            if isinstance(element, Layer):
                path, hides_all = unpacked[number]
                if all(lower.files != path for lower in lowers):
                    # Of a layer that is there twice the upper one decides everything; the kernel takes none twice.
                    lowers.append(Lower(path))
                if hides_all:
                    break
            else:
                lowers.append(self._kept(element))
        return lowers

    def _kept(self, snapshot: SnapshotID) -> Lower:
        path = self._path(snapshot) / "upper"
        if not path.is_dir():
            raise ContentNotFound(f"what step {snapshot} changed is not kept any more", hint="build with --no-cache")
        try:
            owners: dict[str, list[int]] = json.loads((self._path(snapshot) / "owners.json").read_text())
        except (OSError, ValueError):
            owners = {}
        return Lower(path, owners)


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
