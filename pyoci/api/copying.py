"""Images from anywhere to anywhere: registries, the store, layouts and archives, without a detour through the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, assert_never, cast

from pyoci.api.places import ArchivePlace, LayoutPlace, Place, RegistryPlace, StorePlace, parse_place
from pyoci.api.services import Options, Services, opened
from pyoci.api.transfer import find_image, push_descriptor
from pyoci.content import ContentSource, copy_graph
from pyoci.content.digest_tags import DigestTag, find_digest_tags
from pyoci.content.names import REF_NAME, with_name, with_subject
from pyoci.content.referrers import Referrer, ReferrerSource, find_referrers
from pyoci.digest import Digest
from pyoci.errors import ContentNotFound, Unauthorized, UsageError
from pyoci.image import Descriptor
from pyoci.platforms import parse_platform
from pyoci.reference import Reference, parse_reference
from pyoci.resolver import select_manifest
from pyoci.values import dataclass, replace

if TYPE_CHECKING:
    from pyoci.content.archive import ArchiveContent
    from pyoci.content.layout import DirectoryLayout

_NOT_IN_STORE = "the store keeps no referrers"
_WHERE_REFERRERS_ARE = "name the image in its registry, in an oci-layout: or an oci-archive:"

__all__ = ["FoundImage", "copy", "find_at", "referrer_source"]


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image where it is."""

    place: Place
    root: Descriptor
    content: ContentSource
    name: Reference | None
    """What it is called there, if that is a name and a tag."""
    referrers: tuple[Referrer, ...] = ()
    """What is to be copied with it, though it is not below it."""
    digest_tags: tuple[DigestTag, ...] = ()
    """The same, of what a tag attaches to it."""

    @property
    def attached(self) -> tuple[Descriptor, ...]:
        """Of both kinds."""
        by_subject = tuple(referrer.descriptor for referrer in self.referrers)
        return by_subject + tuple(tagged.descriptor for tagged in self.digest_tags)


def copy(
    source: str,
    destination: str,
    *,
    platform: str = "",
    referrers: bool = False,
    digest_tags: bool = False,
    options: Options | None = None,
) -> Digest:
    """Copies an image from one place to another; returns the digest of what was copied.

    Places are written as `pyoci.api.places` says. Of an index everything is copied, or with `platform` one image. What
    the destination has is not sent again, and what is in another repository of the same registry is mounted. In a
    layout or archive without a NAME, the image keeps the name that it had. With `referrers`, what refers to anything
    that is copied (signatures, SBOMs, attestations) goes along; the image is there and named before they are. With
    `digest_tags`, so does what tags such as `sha256-<hex>.sig` attach to anything that is copied, under these tags.

    Raises:
        ContentNotFound: there is no such image, or none for the platform.
        RegistryError, Unauthorized: a registry refuses or does not answer.
        UsageError: a place is none or keeps no referrers, or the destination is another digest than what is copied.
        ContentError, InvalidDocument, DigestMismatch: what is at the source is not what it says.
    """
    options = options or Options()
    origin = parse_place(source, options.environment)
    target = parse_place(destination, options.environment)
    if referrers or digest_tags:
        _check_keeps_referrers(target, destination)
    with opened(options) as services, ExitStack() as stack:
        found = find_at(origin, services, stack)
        if platform:
            root = select_manifest(
                found.root, found.content, parse_platform(platform), name=source, limits=services.limits
            )
            found = replace(found, root=root)
        if referrers:
            attached = find_referrers(
                found.root, referrer_source(found), doubted=services.reporter.warning, limits=services.limits
            )
            found = replace(found, referrers=attached)
        if digest_tags:
            found = replace(found, digest_tags=_digest_tags(found, services))
        _deliver(found, target, services)
        return found.root.digest


