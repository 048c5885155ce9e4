"""What the build asks of snapshots: a writable root directory over layers, and afterwards what changed in it.

Used by RUN alone; nothing else unpacks (DESIGN 1.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from pyoci.image.image import Layer
from pyoci.layer.entry import Change, Entry, LayerPath
from pyoci.sandbox.protocols import Root

__all__ = ["Rootfs", "SnapshotID", "Snapshotter", "StackReader", "Stacked"]

SnapshotID: TypeAlias = str
"""Names a kept upper directory in the store: 32 hex digits."""

Stacked: TypeAlias = Layer | SnapshotID
"""One element of a stack: a layer by its blob, or the kept changes of an earlier RUN."""


class Rootfs(Protocol):
    """A root directory that a RUN may write to."""

    @property
    def root(self) -> Root:
        """What the sandbox is given."""

    def keep(self) -> Stacked:
        """Keeps what was written, and says by what: a snapshot, or a layer where only a copy could be written to.

        At most once. Everything written by a `checkout` that was left without `keep` is thrown away.
        """


class StackReader(Protocol):
    """What unpacking asks about a stack as a whole: metadata that a single layer does not have. And what it tells of a
    layer, since it reads all of it anyway.
    """

    def has_index(self, layer: Layer) -> bool:
        """Whether the other questions can be answered without reading the layer."""

    def indexing(self, layer: Layer) -> AbstractContextManager[Callable[[bytes], None] | None]:
        """Where nobody has read the layer yet: what takes its index (`dump_index`). Nobody else reads it for that as
        long as the block runs.
        """

    def implied(self, stack: Sequence[Stacked]) -> Mapping[LayerPath, Entry]:
        """What directories are that the uppermost layer has something in but does not describe; from the layers
        below.
        """

    def root(self, stack: Sequence[Stacked]) -> Entry:
        """The root directory of the whole stack."""


class Snapshotter(Protocol):
    """May be used from several threads at once."""

    def unpack(self, stack: Sequence[Stacked]) -> None:
        """Unpacks what `checkout` of the stack will need. Indexes of its layers come with it, where there were none.

        Raises:
            As `checkout`.
        """

    def checkout(self, stack: Sequence[Stacked]) -> AbstractContextManager[Rootfs]:
        """A writable root over the stack (lowest first). Blobs are fetched and unpacked now, each once per store.

        Raises:
            LayerError, ContentError: a layer is unsafe or not what its digests say; nothing half-unpacked is kept.
            SandboxError: the storage cannot be mounted.
        """

    def view(self, stack: Sequence[Stacked]) -> AbstractContextManager[Root]:
        """A root over the stack to be mounted read-only (`RUN --mount=from=`)."""

    def seed(self, stack: Sequence[Stacked], directory: Path) -> Path:
        """A directory that begins with what the stack holds, to be written to: made at the first call and kept."""

    def open(self, snapshot: SnapshotID, entry: Entry) -> BinaryIO | int:
        """The bytes of a file in a kept snapshot: a stream, or a file descriptor that the caller closes."""

    def open_unpacked(self, layer: Layer, entry: Entry) -> int | None:
        """A file of a layer by its descriptor, which the caller closes, where it is unpacked and may be read here."""

    def changes(self, snapshot: SnapshotID) -> Sequence[Change]:
        """What `keep` said of this snapshot.

        Raises:
            ContentNotFound: it is not kept (any more).
        """
