"""Copying a graph of content from a source to a sink: pull, push, load and OCI export are this function (DESIGN D4)."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from typing import BinaryIO, cast

from pyoci.content.graph import read_graph
from pyoci.content.observed import ObservedReader
from pyoci.content.protocols import ContentSink, ContentSource
from pyoci.content.successors import is_document
from pyoci.errors import Cancelled
from pyoci.image.descriptor import Descriptor
from pyoci.progress import Reporter, TransferKind

__all__ = ["copy_graph"]


def copy_graph(
    root: Descriptor,
    source: ContentSource,
    sink: ContentSink,
    *,
    kind: TransferKind = "copy",
    jobs: int = 4,
    reporter: Reporter | None = None,
    cancelled: threading.Event | None = None,
) -> None:
    """Puts `root` and everything that it points at into the sink; what is pointed at comes before what points.

    Equal content moves once. What the sink has is not opened at the source, and where it has `root` nothing is. When one
    piece fails or `cancelled` is set, no further one starts, those under way end at their next read, and no document that
    points at them is written.

    Raises:
        ContentNotFound, DigestMismatch, InvalidDocument, RegistryError: from either side.
        Cancelled: `cancelled` was set.
    """
    reporter = reporter or Reporter()
    if is_document(root) and sink.has(root):
        _exists(root, kind, reporter)
        return
    graph = read_graph(root, source)
    stopped = threading.Event()

    def stop_if_asked() -> None:
        if stopped.is_set() or (cancelled is not None and cancelled.is_set()):
            raise Cancelled

    def put(descriptor: Descriptor, stream: BinaryIO) -> None:
        def advanced(done_bytes: int) -> None:
            stop_if_asked()
            reporter.transfer_advanced(descriptor.digest, done_bytes)

        reporter.transfer_started(descriptor.digest, kind, descriptor.size)
        sink.put(descriptor, cast("BinaryIO", ObservedReader(stream, advanced)))
        reporter.transfer_done(descriptor.digest, "done")

    def move(blob: Descriptor) -> None:
        stop_if_asked()
        if sink.has(blob):
            _exists(blob, kind, reporter)
            return
        with source.open(blob) as stream:
            put(blob, stream)

    _each(graph.blobs, move, jobs=jobs, stopped=stopped, name=f"pyoci-{kind}")
    for descriptor, raw in graph.documents:
        stop_if_asked()
        put(descriptor, io.BytesIO(raw))


def _exists(descriptor: Descriptor, kind: TransferKind, reporter: Reporter) -> None:
    reporter.transfer_started(descriptor.digest, kind, descriptor.size)
    reporter.transfer_done(descriptor.digest, "exists")


def _each(
    blobs: Sequence[Descriptor],
    move: Callable[[Descriptor], None],
    *,
    jobs: int,
    stopped: threading.Event,
    name: str,
) -> None:
    """Calls `move` for every blob in up to `jobs` threads; sets `stopped` on the first failure and raises that one."""
    if jobs == 1 or len(blobs) < 2:
        for blob in blobs:
            move(blob)
        return
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix=name) as pool:
        try:
            moves = [pool.submit(move, blob) for blob in blobs]
            wait(moves, return_when=FIRST_EXCEPTION)
            if not all(one.done() and one.exception() is None for one in moves):
                stopped.set()
        except BaseException:
            stopped.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
    failures = [failure for one in moves if not one.cancelled() and (failure := one.exception())]
    for failure in failures:
        if not isinstance(failure, Cancelled):
            raise failure
    if failures:
        raise failures[0]