def find_at(place: Place, services: Services, stack: ExitStack) -> FoundImage:
    """The image at a place, and its content for as long as the stack is open.

    Raises:
        ContentNotFound: there is none.
        RegistryError, UsageError, ContentError: the place cannot be read.
    """
    match place:
        case RegistryPlace(reference):
            repository = services.client.repository(reference)
            try:
                root = repository.resolve()
            except (ContentNotFound, Unauthorized) as error:
                if services.store.tags.get(reference) is not None:
                    before = f"{error.hint}; " if isinstance(error, Unauthorized) else ""
                    error.hint = f"{before}the store has it: pyoci copy store:{reference.familiar} DESTINATION"
                raise
            return FoundImage(place, root, repository, reference if reference.tag else None)
        case StorePlace(name):
            tagged, root = find_image(name, services)
            return FoundImage(place, root, services.resolver.content, tagged)
        case LayoutPlace(path, name):
            from pyoci.content.layout import DirectoryLayout

            layout = DirectoryLayout(path, limits=services.limits)
            root = layout.find(name)
            return FoundImage(place, root, layout, _name_in(layout.images(), root, name))
        case ArchivePlace(path, name):
            from pyoci.content.archive import open_archive

            scratch = services.store.root / "tmp"
            archive = stack.enter_context(open_archive(path, scratch=scratch, limits=services.limits))
            root = archive.find(name)
            return FoundImage(place, root, archive, _name_in(archive.images(), root, name))
        case _:
            assert_never(place)


def referrer_source(found: FoundImage) -> ReferrerSource:
    """The image's content as what knows its referrers.

    Raises:
        UsageError: its place keeps none.
    """
    if isinstance(found.place, StorePlace):
        raise UsageError(_NOT_IN_STORE, hint=_WHERE_REFERRERS_ARE)
    return cast("ReferrerSource", found.content)


def _digest_tags(found: FoundImage, services: Services) -> tuple[DigestTag, ...]:
    """What tags attach to the image and to what is copied with it.

    Raises:
        UsageError: its place keeps no tags beside it.
        RegistryError: the registry lists no tags.
    """
    tags: Iterable[str]
    resolve: Callable[[str], Descriptor]
    match found.place:
        case RegistryPlace(reference):
            repository = services.client.repository(reference)
            tags, resolve = repository.tags(), repository.resolve
        case LayoutPlace() | ArchivePlace():
            tagged = cast("DirectoryLayout | ArchiveContent", found.content).tagged()
            tags, resolve = tagged, tagged.__getitem__
        case StorePlace():
            raise UsageError(_NOT_IN_STORE, hint=_WHERE_REFERRERS_ARE)
        case _:
            assert_never(found.place)
    roots = (found.root, *(referrer.descriptor for referrer in found.referrers))
    return find_digest_tags(
        roots, found.content, tags, resolve, doubted=services.reporter.warning, limits=services.limits
    )


def _check_keeps_referrers(target: Place, text: str) -> None:
    if isinstance(target, StorePlace) or (isinstance(target, ArchivePlace) and target.format == "docker"):
        raise UsageError(
            f"{text} cannot keep referrers", hint="copy them to a registry, an oci-layout: or an oci-archive:"
        )


def _name_in(images: list[tuple[tuple[str, ...], Descriptor]], root: Descriptor, wanted: str) -> Reference | None:
    """The name of an image that was found by `wanted`; of several, that which says so."""
    names = [parse_reference(name) for all_names, image in images if image.digest == root.digest for name in all_names]
    for name in names:
        if wanted in (name.tag, str(name), name.familiar):
            return name
    return names[0] if names else None


def _deliver(found: FoundImage, target: Place, services: Services) -> None:
    match target:
        case RegistryPlace(reference):
            _push(found, reference, services)
        case StorePlace(name):
            _store(found, _named(name), services)
        case LayoutPlace(path, name):
            from pyoci.content.layout import DirectoryLayout

            entry = _entry(found, name)
            layout = DirectoryLayout(path, limits=services.limits)
            for root in (found.root, *found.attached):
                copy_graph(
                    root,
                    found.content,
                    layout,
                    limits=services.limits,
                    reporter=services.reporter,
                    cancelled=services.cancelled,
                )
            layout.add_roots([entry, *_tagged(found, name)], _attached(found))
        case ArchivePlace():
            _archive(found, target, services)
        case _:
            assert_never(target)


