"""Tags that belong to a manifest by its digest: `sha256-<hex>.sig`, `.att`, `.sbom` and whatever else was attached so.

That is how cosign and others attached things before manifests had a `subject`; no specification has it, and only the
tag tells what belongs to what. The tag without a suffix is the list of referrers of distribution-spec, none of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pyoci.content.graph import read_graph
from pyoci.content.limits import ContentLimitsOf, default_limits, how_to_raise
from pyoci.content.names import tag_subject
from pyoci.content.protocols import ContentSource
from pyoci.content.referrers import fallback_tag
from pyoci.errors import ContentNotFound, InvalidDocument
from pyoci.image.descriptor import Descriptor
from pyoci.values import dataclass

__all__ = ["DigestTag", "find_digest_tags"]


@dataclass(frozen=True, slots=True)
class DigestTag:
    """A tag, and what it means."""

    tag: str
    descriptor: Descriptor


def find_digest_tags(
    roots: Iterable[Descriptor],
    source: ContentSource,
    tags: Iterable[str],
    resolve: Callable[[str], Descriptor],
    *,
    doubted: Callable[[str], None] = lambda text: None,
    limits: ContentLimitsOf = default_limits,
) -> tuple[DigestTag, ...]:
    """Of `tags`, those that belong to a root, to a manifest below it, or to what such a tag means; what they belong to
    comes first.

    One that is gone when it is resolved is left out, and `doubted` is told.

    Raises:
        InvalidDocument: there are too many, or they belong to each other too deeply, for `limits`.
        ContentNotFound, DigestMismatch, RegistryError: from the source.
    """
    by_subject: dict[str, list[str]] = {}
    for tag in tags:
        if subject := tag_subject(tag):
            by_subject.setdefault(subject, []).append(tag)
    bounds = limits()
    found: list[DigestTag] = []
    waiting = [(root, 0) for root in roots] if by_subject else []
    for node, depth in waiting:  # which grows meanwhile
        for document, _ in read_graph(node, source, limits=limits).documents:
            for tag in sorted(by_subject.pop(fallback_tag(document.digest), ())):
                if depth >= bounds.referrer_depth:
                    raise InvalidDocument(
                        f"tags belong to each other more than {bounds.referrer_depth} deep at {tag}",
                        hint=how_to_raise("referrer-depth"),
                    )
                try:
                    descriptor = resolve(tag)
                except ContentNotFound:
                    doubted(f"the tag {tag} is listed, and is not there")
                    continue
                found.append(DigestTag(tag, descriptor))
                waiting.append((descriptor, depth + 1))
                if len(found) > bounds.referrers:
                    raise InvalidDocument(
                        f"more than {bounds.referrers} tags belong to what is copied", hint=how_to_raise("referrers")
                    )
    return tuple(found)
