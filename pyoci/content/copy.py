"""Copying a graph of content from a source to a sink: pull, push, load and OCI export are this function."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Container
from functools import partial
from typing import BinaryIO, cast

from pyoci.content.graph import read_graph
from pyoci.content.limits import ContentLimitsOf, default_limits
from pyoci.content.observed import ObservedReader
from pyoci.content.protocols import ContentSink, ContentSource
from pyoci.content.workers import Stop, run_all
from pyoci.digest import Digest
from pyoci.errors import DigestMismatch
from pyoci.image.descriptor import Descriptor
from pyoci.progress import Reporter, TransferKind, TransferOutcome

__all__ = ["copy_blob", "copy_graph"]


def copy_graph(
    root: Descriptor,
    source: ContentSource,
    sink: ContentSink,
    *,
    kind: TransferKind = "copy",
    jobs: int = 4,
    reporter: Reporter | None = None,
    mount: Callable[[Descriptor], bool] | None = None,
    assume_complete: bool = False,
    sparse: bool = False,
    there: Container[Digest] = frozenset(),
    limits: ContentLimitsOf = default_limits,
    cancelled: threading.Event | None = None,
) -> None:
    """Puts `root` and everything that it points at into the sink; what is pointed at comes before what points.

    The largest blobs are begun first, so that none of them is left alone at the end. Equal content moves once, and
    blobs that the sink has are not opened at the source. When one piece fails or `cancelled` is set, no further one
    starts, those under way end at their next read, and no document that points at them is written.

    `mount` is asked for a blob that the sink lacks, before the source is opened: True when the sink has it now after
    all. `assume_complete` says that a document in the sink proves that all below it is there too; registries see to
    that, a store that was filled lazily does not.

    `sparse` and `limits` are those of `read_graph`: of an index, the images that the source holds whole are enough.
    Blobs that are `there` are known to be in the sink, and were told of before.

    Raises:
        ContentNotFound, DigestMismatch, InvalidDocument, RegistryError: from either side.
        Cancelled: `cancelled` was set.
    """
    move = _Move(source, sink, kind, reporter or Reporter(), mount, Stop(cancelled))
    graph = read_graph(root, source, known=move.known if assume_complete else None, sparse=sparse, limits=limits)
    missing = sorted((blob for blob in graph.blobs if blob.digest not in there), key=lambda blob: -blob.size)
    run_all([partial(move.blob, blob) for blob in missing], jobs=jobs, name=kind, stop=move.stop)
    for descriptor, raw in graph.documents:
        move.stop.check()
        if assume_complete or not move.known(descriptor):
            move.put(descriptor, partial(io.BytesIO, raw))


def copy_blob(
    blob: Descriptor,
    source: ContentSource,
    sink: ContentSink,
    *,
    kind: TransferKind = "copy",
    reporter: Reporter | None = None,
    mount: Callable[[Descriptor], bool] | None = None,
    stop: Stop | None = None,
) -> TransferOutcome:
    """Puts one blob into the sink, as `copy_graph` does with each, and says what was needed for that: in the caller's
    thread, until `stop` is set.

    Raises:
        ContentNotFound, DigestMismatch, RegistryError: from either side.
        Cancelled: `stop` was set.
    """
    return _Move(source, sink, kind, reporter or Reporter(), mount, stop or Stop()).blob(blob)


class _Move:
    """What one call does with each piece of content."""

    def __init__(
        self,
        source: ContentSource,
        sink: ContentSink,
        kind: TransferKind,
        reporter: Reporter,
        mount: Callable[[Descriptor], bool] | None,
        stop: Stop,
    ) -> None:
        self._source = source
        self._sink = sink
        self._kind = kind
        self._reporter = reporter
        self._mount = mount
        self.stop = stop

    def known(self, descriptor: Descriptor) -> bool:
        """Whether the sink has it; says so."""
        self.stop.check()
        if not self._sink.has(descriptor):
            return False
        self._without_bytes(descriptor, "exists")
        return True

    def blob(self, blob: Descriptor) -> TransferOutcome:
        if self.known(blob):
            return "exists"
        if self._mount is not None and self._mount(blob):
            self._without_bytes(blob, "mounted")
            return "mounted"
        self.put(blob, partial(self._source.open, blob))
        return "done"

    def put(self, descriptor: Descriptor, reopen: Callable[[], BinaryIO]) -> None:
        """Puts the stream; the sink can rewind it to send it again, which opens the source again."""

        def advanced(done_bytes: int) -> None:
            self.stop.check()
            self._reporter.transfer_advanced(descriptor.digest, done_bytes)

        self._reporter.transfer_started(descriptor.digest, self._kind, descriptor.size)
        while True:
            try:
                with ObservedReader(reopen(), advanced, reopen=reopen) as observed:
                    self._sink.put(descriptor, cast("BinaryIO", observed))
                break
            except DigestMismatch as error:
                if not error.elsewhere:
                    raise
        self._reporter.transfer_done(descriptor.digest, "done")

    def _without_bytes(self, descriptor: Descriptor, outcome: TransferOutcome) -> None:
        self._reporter.transfer_started(descriptor.digest, self._kind, descriptor.size)
        self._reporter.transfer_done(descriptor.digest, outcome)
