"""What lies below one document: everything that must be moved with it, found by reading the documents alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyoci.content.protocols import ContentSource
from pyoci.content.successors import is_document, successors
from pyoci.content.verify import read_document
from pyoci.digest import Digest
from pyoci.errors import InvalidDocument
from pyoci.image.descriptor import Descriptor

__all__ = ["Graph", "read_graph"]

_DEPTH_LIMIT = 8
_NODE_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Graph:
    """One root and all that it points at, each digest once."""

    blobs: tuple[Descriptor, ...]
    """What points at nothing: configs, layers, and whatever an artifact holds."""
    documents: tuple[tuple[Descriptor, bytes], ...]
    """Manifests and indexes with their verified bytes; what is pointed at comes first, so the root is last."""


def read_graph(root: Descriptor, source: ContentSource, *, known: Callable[[Descriptor], bool] | None = None) -> Graph:
    """The graph below `root`. Reads its documents, no blob. A document that is `known` is left out, with all below it.

    Raises:
        ContentNotFound, DigestMismatch, RegistryError: from the source.
        InvalidDocument: a document breaks its specification, indexes are nested too deeply, there are too many pieces,
            or one digest is given two sizes.
    """
    blobs: dict[Digest, Descriptor] = {}
    documents: dict[Digest, tuple[Descriptor, bytes]] = {}
    left_out: set[Digest] = set()

    def unknown(document: Descriptor) -> bool:
        if known is not None and document.digest not in left_out and known(document):
            left_out.add(document.digest)
        return document.digest not in left_out

    _collect(root, source, blobs, documents, unknown, depth=0)
    return Graph(tuple(blob for blob in blobs.values() if blob.digest not in documents), tuple(documents.values()))


def _collect(
    node: Descriptor,
    source: ContentSource,
    blobs: dict[Digest, Descriptor],
    documents: dict[Digest, tuple[Descriptor, bytes]],
    unknown: Callable[[Descriptor], bool],
    *,
    depth: int,
) -> None:
    known = documents[node.digest][0] if node.digest in documents else blobs.get(node.digest)
    if known is not None and known.size != node.size:
        raise InvalidDocument(
            f"{node.digest} is said to have {known.size} bytes in one place and {node.size} in another"
        )
    if not is_document(node):
        blobs.setdefault(node.digest, node)
    elif node.digest not in documents and unknown(node):
        if depth > _DEPTH_LIMIT:
            raise InvalidDocument(f"indexes are nested more than {_DEPTH_LIMIT} deep at {node.digest}")
        raw = read_document(source.open(node), node)
        for child in successors(raw, node.media_type):
            _collect(child, source, blobs, documents, unknown, depth=depth + 1)
        documents[node.digest] = (node, raw)
    if len(blobs) + len(documents) > _NODE_LIMIT:
        raise InvalidDocument(f"more than {_NODE_LIMIT} pieces of content below one root")
