"""What a vertex gives: a stack of layers and kept changes, or a tree of files that is in no image yet."""

from __future__ import annotations

from typing import TypeAlias

from pyoci.build.cache_key import structural_digest
from pyoci.build.files import FileView
from pyoci.image.image import Layer
from pyoci.sandbox.protocols import BindMount
from pyoci.snapshot.protocols import SnapshotID, Stacked
from pyoci.values import dataclass, replace

__all__ = ["SCRATCH", "Filesystem", "Result", "SourceFiles"]


@dataclass(frozen=True, slots=True)
class Filesystem:
    """Layers and, where a RUN changed something, its kept upper directories; lowest first.

    `result_id` names the result itself, so that an unchanged result upstream stops the rebuild downstream: equal IDs
    mean equal files. A layer's is made from its diff ID; a snapshot's is its own, since its bytes were never hashed.
    """

    stack: tuple[Stacked, ...]
    result_id: str
    mounts: tuple[BindMount, ...] = ()
    """What every RUN over it sees besides, and what is in no layer: the machine's directories below `host:`."""

    def plus(self, own: Layer | SnapshotID) -> Filesystem:
        """The same with one more element on top."""
        mark = own.diff_id if isinstance(own, Layer) else own
        return replace(self, stack=(*self.stack, own), result_id=structural_digest(["result", self.result_id, mark]))


SCRATCH = Filesystem((), structural_digest(["scratch"]))


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """Files of a context, a URL or a repository: read by COPY, ADD and bind mounts, in no image as they are."""

    files: FileView
    result_id: str | None
    """None where only content can tell two states apart."""
    keeps_times: bool = False
    """What is copied keeps the times that the files have, as far as they are not after the step's epoch."""


Result: TypeAlias = Filesystem | SourceFiles
