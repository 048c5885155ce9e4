"""Layers on disk, in the store: each unpacked once for each mode, by the worker.

A layer that has something in directories which it does not describe is unpacked anew over other layers, since an
overlay shows a directory as its uppermost layer has it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pyoci.content import ContentSource
from pyoci.digest import chain_ids, digest_hex, sha256_digest
from pyoci.errors import ContentError
from pyoci.image.image import Layer
from pyoci.image.media_types import layer_compression
from pyoci.layer.entry import LayerPath
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.sandbox.protocols import Mode
from pyoci.snapshot.protocols import Stacked, StackReader
from pyoci.values import asdict, dataclass

if TYPE_CHECKING:
    from pyoci.sandbox.worker import Reply

__all__ = ["Lower", "UnpackedLayers"]

_JOBS = 2


@dataclass(frozen=True, slots=True)
class Lower:
    """One directory below an overlay."""

    files: Path
    owners: dict[str, list[int]] | None = None
    """Owners that files cannot carry themselves, by path; None where they are in a record beside the directory."""


class _Call(Protocol):
    def __call__(self, operation: str, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Reply: ...


class UnpackedLayers:
    """May be used from several threads; two that need one layer unpack it once."""

    def __init__(
        self,
        root: Path,
        content: ContentSource,
        call: _Call,
        mode: Callable[[], Mode],
        stacks: Callable[[], StackReader],
        warn: Callable[[str], None],
        limits: Callable[[], Limits] = lambda: DEFAULT_LIMITS,
    ) -> None:
        self._limits = limits
        self._root_directory = root
        self._content = content
        self._call = call
        self._mode = mode
        self._stacks = stacks
        self._warn = warn
        self._lock = threading.Lock()
        self._locks: dict[Path, threading.Lock] = {}

    def empty(self) -> Path:
        """A directory with nothing in it: what an overlay over no layer stands on."""
        path = self._root_directory / "unpacked" / "empty"
        path.mkdir(exist_ok=True)
        return path

    def unpack(self, stack: Sequence[Stacked]) -> dict[int, tuple[Path, bool]]:
        """The directory of every layer of a stack by its position, and whether it hides all layers below it."""
        from concurrent.futures import ThreadPoolExecutor

        numbers = [number for number, element in enumerate(stack) if isinstance(element, Layer)]
        with ThreadPoolExecutor(_JOBS) as pool:
            return dict(zip(numbers, pool.map(lambda number: self._one(stack[: number + 1]), numbers), strict=True))

    def _one(self, stack: Sequence[Stacked]) -> tuple[Path, bool]:
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
        whiteouts = "overlay-trusted" if self._mode() == "root" else "overlay-user"
        target = self._root_directory / "unpacked" / self._mode() / name
        record = self._ensure(target, [layer], whiteouts, implied)
        return target / "files", bool(record["opaque_root"])

    def merged(self, layers: Sequence[Layer], target: Path | None = None) -> Path:
        """A directory with all layers in one: shared and only to be read, or a new one at `target`."""
        if target is None:
            chain = chain_ids(layer.diff_id for layer in layers)
            name = digest_hex(chain[-1]) if chain else "empty"
            target = self._root_directory / "unpacked" / self._mode() / f"merged-{name}"
        self._ensure(target, layers, "merge", {})
        return target / "files"

    def _ensure(
        self,
        target: Path,
        layers: Sequence[Layer],
        whiteouts: str,
        implied: Mapping[LayerPath, tuple[int, int, int, int]],
    ) -> dict[str, Any]:
        record = target / "unpacked.json"
        with self._lock:
            lock = self._locks.setdefault(target, threading.Lock())
        with lock:
            if not record.exists():
                target.parent.mkdir(mode=0o755, exist_ok=True)
                self._unpack(target, layers, whiteouts, implied)
        try:
            value: dict[str, Any] = json.loads(record.read_bytes())
        except (OSError, ValueError) as error:
            raise ContentError(f"{target} is damaged", hint="remove it with `pyoci prune --all`") from error
        return value

    def _unpack(
        self,
        target: Path,
        layers: Sequence[Layer],
        whiteouts: str,
        implied: Mapping[LayerPath, tuple[int, int, int, int]],
    ) -> None:
        mode = self._mode()
        with ExitStack() as stack:
            blobs = [stack.enter_context(self._content.open(layer.descriptor)) for layer in layers]
            request = {
                "layers": [
                    {"compression": layer_compression(layer.descriptor.media_type), "diff_id": layer.diff_id}
                    for layer in layers
                ],
                "target": os.fsencode(target).decode("utf-8", "surrogateescape"),
                "whiteouts": whiteouts,
                "ownership": "record" if mode == "single" else "chown",
                "devices": "make" if mode in ("root", "chroot") else "record",
                "implied": [(path, *values) for path, values in implied.items()],
                "limits": asdict(self._limits()),
            }
            reply = self._call("unpack", request, [blob.fileno() for blob in blobs])
        for text in reply.values["skipped"]:
            self._warn(f"unpacking to {target.name[:12]}: {text}")
