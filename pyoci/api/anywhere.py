"""An image wherever it is, for what only looks at it: in the store, in a registry, in a layout or archive.

    app:1.0, 3f2a81            a name or ID of the store, else a name that a registry knows
    store:app:1.0              the store alone
    oci-layout:DIR[:NAME]      a directory with an OCI layout; also oci-layout://DIR
    oci-archive:FILE[:NAME]    the same as a tar
    docker-archive:FILE[:NAME] what docker save writes
    docker-image://NAME        as a bare name

Only documents are read here. A layer is fetched when its tree or its bytes are needed, and is in the store afterwards.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import assert_never

from pyoci.api.places import ArchivePlace, LayoutPlace, RegistryPlace, StorePlace, parse_place
from pyoci.api.services import Services
from pyoci.api.transfer import find_image
from pyoci.errors import ContentNotFound, UsageError
from pyoci.image import Descriptor, Image
from pyoci.platforms import Platform, parse_platform
from pyoci.reference import parse_reference
from pyoci.resolver import read_image
from pyoci.values import dataclass

__all__ = ["SeenImage", "find_root", "is_elsewhere", "read_found", "see", "wanted_platform"]

_ELSEWHERE = ("store:", "oci-layout:", "docker-archive:", "oci-archive:")
_HINT = "name an image, or write oci-layout:DIR:TAG, docker-archive:FILE or oci-archive:FILE"


@dataclass(frozen=True, slots=True)
class SeenImage:
    """One image and what its name stands for."""

    name: str
    """As it was asked for."""
    root: Descriptor
    """Of the manifest or index that the name stands for."""
    image: Image


def see(name: str, platform: str, services: Services, stack: ExitStack) -> SeenImage:
    """The image that a name means for a platform (empty: this machine's); its bytes can be had while the stack is open.

    Raises:
        UsageError: the name or platform is none, or what it stands for is no image.
        ContentNotFound, RegistryError: there is no such image, or none for the platform.
        ContentError: its documents are not what they should be.
    """
    root = find_root(name, services, stack)
    return SeenImage(name, root, read_found(root, services, wanted_platform(platform, services), name))


def is_elsewhere(name: str) -> bool:
    """Whether a name says by its beginning that it is an image in the store, a layout or an archive."""
    return name.startswith((*_ELSEWHERE, "docker-image://"))


def find_root(name: str, services: Services, stack: ExitStack) -> Descriptor:
    """The manifest or index that a name stands for; its bytes can be had while the stack is open.

    Raises:
        UsageError, ContentNotFound, RegistryError, ContentError: as `see`.
    """
    name = name.removeprefix("docker-image://")
    if name.startswith(_ELSEWHERE):
        return _elsewhere(name, services, stack)
    try:
        return find_image(name, services)[1]
    except ContentNotFound as error:
        if "several image IDs" in error.message:
            raise
    try:
        reference = parse_reference(name)
    except UsageError as error:
        raise UsageError(error.message, hint=_HINT) from None
    return services.resolver.root(reference)


def _elsewhere(name: str, services: Services, stack: ExitStack) -> Descriptor:
    place = parse_place(name, services.environment)
    match place:
        case StorePlace():
            return find_image(place.name, services)[1]
        case LayoutPlace():
            from pyoci.content.layout import DirectoryLayout

            layout = DirectoryLayout(place.path, limits=services.limits)
            services.origins.add(layout)
            return layout.find(place.name)
        case ArchivePlace():
            from pyoci.content.archive import open_archive

            scratch = services.store.root / "tmp"
            archive = stack.enter_context(open_archive(place.path, scratch=scratch, limits=services.limits))
            services.origins.add(archive)
            return archive.find(place.name)
        case RegistryPlace(reference):
            return services.resolver.root(reference)
        case _:
            assert_never(place)


def wanted_platform(text: str, services: Services) -> Platform:
    """The platform that is asked for, else this machine's.

    Raises:
        UsageError: it is none.
    """
    return parse_platform(text) if text else services.environment.platform


def read_found(root: Descriptor, services: Services, platform: Platform | None, name: str) -> Image:
    """The image that a root holds for a platform; None takes the first.

    Raises:
        ContentNotFound, InvalidDocument, DigestMismatch, RegistryError, UsageError: it has none, or it cannot be read.
    """
    return read_image(root, services.resolver.located, platform, name=name, limits=services.limits)
