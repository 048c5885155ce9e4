"""What an archive or layout is to hold: descriptors of whole images, with the names that they are to have in it."""

from __future__ import annotations

from collections.abc import Iterable

from pyoci.content import ContentSource, read_graph
from pyoci.content.limits import ContentLimitsOf, default_limits
from pyoci.content.names import with_name
from pyoci.digest import Digest
from pyoci.image import Descriptor
from pyoci.reference import Reference
from pyoci.values import dataclass

__all__ = ["Collected", "NamedRoot", "collect", "index_entries"]


@dataclass(frozen=True, slots=True)
class NamedRoot:
    """One image, or one index of several platforms."""

    descriptor: Descriptor
    names: tuple[Reference, ...] = ()


def index_entries(roots: Iterable[NamedRoot]) -> list[Descriptor]:
    """The entries of index.json: one for each name, or one without a name."""
    entries = []
    for root in roots:
        entries += [with_name(root.descriptor, name) for name in root.names] or [root.descriptor]
    return entries


@dataclass(frozen=True, slots=True)
class Collected:
    """Everything below some roots, each digest once."""

    blobs: dict[Digest, Descriptor]
    documents: dict[Digest, tuple[Descriptor, bytes]]


def collect(
    roots: Iterable[NamedRoot],
    source: ContentSource,
    *,
    sparse: bool = False,
    limits: ContentLimitsOf = default_limits,
) -> Collected:
    """Reads the documents below all roots, no blob. `sparse`, `limits` and what is raised are those of `read_graph`."""
    collected = Collected({}, {})
    for root in roots:
        graph = read_graph(root.descriptor, source, sparse=sparse, limits=limits)
        collected.blobs.update((blob.digest, blob) for blob in graph.blobs)
        collected.documents.update((document.digest, (document, raw)) for document, raw in graph.documents)
    return collected
