"""Images between the store and the world: pull, push, load, save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pyoci.api.services import Options, Services, opened
from pyoci.content.limits import stored_limits
from pyoci.digest import Digest
from pyoci.errors import ContentError, ContentNotFound, UsageError
from pyoci.image import Descriptor
from pyoci.platforms import Platform, parse_platform
from pyoci.reference import Reference, parse_reference
from pyoci.resolver import read_image

if TYPE_CHECKING:
    from pyoci.api.early_push import EarlyPush

__all__ = ["find_image", "known_places", "load", "pull", "push", "push_descriptor", "save"]


def pull(name: str, *, platform: str = "", all_platforms: bool = False, options: Options | None = None) -> Digest:
    """Fetches an image with all its layers into the store; returns the digest that the name stands for.

    Raises:
        ContentNotFound, RegistryError: the registry has no such image, or does not answer.
    """
    reference = parse_reference(name)
    with opened(options, pull=True) as services:
        wanted = parse_platform(platform) if platform else services.environment.platform
        content = services.resolver.content
        root = services.resolver.root(reference)
        resolved = None if all_platforms else services.resolver.resolve(reference, wanted)
        target = resolved.image.manifest.descriptor() if resolved else root
        content.fill_below(target, limits=services.limits, cancelled=services.cancelled)
        return root.digest


def push_descriptor(
    reference: Reference, root: Descriptor, services: Services, *, early: EarlyPush | None = None
) -> None:
    """Pushes what a descriptor stands for under a name; mounts what the registry has elsewhere. `early` has brought
    some of it there before.

    Raises:
        RegistryError, Unauthorized: the store keeps the image.
    """
    repository = services.client.repository(reference, mount_from=known_places(reference, services))
    content = services.resolver.content
    if early is None:
        is_done = repository.push(root, content)
    else:
        is_new = early.lacks_image(reference)
        is_done = repository.push(root, content, sent=lambda: early.sent(reference), is_new=is_new)
    if is_done:
        _remember(root, reference, services)


def known_places(reference: Reference, services: Services) -> Callable[[Descriptor], Sequence[str]]:
    """Where else in the registry of a reference a blob is known to be."""
    here = reference.registry + "/"

    def places(blob: Descriptor) -> Sequence[str]:
        return [name.removeprefix(here) for name in services.store.origins(blob.digest) if name.startswith(here)]

    return places


def _remember(root: Descriptor, reference: Reference, services: Services) -> None:
    """What was pushed is there from now on: later pushes to the same registry can mount it."""
    from pyoci.content.graph import read_graph

    graph = read_graph(root, services.resolver.content, limits=services.limits)
    for descriptor in graph.blobs:
        services.store.add_origin(descriptor.digest, reference.name)
    for descriptor, _ in graph.documents:
        services.store.add_origin(descriptor.digest, reference.name)


def push(name: str, *, options: Options | None = None) -> Digest:
    """Pushes an image of the store to the registry in its name; returns the digest of its manifest or index.

    Raises:
        ContentNotFound: the store has no image of that name.
        RegistryError, Unauthorized: the registry refuses.
    """
    reference = parse_reference(name)
    with opened(options) as services:
        root = services.store.tags.get(reference)
        if root is None:
            raise ContentNotFound(
                f"An image does not exist locally with the tag: {reference.familiar_name}",
                hint="pyoci images lists what is there",
            )
        push_descriptor(reference, root, services)
        return root.digest


def save(
    names: Sequence[str],
    destination: str | Path,
    *,
    format: str = "docker",
    platform: str = "",
    options: Options | None = None,
) -> None:
    """Writes images of the store into one archive (`-` is standard output): `docker` for docker load, or `oci`.

    Of an image for several platforms, those that the store has are written, or the one asked for.

    Raises:
        ContentNotFound: the store has no image of that name, or not for the platform.
        UsageError: an unknown format.
    """
    from pyoci.api.deliver import output_stream
    from pyoci.api.stored import StoredPlatforms
    from pyoci.export.docker_archive import write_docker_archive
    from pyoci.export.oci import write_oci_archive
    from pyoci.export.roots import NamedRoot

    if format not in ("docker", "oci"):
        raise UsageError(f'unknown format "{format}"', hint="it is docker or oci")
    with opened(options) as services:
        here, stored = services.environment.platform, StoredPlatforms(services)
        found: dict[Digest, NamedRoot] = {}
        for name in names:
            reference, root = find_image(name, services)
            if platform:
                root = stored.chosen(root, parse_platform(platform, default=here), name=name)
            tags = found[root.digest].names if root.digest in found else ()
            found[root.digest] = NamedRoot(root, (*tags, reference) if reference else tags)
        roots = list(found.values())
        with output_stream(str(destination), services) as stream:
            if format == "oci":
                write_oci_archive(
                    roots, stored, stream, sparse=True, limits=services.limits, reporter=services.reporter
                )
            else:
                write_docker_archive(
                    roots,
                    stored,
                    stream,
                    platform=here,
                    sparse=True,
                    limits=services.limits,
                    reporter=services.reporter,
                )


def load(source: str | Path | BinaryIO, *, options: Options | None = None) -> list[Reference | Digest]:
    """Brings the images of an archive (docker or OCI) into the store; returns their names, or digests of unnamed ones.

    Only a tag is a name: what the archive calls `app@sha256:…` is found by its own digest, whatever that name says.

    Raises:
        ContentError, InvalidDocument: it is no archive, holds no image, or what is in it is not what it says.
    """
    from pyoci.content.archive import open_archive
    from pyoci.content.copy import copy_graph

    loaded: list[Reference | Digest] = []
    with opened(options) as services, ExitStack() as stack:
        file = services.environment.path(source) if isinstance(source, str | Path) else source
        scratch = services.store.root / "tmp"
        archive = stack.enter_context(open_archive(file, scratch=scratch, limits=services.limits))
        for names, root in archive.images():
            copy_graph(
                root,
                archive,
                services.store,
                kind="copy",
                limits=services.limits,
                reporter=services.reporter,
                sparse=True,
            )
            references = [parse_reference(name) for name in names]
            tagged = [reference.with_tag(reference.tag) for reference in references if reference.tag]
            for reference in tagged:
                services.store.tags.set(reference, root)
            loaded += tagged or [root.digest]
        if not loaded:
            where = str(file) if isinstance(file, Path) else "the archive"
            raise ContentError(
                f"{where} holds no image", hint="what is attached to images, such as signatures, is not loaded"
            )
    return loaded


def find_image(name: str, services: Services) -> tuple[Reference | None, Descriptor]:
    """The image of the store that a name or ID means, with its name if it was found by one.

    Raises:
        ContentNotFound: there is none; the message is docker's.
    """
    matches: Callable[[Digest], bool] = _id_matcher(name)
    try:
        reference = parse_reference(name)
    except UsageError:
        reference = None
    if reference is not None:
        root = services.store.tags.get(reference)
        if root is not None:
            return reference, root
    found: dict[Digest, tuple[Reference, Descriptor]] = {}
    for tag, root in services.store.tags.all():
        if matches(root.digest) or matches(_image_id(root, services)):
            found.setdefault(root.digest, (tag, root))
    if len(found) == 1:
        return None, next(iter(found.values()))[1]
    if found:
        raise ContentNotFound(f'"{name}" is the beginning of several image IDs', hint="give more digits of it")
    raise ContentNotFound(
        f"No such image: {reference.familiar if reference else name}", hint="pyoci images lists what is there"
    )


def _id_matcher(name: str) -> Callable[[Digest], bool]:
    wanted = name.removeprefix("sha256:").lower()
    if len(wanted) < 4 or not set(wanted) <= set("0123456789abcdef"):
        return lambda digest: False
    return lambda digest: digest.partition(":")[2].startswith(wanted)


def _image_id(root: Descriptor, services: Services, platform: Platform | None = None) -> Digest:
    content = services.store
    wanted = platform or services.environment.platform
    return read_image(root, content, wanted, name=root.digest, limits=stored_limits).image_id
