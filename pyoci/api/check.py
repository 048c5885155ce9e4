"""`check`: preflight for any image, wherever it is: in the store, in a registry, in an archive or layout."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from pyoci.api.anywhere import find_root, read_found, wanted_platform
from pyoci.api.preflight import examine
from pyoci.api.services import Options, Services, opened
from pyoci.content import read_document
from pyoci.digest import Digest
from pyoci.image import Descriptor, Image, decode_index, media_types
from pyoci.platforms import Platform
from pyoci.preflight.findings import Audience, Finding, known_rules
from pyoci.values import dataclass

__all__ = ["CheckedImage", "check"]


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

    `name` is written as `pyoci.api.anywhere` says. Layers are fetched as far as they are needed.

    Raises:
        UsageError: there is no such rule, platform or kind of source.
        ContentNotFound, RegistryError: there is no such image.
        LayerError, ContentError: it is not what its digests say.
    """
    skipped = known_rules(skip)
    with opened(options) as services, ExitStack() as stack:
        root = find_root(name, services, stack)
        wanted = _platforms(root, services) if all_platforms else [wanted_platform(platform, services)]
        images = {image.digest: image for each in wanted for image in [read_found(root, services, each, name)]}
        return [_checked(name, image, services, audience, skipped) for image in images.values()]


def _platforms(root: Descriptor, services: Services) -> list[Platform | None]:
    """Every platform that an index offers; None stands for whatever a manifest is for."""
    if not media_types.is_index(root.media_type):
        return [None]
    raw = read_document(services.resolver.located.open(root), root, limits=services.limits)
    index = decode_index(raw, media_type=root.media_type).value
    offered = [m.platform for m in index.manifests if m.platform is not None and m.platform.os != "unknown"]
    return [*dict.fromkeys(offered)] or [None]


def _checked(name: str, image: Image, services: Services, audience: Audience, skipped: frozenset[str]) -> CheckedImage:
    config = image.config.value
    found = examine(config.config, config.platform, services.trees.of_stack(image.layers), services, audience=audience)
    kept = tuple(one for one in found if one.rule not in skipped)
    return CheckedImage(name, config.platform, image.digest, kept)
