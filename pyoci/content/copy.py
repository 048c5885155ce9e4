"""Copying a graph of content from a source to a sink: pull, push, load and OCI export are this function (DESIGN D4)."""

from __future__ import annotations

import io
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import BinaryIO, cast

from pyoci.content.observed import ObservedReader
from pyoci.content.protocols import ContentSink, ContentSource
from pyoci.content.successors import is_document, successors
from pyoci.content.verify import DOCUMENT_LIMIT, read_document
from pyoci.digest import Digest
from pyoci.errors import InvalidDocument
from pyoci.image.descriptor import Descriptor
from pyoci.progress import Reporter, TransferKind

__all__ = ["copy_graph"]

_DEPTH_LIMIT = 8
_NODE_LIMIT = 10_000


def copy_graph(
    root: Descriptor,
    source: ContentSource,
    sink: ContentSink,
    *,
    kind: TransferKind = "copy",
    jobs: int = 4,
    reporter: Reporter | None = None,
) -> None:
    """Puts `root` and everything that it points at into the sink; what is pointed at comes before what points.

    Equal content moves once. What the sink has is not opened at the source. When one piece fails, no further one starts
    and no document that points at it is written.

    Raises:
        ContentNotFound, DigestMismatch, InvalidDocument, RegistryError: from either side.
    """
    reporter = reporter or Reporter()
    blobs: dict[Digest, Descriptor] = {}
    documents: dict[Digest, tuple[Descriptor, bytes]] = {}
    if is_document(root):
        if sink.has(root):
            reporter.transfer_started(root.digest, kind, root.size)
            reporter.transfer_done(root.digest, "exists")
            return
        _collect(root, source, blobs, documents, depth=0)
    else:
        blobs[root.digest] = root
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix=f"pyoci-{kind}") as pool:
        moves = [pool.submit(_move, blob, source, sink, kind, reporter) for blob in blobs.values()]
        done, pending = wait(moves, return_when=FIRST_EXCEPTION)
        for move in pending:
            move.cancel()
        for move in done:
            move.result()
    for descriptor, raw in documents.values():
        _put(descriptor, io.BytesIO(raw), sink, kind, reporter)


def _collect(
    node: Descriptor,
    source: ContentSource,
    blobs: dict[Digest, Descriptor],
    documents: dict[Digest, tuple[Descriptor, bytes]],
    *,
    depth: int,
) -> None:
    """Adds everything below `node`, then `node`: so `documents` is in the order in which it must be written."""
    if node.digest in blobs or node.digest in documents:
        return
    if depth > _DEPTH_LIMIT:
        raise InvalidDocument(f"indexes are nested more than {_DEPTH_LIMIT} deep at {node.digest}")
    if len(blobs) + len(documents) > _NODE_LIMIT:
        raise InvalidDocument(f"more than {_NODE_LIMIT} pieces of content below one root")
    if not is_document(node):
        blobs[node.digest] = node
        return
    if node.size > DOCUMENT_LIMIT:
        raise InvalidDocument(
            f"{node.digest} is {node.size} bytes, more than the {DOCUMENT_LIMIT} that a document may have"
        )
    raw = read_document(source.open(node), node)
    for child in successors(raw, node.media_type):
        _collect(child, source, blobs, documents, depth=depth + 1)
    documents[node.digest] = (node, raw)


def _move(blob: Descriptor, source: ContentSource, sink: ContentSink, kind: TransferKind, reporter: Reporter) -> None:
    if sink.has(blob):
        reporter.transfer_started(blob.digest, kind, blob.size)
        reporter.transfer_done(blob.digest, "exists")
        return
    with source.open(blob) as stream:
        _put(blob, stream, sink, kind, reporter)


def _put(descriptor: Descriptor, stream: BinaryIO, sink: ContentSink, kind: TransferKind, reporter: Reporter) -> None:
    name = descriptor.digest
    reporter.transfer_started(name, kind, descriptor.size)
    observed = ObservedReader(stream, lambda done: reporter.transfer_advanced(name, done))
    sink.put(descriptor, cast(BinaryIO, observed))
    reporter.transfer_done(name, "done")
