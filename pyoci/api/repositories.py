"""What a registry has, seen and tidied up from outside: tags of a repository, deletion."""

from __future__ import annotations

from collections.abc import Iterator

from pyoci.api.services import Options, opened
from pyoci.digest import Digest
from pyoci.errors import ContentNotFound, RegistryError, UsageError
from pyoci.reference import Reference, parse_reference

__all__ = ["delete", "list_tags"]


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
        repository = services.client.repository(reference)
        digest = repository.resolve().digest
        try:
            repository.delete(reference.tag or digest)
        except (RegistryError, ContentNotFound) as error:
            if reference.tag and (isinstance(error, ContentNotFound) or error.status in (400, 405)):
                error.hint = _by_digest(reference, digest)
            raise
        return digest


def _by_digest(reference: Reference, digest: Digest) -> str:
    return (
        f"{reference.registry} may delete by digest alone, which takes all other tags of the image along: "
        f"pyoci delete {reference.familiar_name}@{digest}"
    )
