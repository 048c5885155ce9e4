"""Indexes put together from images that are there already: what `docker manifest` does, over the store."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

from pyoci.api.copying import FoundImage, find_at
from pyoci.api.places import ArchivePlace, RegistryPlace, StorePlace, parse_place
from pyoci.api.services import Options, Services, opened
from pyoci.content import copy_graph
from pyoci.content.graph import read_graph
from pyoci.content.verify import read_document
from pyoci.digest import Digest, parse_digest
from pyoci.errors import ContentNotFound, UsageError
from pyoci.image import Descriptor, Index, decode_index, encode_index, media_types
from pyoci.platforms import Platform
from pyoci.reference import Reference, parse_reference
from pyoci.resolver import read_image
from pyoci.values import dataclass, replace

__all__ = ["PlatformChange", "annotate_index", "create_index", "read_manifest"]


@dataclass(frozen=True, slots=True)
class PlatformChange:
    """What to say about the platform of one image; empty members leave what is there."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def of(self, platform: Platform | None) -> Platform | None:
        """The platform with the change; None stays None if nothing is said."""
        if self == PlatformChange():
            return platform
        before = platform or Platform("", "")
        return Platform(
            self.os or before.os,
            self.architecture or before.architecture,
            self.variant or before.variant,
            self.os_version or before.os_version,
            self.os_features or before.os_features,
        )


def create_index(
    name: str,
    images: Sequence[str],
    *,
    amend: bool = False,
    annotations: Mapping[str, str] | None = None,
    options: Options | None = None,
) -> Digest:
    """Names an index of images in the store; returns its digest. `push` sends it, with all that it points at.

    `images` are places as for `copy`: a bare name is asked of its registry, so that what another machine pushed last
    counts. Of an index, all entries are taken over. Layers in a registry stay there until they are needed. With
    `amend`, the entries join those of an index that is there, and take the place of entries for the same platform.

    Raises:
        UsageError: the name stands for something in the store already and `amend` is not given, or for no index.
        ContentNotFound, RegistryError, ContentError: an image is not there or cannot be read.
    """
    options = options or Options()
    reference = _tagged(name)
    places = [parse_place(image, options.environment) for image in images]
    with opened(options) as services, ExitStack() as stack:
        index = _existing(reference, services, amend=amend)
        added: dict[Digest, Descriptor] = {}
        for place, image in zip(places, images, strict=True):
            for entry in _entries(find_at(place, services, stack), image, services):
                if any(_same_platform(entry, other) for other in added.values() if other.digest != entry.digest):
                    raise UsageError(
                        f"{image} is for {entry.platform}, and so is another image before it",
                        hint="an index has one image for each platform",
                    )
                added[entry.digest] = entry
        manifests = _joined(index.manifests, added.values())
        together = {**index.annotations, **(annotations or {})}
        return _save(reference, replace(index, manifests=manifests, annotations=together), services)


def annotate_index(
    name: str,
    image: str,
    change: PlatformChange,
    *,
    annotations: Mapping[str, str] | None = None,
    options: Options | None = None,
) -> Digest:
    """Says for which platform an image of an index is, and more about it; returns the digest of the new index.

    `image` is a place as in `create_index`, or the digest of an entry. The index is one of the store.

    Raises:
        ContentNotFound: the store has no such index, or the image is not in it.
        UsageError: the name stands for no index, or the platform would have no architecture.
    """
    options = options or Options()
    reference = _tagged(name)
    with opened(options) as services, ExitStack() as stack:
        index = _existing(reference, services, amend=True, must_exist=True)
        if image.startswith("sha256:"):
            digest = parse_digest(image)
        else:
            digest = find_at(parse_place(image, options.environment), services, stack).root.digest
        entry = next((entry for entry in index.manifests if entry.digest == digest), None)
        if entry is None:
            known = ", ".join(str(entry.digest) for entry in index.manifests[:10])
            raise ContentNotFound(f"{image} is not in {reference.familiar}", hint=f"it has {known}")
        platform = change.of(entry.platform)
        if platform is not None and not (platform.os and platform.architecture):
            raise UsageError(f"the platform of {image} needs both a system and an architecture")
        changed = replace(entry, platform=platform, annotations={**entry.annotations, **(annotations or {})})
        manifests = tuple(changed if one is entry else one for one in index.manifests)
        return _save(reference, replace(index, manifests=manifests), services)


