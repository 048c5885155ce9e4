"""`build`: reads the request and joins the parts, unless nothing changed since they were joined last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyoci.api.options import Options
from pyoci.api.services import Services, opened
from pyoci.build.request import BuildRequest
from pyoci.build.unchanged import Found, Watch, find
from pyoci.digest import Digest
from pyoci.errors import RegistryError, UsageError
from pyoci.image.descriptor import Descriptor
from pyoci.reference import Reference, parse_reference
from pyoci.store import Store
from pyoci.values import dataclass, field, replace

if TYPE_CHECKING:
    from pyoci.image import Image

__all__ = ["BuildResult", "build", "build_tags", "name_result", "surroundings"]


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build made."""

    descriptor: Descriptor
    """Of the manifest, or of the index if several platforms were built."""
    image_id: Digest
    """Of the config; of the index if there are several platforms. What docker prints."""
    manifests: tuple[Descriptor, ...]
    """One per platform, with it."""
    tags: tuple[Reference, ...]
    read_images: Callable[[], tuple[Image, ...]] = field(repr=False, compare=False)
    """Reads the images from where they were put."""

    @property
    def digest(self) -> Digest:
        """Of the manifest or index."""
        return self.descriptor.digest

    @property
    def images(self) -> tuple[Image, ...]:
        """One per platform."""
        return self.read_images()

    def metadata(self) -> dict[str, Any]:
        """The JSON object of `--metadata-file`, with docker buildx's keys."""
        descriptor: dict[str, Any] = {
            "mediaType": self.descriptor.media_type,
            "digest": self.descriptor.digest,
            "size": self.descriptor.size,
        }
        is_single = self.manifests[0].digest == self.descriptor.digest
        if is_single and self.manifests[0].platform is not None:
            platform = self.manifests[0].platform
            descriptor["platform"] = {"architecture": platform.architecture, "os": platform.os}
            if platform.variant:
                descriptor["platform"]["variant"] = platform.variant
        if self.descriptor.annotations:
            descriptor["annotations"] = dict(sorted(self.descriptor.annotations.items()))
        result: dict[str, Any] = {
            "containerimage.descriptor": descriptor,
            "containerimage.digest": self.descriptor.digest,
        }
        if self.image_id != self.descriptor.digest:
            result["containerimage.config.digest"] = self.image_id
        if self.tags:
            result["image.name"] = ",".join(str(tag) for tag in self.tags)
        return result


def build(context: str | Path | BuildRequest = ".", *, options: Options | None = None, **fields: Any) -> BuildResult:
    """Builds an image from a Dockerfile, names it in the store and writes the outputs asked for.

    `context` is a directory (or a whole BuildRequest); `fields` are those of `BuildRequest`: `tags`, `target`,
    `build_args`, `outputs` and so on.

    Raises:
        PyociError: see `pyoci.errors`; the store is as it was, but for what is cached.
    """
    request = context if isinstance(context, BuildRequest) else BuildRequest(context=context, **fields)
    options = options or Options()
    if request.isolation:
        options = replace(options, isolation=request.isolation)
    if any("registry.insecure" in output.attributes for output in request.outputs):
        from pyoci.api.output_options import insecure_hosts

        options = replace(options, insecure_registries=(*options.insecure_registries, *insecure_hosts(request)))
    if any("registry.insecure" in place.attributes for place in (*request.cache_from, *request.cache_to)):
        from pyoci.api.cache_options import insecure_caches

        options = replace(options, insecure_registries=(*options.insecure_registries, *insecure_caches(request)))
    watch = Watch(options.reporter)
    with opened(replace(options, reporter=watch), pull=request.pull) as services:
        environment = services.environment
        found = None
        if _has_one_form(request):
            found = find(request, environment.working_directory, services.store, surroundings=surroundings(services))
        if found is not None and _is_shipped(request, found, services):
            return _again(request, found, services)
        from pyoci.api.building import build_anew

        return build_anew(request, services, watch)


def _has_one_form(request: BuildRequest) -> bool:
    """Whether all outputs take the image as it is kept: another form of it is made from what is built."""
    if len(request.outputs) < 2:
        return True
    from pyoci.api.output_options import image_output, main_form

    form = main_form(request)
    return all(
        output.type in ("local", "tar") or image_output(output, request).form == form for output in request.outputs
    )


def _is_shipped(request: BuildRequest, found: Found, services: Services) -> bool:
    """Whether every registry that the image is pushed to has it under its name. What has yet to be sent is looked at
    before, with the credentials that are given now: that is for a build that is planned.
    """
    if not any(output.type in ("image", "registry") for output in request.outputs):
        return True
    from pyoci.api.output_options import pushed_names

    try:
        repositories = [services.client.repository(name) for name in pushed_names(request)]
        return all(one.is_pushed(found.descriptor, services.store) for one in repositories)
    except RegistryError:
        return False


def surroundings(services: Services) -> tuple[object, ...]:
    """What a build depends on besides its request and files."""
    from pyoci import __version__

    environment = services.environment
    return (__version__, str(environment.platform), environment.source_date_epoch)


def build_tags(request: BuildRequest) -> tuple[Reference, ...]:
    """The names that the image is to have.

    Raises:
        UsageError: one is none, or has a digest.
    """
    tags = tuple(parse_reference(tag) for tag in request.tags)
    for tag in tags:
        if tag.digest is not None:
            raise UsageError(f'a tag cannot have a digest: "{tag.familiar}"')
    return tags


def name_result(result: BuildResult, store: Store) -> None:
    """Gives the result its names, where it does not have them yet."""
    known = store.tags.digests() if result.tags else {}
    for tag in result.tags:
        if known.get(str(tag)) != result.digest:
            store.tags.set(tag, result.descriptor)


def _again(request: BuildRequest, found: Found, services: Services) -> BuildResult:
    """Names and delivers what was built before."""
    tags = build_tags(request)
    root = services.store.root
    result = BuildResult(found.descriptor, found.image_id, found.manifests, tags, lambda: _stored(root, found))
    found.tell(services.reporter)
    name_result(result, services.store)
    if request.outputs:
        from pyoci.api.deliver import deliver

        deliver(request, result, (), services, is_pushed=True)
    return result


def _stored(root: Path, found: Found) -> tuple[Image, ...]:
    from pyoci.content.limits import stored_limits
    from pyoci.resolver import read_image

    with Store(root) as store:
        return tuple(
            read_image(manifest, store, None, name=manifest.digest, limits=stored_limits)
            for manifest in found.manifests
        )
