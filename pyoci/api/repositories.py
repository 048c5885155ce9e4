"""What a registry has, seen and tidied up from outside: tags of a repository, deletion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pyoci.api.copying import find_at, referrer_source
from pyoci.api.places import parse_place
from pyoci.api.services import Options, opened
from pyoci.content.referrers import referrer_entry
from pyoci.digest import Digest
from pyoci.errors import ContentError, ContentNotFound, RegistryError, UsageError
from pyoci.image.descriptor import Descriptor
from pyoci.platforms import parse_platform
from pyoci.reference import Reference, parse_reference
from pyoci.resolver import select_manifest

if TYPE_CHECKING:
    from pyoci.registry.repository import Repository

__all__ = ["delete", "list_referrers", "list_tags"]


def list_tags(repository: str, *, options: Options | None = None) -> Iterator[str]:
    """The tags of a repository in its registry's order; further pages are asked for as they are needed.

    Raises:
        UsageError: a tag or digest was named as well.
        ContentNotFound: no such repository.
        RegistryError, Unauthorized, InvalidDocument: the registry refuses, or its answer cannot be used.
    """
    reference = parse_reference(repository, default_tag=None)
    if reference.tag or reference.digest:
        raise UsageError(
            f"{reference.familiar} is one image of a repository", hint=f"write {reference.familiar_name} for its tags"
        )
    with opened(options) as services:
        yield from services.client.repository(reference).tags()


def list_referrers(
    name: str, *, artifact_type: str = "", platform: str = "", options: Options | None = None
) -> tuple[Descriptor, ...]:
    """What refers to an image or index (signatures, SBOMs, attestations), with artifact types and annotations.

    `name` is a place as for `copy`, other than the store. Of an index, `platform` asks about one of its images: what
    refers to that is listed apart.

    Raises:
        ContentNotFound: no such image.
        RegistryError, ContentError, UsageError: the place cannot be read, or keeps no referrers.
    """
    options = options or Options()
    place = parse_place(name, options.environment)
    with opened(options) as services, ExitStack() as stack:
        found = find_at(place, services, stack)
        root = found.root
        if platform:
            root = select_manifest(root, found.content, parse_platform(platform), name=name, limits=services.limits)
        return referrer_source(found).referrers(root.digest, artifact_type=artifact_type)


def delete(name: str, *, options: Options | None = None) -> Digest:
    """Deletes a tag of a registry, or a manifest by its digest; returns the digest of what the name stood for.

    A manifest that is deleted takes all its tags along; what it points at stays until the registry collects garbage.

    Raises:
        UsageError: the name has neither tag nor digest, or both.
        ContentNotFound: it is not there.
        RegistryError, Unauthorized: the registry refuses. Many delete nothing, or by digest alone.
    """
    reference = parse_reference(name, default_tag=None)
    if (reference.tag is None) == (reference.digest is None):
        raise UsageError(
            f'"{name}" does not say what to delete',
            hint=f"write {reference.familiar_name}:TAG for a tag, or …@sha256:DIGEST for a manifest with all its tags",
        )
    with opened(options) as services:
        repository = services.client.repository(reference, direct=True)
        root = repository.resolve()
        digest, subject = root.digest, None if reference.tag else _subject_of(root, repository)
        try:
            repository.delete(reference.tag or digest)
            if subject is not None:
                repository.forget_referrer(subject, digest)
        except (RegistryError, ContentNotFound) as error:
            if reference.tag and (isinstance(error, ContentNotFound) or error.status in (400, 405)):
                error.hint = _by_digest(reference, digest)
            raise
        return digest


def _subject_of(root: Descriptor, repository: Repository) -> Digest | None:
    """What a manifest refers to. One that cannot be read can be deleted all the same."""
    try:
        entry = referrer_entry(repository.fetch_manifest(root.digest)[0], root)
    except ContentError:
        return None
    return entry[0] if entry is not None else None


def _by_digest(reference: Reference, digest: Digest) -> str:
    return (
        f"{reference.registry} may delete by digest alone, which takes all other tags of the image along: "
        f"pyoci delete {reference.familiar_name}@{digest}"
    )