def read_manifest(name: str, *, options: Options | None = None) -> tuple[bytes, Descriptor]:
    """The bytes of a manifest or index, and their descriptor. Nothing is stored.

    `name` is a place as for `copy`. A bare name means an index of the store if one of that name was made here and not
    pushed yet, else what its registry has.

    Raises:
        ContentNotFound, RegistryError, ContentError, UsageError: it is not there or cannot be read.
    """
    options = options or Options()
    place = parse_place(name, options.environment)
    with opened(options) as services, ExitStack() as stack:
        if isinstance(place, RegistryPlace):
            kept = services.store.tags.get(place.reference)
            if kept is not None and media_types.is_index(kept.media_type) and not services.store.origins(kept.digest):
                place = StorePlace(name)
        if isinstance(place, RegistryPlace):
            return services.client.repository(place.reference).fetch_manifest()
        found = find_at(place, services, stack)
        return read_document(found.content.open(found.root), found.root, limits=services.limits), found.root


def _tagged(name: str) -> Reference:
    reference = parse_reference(name)
    if reference.digest is not None:
        raise UsageError(f'an index that is made cannot be given a digest: "{name}"', hint="give it a name and a tag")
    return reference


def _existing(reference: Reference, services: Services, *, amend: bool, must_exist: bool = False) -> Index:
    """The index of that name in the store, to be changed; an empty one if there is none."""
    root = services.store.tags.get(reference)
    if root is None:
        if must_exist:
            raise ContentNotFound(
                f"the store has no index {reference.familiar}",
                hint=f"make it first: pyoci manifest create {reference.familiar} IMAGE…",
            )
        return Index(())
    if not amend:
        raise UsageError(
            f"{reference.familiar} is in the store already",
            hint=f"add to it with --amend, or begin anew after pyoci rmi {reference.familiar}",
        )
    if not media_types.is_index(root.media_type):
        raise UsageError(f"{reference.familiar} is an image, not an index", hint="give the index another name")
    return decode_index(services.store.read(root), media_type=root.media_type).value


def _entries(found: FoundImage, image: str, services: Services) -> tuple[Descriptor, ...]:
    """What stands for an image in an index. The store has its documents afterwards, and knows where its blobs are."""
    match found.place:
        case RegistryPlace(reference):
            graph = read_graph(found.root, found.content, limits=services.limits)
            for document, raw in graph.documents:
                services.store.put(document, io.BytesIO(raw))
            for piece in (*graph.blobs, *(document for document, _ in graph.documents)):
                services.store.add_origin(piece.digest, reference.name)
        case StorePlace():
            pass
        case place:
            sparse = isinstance(place, ArchivePlace)
            copy_graph(
                found.root,
                found.content,
                services.store,
                limits=services.limits,
                reporter=services.reporter,
                sparse=sparse,
            )
    content = services.resolver.content
    if media_types.is_index(found.root.media_type):
        raw = read_document(content.open(found.root), found.root, limits=services.limits)
        return decode_index(raw, media_type=found.root.media_type).value.manifests
    platform = read_image(found.root, content, None, name=image, limits=services.limits).platform
    return (replace(found.root, platform=platform),)


def _joined(before: tuple[Descriptor, ...], added: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    """Entries of both; a new one takes the place of one with the same digest or for the same platform."""
    entries = list(before)
    for entry in added:
        same = [at for at, old in enumerate(entries) if old.digest == entry.digest or _same_platform(entry, old)]
        if same:
            entries[same[0]] = entry
        else:
            entries.append(entry)
    return tuple(entries)


def _same_platform(one: Descriptor, other: Descriptor) -> bool:
    """Whether only one of them can be meant. What is attached to images (attestations) is for `unknown`."""
    return one.platform is not None and one.platform.os != "unknown" and one.platform == other.platform


def _save(reference: Reference, index: Index, services: Services) -> Digest:
    """A list of Docker's where all is Docker's, as docker makes it; its annotations only OCI knows."""
    entries = index.manifests
    of_docker = not index.annotations and all(entry.media_type == media_types.DOCKER_MANIFEST for entry in entries)
    of_docker = of_docker and bool(entries) and not any(entry.annotations for entry in entries)
    document = encode_index(replace(index, media_type=media_types.DOCKER_INDEX if of_docker else media_types.INDEX))
    services.store.tags.set(reference, services.store.put_document(document))
    return document.digest
