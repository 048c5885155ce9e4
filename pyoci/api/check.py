"""`check`: preflight for any image, wherever it is: in the store, in a registry, in an archive or layout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyoci.api.bases import NamedBases
from pyoci.api.preflight import examine
from pyoci.api.services import Options, Services, opened
from pyoci.api.transfer import find_image
from pyoci.content import read_document
from pyoci.digest import Digest
from pyoci.errors import ContentNotFound, UsageError
from pyoci.image import Descriptor, Image, decode_index, media_types
from pyoci.platforms import Platform, parse_platform
from pyoci.preflight.findings import Audience, Finding, known_rules
from pyoci.reference import parse_reference
from pyoci.resolver import read_image

__all__ = ["CheckedImage", "check"]

_ELSEWHERE = ("docker-image://", "oci-layout://", "docker-archive:", "oci-archive:")


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """One image and what was found about it, errors first."""

    name: str
    platform: Platform
    digest: Digest
    """Of the manifest."""
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        """Whether it cannot do what it is configured to."""
        return any(found.severity == "error" for found in self.findings)


def check(
    name: str,
    *,
    platform: str = "",
    all_platforms: bool = False,
    audience: Audience = "",
    skip: Iterable[str] = (),
    options: Options | None = None,
) -> list[CheckedImage]:
    """Looks at an image without running it; one result per platform that is looked at.

    `name` is a name or ID of the store, a name that a registry knows, or `oci-layout://PATH[:TAG]`,
    `docker-archive:FILE[:NAME]`, `oci-archive:FILE[:NAME]`. Layers are fetched as far as they are needed.

    Raises:
        UsageError: there is no such rule, platform or kind of source.
        ContentNotFound, RegistryError: there is no such image.
        LayerError, ContentError: it is not what its digests say.
    """
    skipped = known_rules(skip)
    with opened(options) as services:
        root = _root(name, services)
        here = parse_platform(platform) if platform else services.environment.platform
        wanted = _platforms(root, services) if all_platforms else [here]
        images = {image.digest: image for each in wanted for image in [_image(root, services, each, name)]}
        return [_checked(name, image, services, audience, skipped) for image in images.values()]


def _root(name: str, services: Services) -> Descriptor:
    if name.startswith(_ELSEWHERE):
        root = NamedBases(services, {"image": name}).root("image")
        if root is not None:
            return root
    try:
        return find_image(name, services)[1]
    except ContentNotFound:
        pass
    try:
        reference = parse_reference(name)
    except UsageError as error:
        raise UsageError(
            error.message, hint="name an image, or write oci-layout://PATH:TAG, docker-archive:FILE or oci-archive:FILE"
        ) from None
    return services.resolver.root(reference)


def _platforms(root: Descriptor, services: Services) -> list[Platform | None]:
    """Every platform that an index offers; None stands for whatever a manifest is for."""
    if not media_types.is_index(root.media_type):
        return [None]
    index = decode_index(read_document(services.resolver.content.open(root), root), media_type=root.media_type).value
    offered = [m.platform for m in index.manifests if m.platform is not None and m.platform.os != "unknown"]
    return [*dict.fromkeys(offered)] or [None]


def _image(root: Descriptor, services: Services, platform: Platform | None, name: str) -> Image:
    return read_image(root, services.resolver.content, platform, name=name)


def _checked(name: str, image: Image, services: Services, audience: Audience, skipped: frozenset[str]) -> CheckedImage:
    config = image.config.value
    found = examine(config.config, config.platform, services.trees.of_stack(image.layers), services, audience=audience)
    kept = tuple(one for one in found if one.rule not in skipped)
    return CheckedImage(name, config.platform, image.digest, kept)