def _push(found: FoundImage, reference: Reference, services: Services) -> None:
    if reference.digest not in (None, found.root.digest):
        raise UsageError(
            f"{reference.familiar} cannot become {found.root.digest}", hint="give the destination a tag, or no digest"
        )
    if isinstance(found.place, StorePlace):
        push_descriptor(reference, found.root, services)
        return  # which has no referrers

    def mount_from(descriptor: Descriptor) -> Sequence[str]:
        places = [found.place.reference.name] if isinstance(found.place, RegistryPlace) else []
        places += services.store.origins(descriptor.digest)
        here = f"{reference.registry}/"
        return list(dict.fromkeys(place.removeprefix(here) for place in places if place.startswith(here)))

    repository = services.client.repository(reference, mount_from=mount_from)
    repository.push(found.root, found.content)
    repository.push_referrers(found.referrers, found.content)
    for attached in found.digest_tags:
        named = services.client.repository(reference.with_tag(attached.tag), mount_from=mount_from)
        named.push(attached.descriptor, found.content)


def _store(found: FoundImage, reference: Reference, services: Services) -> None:
    from pyoci.content.graph import read_graph

    copy_graph(
        found.root,
        found.content,
        services.store,
        limits=services.limits,
        reporter=services.reporter,
        cancelled=services.cancelled,
        sparse=isinstance(found.place, ArchivePlace),
    )
    if isinstance(found.place, RegistryPlace):
        graph = read_graph(found.root, services.store, limits=services.limits)
        for descriptor in (*graph.blobs, *(document for document, _ in graph.documents)):
            services.store.add_origin(descriptor.digest, found.place.reference.name)
    services.store.tags.set(reference, found.root)


def _archive(found: FoundImage, target: ArchivePlace, services: Services) -> None:
    from pyoci.api.deliver import output_stream
    from pyoci.export.docker_archive import write_docker_archive
    from pyoci.export.oci import write_oci_archive
    from pyoci.export.roots import NamedRoot

    content, reporter, cancelled, limits = found.content, services.reporter, services.cancelled, services.limits
    if target.format == "oci":
        entries = (_entry(found, target.name), *_tagged(found, target.name), *_attached(found))
        roots = [NamedRoot(entry) for entry in entries]
        with output_stream(str(target.path), services) as stream:
            write_oci_archive(roots, content, stream, limits=limits, reporter=reporter, cancelled=cancelled)
        return
    name = _named(target.name) if target.name else found.name
    roots = [NamedRoot(found.root, (name,) if name else ())]
    here = services.environment.platform
    with output_stream(str(target.path), services) as stream:
        write_docker_archive(
            roots, content, stream, platform=here, limits=limits, reporter=reporter, cancelled=cancelled
        )


def _named(text: str) -> Reference:
    reference = parse_reference(text)
    if reference.digest is not None:
        raise UsageError(f'what is copied cannot be given a digest: "{text}"', hint="give it a name and a tag")
    return reference


def _attached(found: FoundImage) -> list[Descriptor]:
    """The entries of index.json for what refers to the image."""
    return [with_subject(referrer.descriptor, referrer.subject) for referrer in found.referrers]


def _tagged(found: FoundImage, name: str) -> list[Descriptor]:
    """The entries of index.json for what tags attach to the image: called as the image is, with their own tags."""
    image = found.name
    if name:
        image = _named(name) if any(mark in name for mark in "/:@") else None
    return [
        with_name(attached.descriptor, image.with_tag(attached.tag))
        if image
        else replace(attached.descriptor, annotations={**attached.descriptor.annotations, REF_NAME: attached.tag})
        for attached in found.digest_tags
    ]


def _entry(found: FoundImage, name: str) -> Descriptor:
    """The entry of index.json: a whole name where there is one, else the tag alone, as image-spec has it."""
    if not name:
        return with_name(found.root, found.name) if found.name else found.root
    if "/" in name or ":" in name or "@" in name:
        return with_name(found.root, _named(name))
    tag = parse_reference(f"x:{name}").tag or name
    return replace(found.root, annotations={**found.root.annotations, REF_NAME: tag})
