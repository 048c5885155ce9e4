"""Where the images are that are served: the seam, the store behind it, and an OCI layout behind it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from pyoci.content.layout import DirectoryLayout
from pyoci.content.names import REF_NAME, names_of
from pyoci.content.protocols import ContentSource
from pyoci.digest import Digest
from pyoci.errors import Cancelled, UsageError
from pyoci.image.descriptor import Descriptor
from pyoci.reference import Reference, parse_reference
from pyoci.store import Store
from pyoci.store.files import storage_errors
from pyoci.store.kept import KeptManifests

__all__ = ["Inventory", "LayoutInventory", "StoreInventory", "WritableInventory"]

_POLL_SECONDS = 0.1


class Inventory(Protocol):
    """Images by name and the bytes behind them. May be used from several threads at once."""

    def roots(self) -> Sequence[tuple[Reference, Descriptor]]:
        """Every name (with a tag) and the manifest or index that it stands for."""

    def kept(self, name: str) -> Sequence[Descriptor]:
        """Manifests that clients put into a repository (`docker.io/library/app`) by digest."""

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the bytes are here."""

    def available(self, descriptor: Descriptor) -> bool:
        """Whether `open` has a chance: the bytes are here, or it is known where they can be fetched."""

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The bytes, not verified, in a stream that can be positioned.

        Raises:
            ContentError, RegistryError: they cannot be had.
        """


class WritableInventory(Inventory, Protocol):
    """One that takes what clients push."""

    def scratch(self) -> Path:
        """A path for a new file, where `adopt` can take it from without copying."""

    def adopt(self, path: Path, descriptor: Descriptor) -> None:
        """Makes a file, which has the content that the descriptor says, that content."""

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        """Stores the stream, verified."""

    def tag(self, reference: Reference, descriptor: Descriptor) -> None:
        """Makes a name stand for a document."""

    def untag(self, reference: Reference) -> bool:
        """Takes a name away; False if there was none."""

    def keep(self, name: str, descriptor: Descriptor) -> None:
        """Remembers a manifest of a repository that has no tag."""

    def forget(self, name: str, digests: Sequence[Digest]) -> None:
        """Takes back what `keep` did, where it did."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keeps others from removing content while the block runs."""


class StoreInventory:
    """The images of the store. `content` is asked for what the store has not got: base layers that no step needed."""

    def __init__(self, store: Store, content: ContentSource, ending: threading.Event) -> None:
        """When `ending` is set, nobody waits any more for what `content` has not given yet."""
        self._store = store
        self._content = content
        self._ending = ending
        self._kept = KeptManifests(store)
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._roots: list[tuple[Reference, Descriptor]] = []

    def roots(self) -> Sequence[tuple[Reference, Descriptor]]:
        with self._lock:
            state = self._state()
            if state is None or state != self._seen:
                self._roots = self._store.tags.all()
                self._seen = state
            return self._roots

    def _state(self) -> tuple[int, int, int] | None:
        """What changes when names do: index.json is never written in place."""
        try:
            found = (self._store.root / "index.json").stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def kept(self, name: str) -> Sequence[Descriptor]:
        return self._kept.of(name)

    def has(self, descriptor: Descriptor) -> bool:
        return self._store.has(descriptor)

    def available(self, descriptor: Descriptor) -> bool:
        return self._content.has(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        if not self._store.has(descriptor):
            self._fetch(descriptor)
        return self._store.open(descriptor)

    def _fetch(self, descriptor: Descriptor) -> None:
        """Has the content put into the store, in a thread that ends with the process: a registry may never answer."""
        outcome: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def fetch() -> None:
            try:
                self._content.open(descriptor).close()
            except BaseException as error:  # carried to the thread that waits
                outcome.put(error)
            else:
                outcome.put(None)

        threading.Thread(target=fetch, name="pyoci-serve-fetch", daemon=True).start()
        while True:
            try:
                error = outcome.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if self._ending.is_set():
                    raise Cancelled from None
            else:
                if error is not None:
                    raise error
                return

    def scratch(self) -> Path:
        return self._store.temporary_path("upload")

    def adopt(self, path: Path, descriptor: Descriptor) -> None:
        with storage_errors(path):
            path.replace(self._store.blob_path(descriptor.digest))

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        self._store.put(descriptor, stream)

    def tag(self, reference: Reference, descriptor: Descriptor) -> None:
        self._store.tags.set(reference, descriptor)

    def untag(self, reference: Reference) -> bool:
        return self._store.tags.remove(reference) is not None

    def keep(self, name: str, descriptor: Descriptor) -> None:
        self._kept.add(name, descriptor)

    def forget(self, name: str, digests: Sequence[Digest]) -> None:
        self._kept.remove(name, digests)

    def exclusive(self) -> AbstractContextManager[None]:
        return self._store.removal_lock()


class LayoutInventory:
    """The images of an OCI layout, for reading. One that has a tag and no name is called as the directory is."""

    def __init__(self, layout: DirectoryLayout) -> None:
        self._layout = layout
        self._nameless = _name_of(layout.path)

    def roots(self) -> Sequence[tuple[Reference, Descriptor]]:
        found: list[tuple[Reference, Descriptor]] = []
        for names, root in self._layout.images():
            found += [(reference, root) for reference in map(parse_reference, names) if reference.tag]
        for entry in self._layout.index().manifests:
            named = [parse_reference(name) for name in names_of(entry)]
            reference = named[0] if named else self._tagged(entry.annotations.get(REF_NAME, ""))
            if reference is not None and all(root.digest != entry.digest for _, root in found):
                found.append((reference, entry))
        return found

    def _tagged(self, tag: str) -> Reference | None:
        try:
            return parse_reference(f"{self._nameless}:{tag}")
        except UsageError:
            return None

    def kept(self, name: str) -> Sequence[Descriptor]:
        return ()

    def has(self, descriptor: Descriptor) -> bool:
        return self._layout.has(descriptor)

    def available(self, descriptor: Descriptor) -> bool:
        return self._layout.has(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        return self._layout.open_raw(descriptor)


def _name_of(path: Path) -> str:
    name = path.name.lower()
    try:
        parse_reference(name)
    except UsageError:
        return "image"
    return name
