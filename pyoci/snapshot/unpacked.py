"""Layers on disk, in the store: each unpacked once for each mode, by the worker, while its blob is still arriving.

A layer that has something in directories which it does not describe is unpacked anew over other layers, since an
overlay shows a directory as its uppermost layer has it.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pyoci.digest import DiffID, chain_ids, digest_hex, sha256_digest
from pyoci.errors import ContentError, DigestMismatch, SandboxError
from pyoci.image.image import Layer
from pyoci.image.media_types import layer_compression
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.sandbox.protocols import Mode
from pyoci.snapshot.protocols import Stacked, StackReader
from pyoci.values import asdict, dataclass

if TYPE_CHECKING:
    from pyoci.content.arrival import Arrival, ArrivingContent
    from pyoci.sandbox.worker import Reply

__all__ = ["Lower", "UnderWay", "UnpackedLayers", "WorkerCalls"]

_JOBS = 2
"""Layers that are unpacked at once."""
_AHEAD = 4
"""Layers that are on their way at once."""

_Directory: TypeAlias = "tuple[str, int, int, int, int]"
"""Path, mode, uid, gid and time."""


@dataclass(frozen=True, slots=True)
class Lower:
    """One directory below an overlay."""

    files: Path
    owners: dict[str, list[int]] | None = None
    """Owners that files cannot carry themselves, by path; None where they are in a record beside the directory."""


@dataclass(frozen=True, slots=True)
class _Staged:
    """A layer on disk that has no name yet."""

    path: Path
    undescribed: frozenset[str]
    """As `Applied.undescribed`."""


class UnderWay(Protocol):
    """A request that the worker is at. One of both is called, once."""

    def reply(self) -> Reply: ...
    def kill(self) -> None: ...


class WorkerCalls(Protocol):
    """What is asked of the worker, by the names of `operations.py`."""

    def begin(self, operation: str, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> UnderWay: ...
    def call(self, operation: str, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Reply: ...


class UnpackedLayers:
    """May be used from several threads; two that need one layer unpack it once."""

    def __init__(
        self,
        root: Path,
        content: ArrivingContent,
        worker: WorkerCalls,
        mode: Callable[[], Mode],
        stacks: Callable[[], StackReader],
        warn: Callable[[str], None],
        limits: Callable[[], Limits] = lambda: DEFAULT_LIMITS,
    ) -> None:
        self._limits = limits
        self._root_directory = root
        self._content = content
        self._worker = worker
        self._mode = mode
        self._stacks = stacks
        self._warn = warn
        self._lock = threading.Lock()
        self._locks: dict[Path, threading.Lock] = {}
        self._found: dict[tuple[Stacked, ...], dict[int, tuple[Path, bool]]] = {}

    def empty(self) -> Path:
        """A directory with nothing in it: what an overlay over no layer stands on."""
        path = self._root_directory / "unpacked" / "empty"
        path.mkdir(exist_ok=True)
        return path

    def unpack(self, stack: Sequence[Stacked]) -> dict[int, tuple[Path, bool]]:
        """The directory of every layer of a stack by its position, and whether it hides all layers below it."""
        with self._lock:
            known = self._found.get(tuple(stack))
        if known is None:
            layers = [element for element in stack if isinstance(element, Layer)]
            directory = self._root_directory / "unpacked" / self._mode()
            with self._locked({directory / digest_hex(layer.diff_id) for layer in layers}), self.coming(layers):
                known = self._placed(stack, directory, self._read_new(layers, directory))
            with self._lock:
                self._found[tuple(stack)] = known
        return known

    @contextmanager
    def coming(self, layers: Iterable[Layer]) -> Iterator[list[Arrival]]:
        """Lets the first blobs that will be read for the first time begin to arrive, before there is who reads them."""
        with ExitStack() as under_way:
            yield [under_way.enter_context(self._content.follow(one.descriptor)) for one in self._new(layers)[:_AHEAD]]

    def _new(self, layers: Iterable[Layer]) -> list[Layer]:
        """Layers that nobody has read yet, each once, the largest first: it is what all wait for in the end."""
        reader = self._stacks()
        found = {layer.diff_id: layer for layer in layers if not reader.has_index(layer)}
        return sorted(found.values(), key=lambda layer: layer.descriptor.size, reverse=True)

    def _read_new(self, layers: Iterable[Layer], directory: Path) -> dict[DiffID, _Staged]:
        """Unpacks layers that have no index yet; what the layers below say of them waits until all have been read."""
        staged: dict[DiffID, _Staged] = {}
        new = self._new(layers)
        later = iter(new[_AHEAD:])

        def read(layer: Layer) -> None:
            for next_one in islice(later, 1):
                following.enter_context(self._content.follow(next_one.descriptor))
            path = directory / f"{digest_hex(layer.diff_id)}.staged-{os.urandom(6).hex()}"
            with self._stacks().indexing(layer) as keep:
                if keep is None:
                    return
                try:
                    reply = self._unpack(path, [layer], self._whiteouts(), (), {layer.diff_id: keep})
                except BaseException:
                    self._discard(path)
                    raise
                staged[layer.diff_id] = _Staged(path, frozenset(reply.values["undescribed"]))

        try:
            with ExitStack() as following:
                _side_by_side([partial(read, layer) for layer in new])
        except BaseException:
            for one in staged.values():
                self._discard(one.path)
            raise
        return staged

    def _placed(
        self, stack: Sequence[Stacked], directory: Path, staged: dict[DiffID, _Staged]
    ) -> dict[int, tuple[Path, bool]]:
        """Gives what was staged its name, and unpacks what was known but not on this disk."""
        targets: dict[int, Path] = {}
        tasks: dict[Path, Callable[[], None]] = {}
        try:
            for number, layer in enumerate(stack):
                if isinstance(layer, Layer):
                    implied = self._implied(stack[: number + 1])
                    target = targets[number] = directory / _name(layer, implied)
                    if target not in tasks:
                        tasks[target] = partial(self._place, target, layer, implied, staged.get(layer.diff_id))
            _side_by_side(list(tasks.values()))
        finally:
            for one in staged.values():
                self._discard(one.path)
        return {number: (path / "files", bool(_record(path)["opaque_root"])) for number, path in targets.items()}

    def _place(self, target: Path, layer: Layer, implied: Sequence[_Directory], staged: _Staged | None) -> None:
        if staged is not None and not target.exists() and staged.path.exists():
            self._settle(staged.path, target, [row for row in implied if row[0] in staged.undescribed])
        else:
            self._ensure(target, [layer], self._whiteouts(), implied)

    def _whiteouts(self) -> str:
        return "overlay-trusted" if self._mode() == "root" else "overlay-user"

    def _implied(self, stack: Sequence[Stacked]) -> tuple[_Directory, ...]:
        return tuple(
            (str(path), entry.mode, entry.uid, entry.gid, entry.mtime)
            for path, entry in sorted(self._stacks().implied(stack).items())
        )

    def directories_of(self, layer: Layer) -> Iterator[Path]:
        """Where a layer's files are on disk, in whatever mode. Costs a look into a few directories."""
        name = digest_hex(layer.diff_id)
        for path in (self._root_directory / "unpacked").glob(f"*/{name}*"):
            if "." not in path.name:  # one that is under way has more behind its name
                yield path / "files"

    def merged(self, layers: Sequence[Layer], target: Path | None = None) -> Path:
        """A directory with all layers in one: shared and only to be read, or a new one at `target`."""
        if target is None:
            chain = chain_ids(layer.diff_id for layer in layers)
            name = digest_hex(chain[-1]) if chain else "empty"
            target = self._root_directory / "unpacked" / self._mode() / f"merged-{name}"
        with self._locked({target}):
            self._ensure(target, layers, "merge", ())
        return target / "files"

    @contextmanager
    def _locked(self, names: set[Path]) -> Iterator[None]:
        """Holds the locks of directories, always in one order, so that nobody waits in a circle."""
        with ExitStack() as held:
            for name in sorted(names):
                with self._lock:
                    lock = self._locks.setdefault(name, threading.Lock())
                held.enter_context(lock)
            yield

    def _ensure(
        self, target: Path, layers: Sequence[Layer], whiteouts: str, implied: Sequence[_Directory]
    ) -> dict[str, Any]:
        """The record of a directory, which is made if it is not there. Indexes that are missing come with it."""
        if not (target / "unpacked.json").exists():
            staged = target.with_name(f"{target.name}.staged-{os.urandom(6).hex()}")
            try:
                with ExitStack() as reading:
                    keep = {}
                    distinct = {layer.diff_id: layer for layer in layers}
                    for diff_id in sorted(distinct):  # so that nobody waits for another who waits for this one
                        wanted = reading.enter_context(self._stacks().indexing(distinct[diff_id]))
                        if wanted is not None:
                            keep[diff_id] = wanted
                    self._unpack(staged, layers, whiteouts, implied, keep)
                self._settle(staged, target, ())
            finally:
                self._discard(staged)
        return _record(target)

    def _unpack(
        self,
        staged: Path,
        layers: Sequence[Layer],
        whiteouts: str,
        implied: Sequence[_Directory],
        keep: Mapping[DiffID, Callable[[bytes], None]],
    ) -> Reply:
        """Unpacks to `staged`, and gives the indexes to `keep` once blobs and diff IDs have been found right."""
        staged.parent.mkdir(mode=0o755, exist_ok=True)
        mode = self._mode()
        request = {
            "layers": [
                {
                    "compression": layer_compression(layer.descriptor.media_type),
                    "diff_id": layer.diff_id,
                    "size": layer.descriptor.size,
                    "indexed": layer.diff_id in keep,
                }
                for layer in layers
            ],
            "target": _text(staged),
            "whiteouts": whiteouts,
            "ownership": self._ownership(),
            "devices": "make" if mode in ("root", "chroot") else "record",
            "implied": list(implied),
            "limits": asdict(self._limits()),
        }
        try:
            reply = self._unpack_arriving(request, layers)
        except DigestMismatch as error:
            if not error.elsewhere:
                raise
            self._discard(staged)
            return self._unpack(staged, layers, whiteouts, implied, keep)
        for text in reply.values["skipped"]:
            self._warn(f"unpacking to {staged.name[:12]}: {text}")
        for diff_id, take in keep.items():
            take(reply.values["indexes"][diff_id])
        return reply

    def _unpack_arriving(self, request: Mapping[str, Any], layers: Sequence[Layer]) -> Reply:
        with ExitStack() as following:
            arrivals: list[Arrival] = []
            for number, layer in enumerate(layers):
                if number >= _JOBS:
                    arrivals[number - _JOBS].wait()
                arrivals.append(following.enter_context(self._content.follow(layer.descriptor)))
            for arrival, told in zip(arrivals, request["layers"], strict=True):
                if not arrival.is_coming():
                    told["size"] = None  # what is there is all there is: a file that was cut off is not waited for
            call = self._worker.begin("unpack", request, [arrival.fileno() for arrival in arrivals])
            try:
                for arrival in arrivals:
                    # Before any answer: if the bytes were wrong, that is what to say, whatever the worker made of them.
                    arrival.wait()
            except BaseException:
                call.kill()
                raise
            return call.reply()

    def _settle(self, staged: Path, target: Path, directories: Sequence[_Directory]) -> None:
        """Gives a staged directory its name; one that has it already stays."""
        if directories:
            request = {
                "target": _text(staged),
                "directories": list(directories),
                "ownership": self._ownership(),
            }
            self._worker.call("describe_directories", request)
        try:
            staged.rename(target)
        except OSError as error:
            if not target.is_dir():
                raise ContentError(f"cannot write {target}: {error.strerror}") from error

    def _discard(self, staged: Path) -> None:
        """Removes what is left of a directory that has not got its name, also by a worker that was killed."""
        left = [_text(path) for path in staged.parent.glob(f"{staged.name}*")] if staged.parent.is_dir() else []
        if left:
            with suppress(SandboxError):  # an end of the worker is told by whoever needed it; `prune` sweeps the rest
                self._worker.call("remove", {"paths": left})

    def _ownership(self) -> str:
        return "record" if self._mode() == "single" else "chown"


def _side_by_side(tasks: Iterable[Callable[[], None]]) -> None:
    """Does all of it, a few at once. After a failure, which is raised, nothing more begins; the rest is waited for."""
    waiting = deque(tasks)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not failures:
                try:
                    task = waiting.popleft()
                except IndexError:
                    return
                task()
        except BaseException as error:  # carried to who waits
            failures.append(error)

    if len(waiting) == 1:
        waiting.popleft()()
        return
    threads = [threading.Thread(target=work, name=f"pyoci-unpack-{number}", daemon=True) for number in range(_JOBS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _name(layer: Layer, implied: Sequence[_Directory]) -> str:
    """Of a layer's directory: the layers below have a say in it where it leaves directories out."""
    name = digest_hex(layer.diff_id)
    if not implied:
        return name
    rows = [(path, values) for path, *values in implied]
    mark = sha256_digest(json.dumps(rows).encode("utf-8", "surrogateescape"))
    return f"{name}-{digest_hex(mark)[:16]}"


def _record(target: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads((target / "unpacked.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ContentError(f"{target} is damaged", hint="remove it with `pyoci prune --all`") from error
    return value


def _text(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "surrogateescape")
