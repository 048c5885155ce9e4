"""What refers to other content by `subject` (signatures, SBOMs, attestations): found beside an image, not below it.

Spec: image-spec manifest.md and image-index.md (`subject`), distribution-spec "Listing Referrers", "Referrers Tag
Schema". Where a layout lists referrers is not specified: those that containerd and oras put into index.json beside
the images are found, and those that regclient keeps under the tag of distribution-spec's schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from pyoci.content.graph import read_graph
from pyoci.content.limits import ContentLimitsOf, default_limits, how_to_raise
from pyoci.content.protocols import ContentSource
from pyoci.content.successors import is_document
from pyoci.content.verify import read_document
from pyoci.digest import Digest, digest_hex
from pyoci.errors import ContentNotFound, InvalidDocument
from pyoci.image import decode_index, decode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.values import dataclass, replace

__all__ = ["Referrer", "ReferrerSource", "fallback_tag", "find_referrers", "referrer_entry", "referrers_among"]


class ReferrerSource(ContentSource, Protocol):
    """Content that can also be asked what refers to it."""

    def referrers(self, digest: Digest, *, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """Descriptors of the manifests whose `subject` is `digest`, with their artifact types; none is no error."""


@dataclass(frozen=True, slots=True)
class Referrer:
    """Something that refers to a manifest or index."""

    subject: Digest
    descriptor: Descriptor


def fallback_tag(digest: Digest) -> str:
    """The tag under which the referrers of `digest` are listed where a registry does not list them."""
    algorithm = digest.partition(":")[0]
    return f"{algorithm[:32]}-{digest_hex(digest)[:64]}"


def referrer_entry(raw: bytes, descriptor: Descriptor) -> tuple[Digest, Descriptor] | None:
    """The subject of a manifest or index, and its descriptor as a list of referrers has it: with artifact type and
    annotations. None where there is no subject.

    Raises:
        InvalidDocument: the document breaks its specification.
    """
    media_type = descriptor.media_type
    if media_types.is_index(media_type):
        index = decode_index(raw, media_type=media_type).value
        subject, artifact_type, annotations = index.subject, index.artifact_type, index.annotations
    else:
        manifest = decode_manifest(raw, media_type=media_type).value
        artifact_type = manifest.artifact_type or manifest.config.media_type
        subject, annotations = manifest.subject, manifest.annotations
    if subject is None:
        return None
    return subject.digest, Descriptor(
        media_type, descriptor.digest, descriptor.size, annotations=dict(annotations), artifact_type=artifact_type
    )


def find_referrers(
    root: Descriptor,
    source: ReferrerSource,
    *,
    doubted: Callable[[str], None] = lambda text: None,
    limits: ContentLimitsOf = default_limits,
) -> tuple[Referrer, ...]:
    """All that refers to `root`, to a manifest below it, or to such a referrer; a subject comes before what refers
    to it.

    One list is asked for each manifest and index. A listed referrer that is not there, or that refers to something
    else, is left out, and `doubted` is told: lists by the tag schema are kept by clients, and not always well.

    Raises:
        InvalidDocument: there are too many, or they refer to each other too deeply, for `limits`.
        ContentNotFound, DigestMismatch, RegistryError: from the source.
    """
    found: dict[Digest, Referrer] = {}
    bounds = limits()
    subjects = [descriptor.digest for descriptor, _ in read_graph(root, source, limits=limits).documents]
    seen = set(subjects)
    depth = 0
    while subjects:
        depth += 1
        following: list[Digest] = []
        for subject in subjects:
            for listed in source.referrers(subject):
                if listed.digest in seen:
                    continue
                seen.add(listed.digest)
                below = _documents_of(listed, subject, source, doubted, limits)
                if below:
                    if depth > bounds.referrer_depth:
                        raise InvalidDocument(
                            f"manifests refer to each other more than {bounds.referrer_depth} deep at {root.digest}",
                            hint=how_to_raise("referrer-depth"),
                        )
                    found[listed.digest] = Referrer(subject, listed)
                    following += [digest for digest in below if digest not in seen or digest == listed.digest]
                    seen.update(below)
                if len(found) > bounds.referrers:
                    raise InvalidDocument(
                        f"more than {bounds.referrers} manifests refer to {root.digest}", hint=how_to_raise("referrers")
                    )
        subjects = following
    return tuple(found.values())


def _documents_of(
    listed: Descriptor,
    subject: Digest,
    source: ContentSource,
    doubted: Callable[[str], None],
    limits: ContentLimitsOf,
) -> list[Digest]:
    """The referrer and what is below it, which may have referrers as well; nothing if it is none."""
    try:
        graph = read_graph(listed, source, limits=limits)
    except ContentNotFound:
        doubted(f"{listed.digest} is listed as referring to {subject}, and is not there")
        return []
    raw = graph.documents[-1][1] if graph.documents else b""
    entry = referrer_entry(raw, listed) if raw else None
    if entry is None or entry[0] != subject:
        doubted(f"{listed.digest} is listed as referring to {subject}, and does not")
        return []
    return [descriptor.digest for descriptor, _ in graph.documents]


def referrers_among(
    roots: Iterable[Descriptor],
    source: ContentSource,
    digest: Digest,
    artifact_type: str = "",
    *,
    limits: ContentLimitsOf = default_limits,
) -> tuple[Descriptor, ...]:
    """What refers to `digest` among the entries of a layout's index.json and what the indexes among them list.

    Raises:
        DigestMismatch, InvalidDocument: from the source.
    """
    depth_limit = limits().index_depth
    found: dict[Digest, Descriptor] = {}
    todo = [(root, 0) for root in roots]
    seen: set[Digest] = set()
    while todo:
        node, depth = todo.pop(0)
        if node.digest in seen or not is_document(node) or depth > depth_limit:
            continue
        seen.add(node.digest)
        try:
            raw = read_document(source.open(node), node, limits=limits)
        except ContentNotFound:
            continue  # of an index, an archive has the platforms that happened to be there
        entry = referrer_entry(raw, node)
        if entry is not None and entry[0] == digest:
            found[node.digest] = entry[1]
        if media_types.is_index(node.media_type):
            below = decode_index(raw, media_type=node.media_type).value.manifests
            todo += [(replace(child, annotations={}), depth + 1) for child in below]
    return tuple(entry for entry in found.values() if artifact_type in ("", entry.artifact_type))
