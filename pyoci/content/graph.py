"""What lies below one document: everything that must be moved with it, found by reading the documents alone."""

from __future__ import annotations

from collections.abc import Callable

from pyoci.content.limits import ContentLimitsOf, default_limits, how_to_raise
from pyoci.content.protocols import ContentSource
from pyoci.content.successors import is_document, successors
from pyoci.content.verify import read_document
from pyoci.digest import Digest
from pyoci.errors import ContentNotFound, InvalidDocument
from pyoci.image import media_types
from pyoci.image.descriptor import Descriptor
from pyoci.values import dataclass

__all__ = ["Graph", "read_graph"]


@dataclass(frozen=True, slots=True)
class Graph:
    """One root and all that it points at, each digest once."""

    blobs: tuple[Descriptor, ...]
    """What points at nothing: configs, layers, and whatever an artifact holds."""
    documents: tuple[tuple[Descriptor, bytes], ...]
    """Manifests and indexes with their verified bytes; what is pointed at comes first, so the root is last."""


def read_graph(
    root: Descriptor,
    source: ContentSource,
    *,
    known: Callable[[Descriptor], bool] | None = None,
    sparse: bool = False,
    limits: ContentLimitsOf = default_limits,
) -> Graph:
    """The graph below `root`. Reads its documents, no blob. A document that is `known` is left out, with all below it.

    `sparse` leaves out the images of an index that the source does not hold whole, as long as it holds one: archives
    that docker saves from containerd's store have the platforms that happen to be there.

    Raises:
        ContentNotFound, DigestMismatch, RegistryError: from the source.
        InvalidDocument: a document breaks its specification or goes beyond `limits`, or one digest is given two sizes.
    """
    collector = _Collector(source, known or (lambda document: False), limits, sparse=sparse)
    collector.collect(root, depth=0)
    documents = collector.documents
    blobs = tuple(blob for blob in collector.blobs.values() if blob.digest not in documents)
    return Graph(blobs, tuple(documents.values()))


class _Collector:
    """Goes depth first, so that `documents` is in the order in which they must be written."""

    def __init__(
        self, source: ContentSource, known: Callable[[Descriptor], bool], limits_of: ContentLimitsOf, *, sparse: bool
    ) -> None:
        self._source = source
        self._known = known
        self._sparse = sparse
        self._limits_of = limits_of
        self._limits = limits_of()
        self._bytes = 0
        self._left_out: set[Digest] = set()
        self.blobs: dict[Digest, Descriptor] = {}
        self.documents: dict[Digest, tuple[Descriptor, bytes]] = {}

    def collect(self, node: Descriptor, *, depth: int) -> None:
        before = self.documents[node.digest][0] if node.digest in self.documents else self.blobs.get(node.digest)
        if before is not None and before.size != node.size:
            raise InvalidDocument(
                f"{node.digest} is said to have {before.size} bytes in one place and {node.size} in another"
            )
        if not is_document(node):
            if node.digest not in self.blobs:
                self.blobs[node.digest] = node
                self._count(node)
        elif node.digest not in self.documents and not self._is_known(node):
            if depth > self._limits.index_depth:
                raise InvalidDocument(
                    f"indexes are nested more than {self._limits.index_depth} deep at {node.digest}",
                    hint=how_to_raise("index-depth"),
                )
            raw = self._read(node)
            for child in self._children(node, raw):
                self.collect(child, depth=depth + 1)
            self.documents[node.digest] = (node, raw)
            self._count(node)

    def _read(self, document: Descriptor) -> bytes:
        return read_document(self._source.open(document), document, limits=self._limits_of)

    def _count(self, node: Descriptor) -> None:
        """Refuses what is too many or too much, before any blob has moved."""
        self._bytes += node.size
        limits = self._limits
        if len(self.blobs) + len(self.documents) > limits.pieces:
            raise InvalidDocument(
                f"more than {limits.pieces} pieces of content below one root", hint=how_to_raise("image-pieces")
            )
        if self._bytes > limits.image_bytes:
            raise InvalidDocument(
                f"more than {limits.image_bytes} bytes of content below one root", hint=how_to_raise("image-size")
            )

    def _is_known(self, document: Descriptor) -> bool:
        if document.digest not in self._left_out and self._known(document):
            self._left_out.add(document.digest)
        return document.digest in self._left_out

    def _children(self, node: Descriptor, raw: bytes) -> tuple[Descriptor, ...]:
        children = successors(raw, node.media_type)
        if not (self._sparse and children and media_types.is_index(node.media_type)):
            return children
        held = tuple(child for child in children if self._holds(child, depth=0))
        if not held:
            raise ContentNotFound(f"none of the {len(children)} images of {node.digest} is there whole")
        return held

    def _holds(self, node: Descriptor, *, depth: int) -> bool:
        """Whether the source has the node with all that a manifest points at, or with something that an index does."""
        if not self._source.has(node) or depth > self._limits.index_depth:
            return False
        if not is_document(node):
            return True
        below = successors(self._read(node), node.media_type)
        enough = any if media_types.is_index(node.media_type) else all
        return enough(self._holds(child, depth=depth + 1) for child in below)
