"""`build`: reads the request, joins the parts, delivers the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyoci.api.deliver import deliver, pushed_names
from pyoci.api.preflight import preflight
from pyoci.api.prepare import Prepared, prepared
from pyoci.api.push_permission import push_permission
from pyoci.api.services import Options, Services, opened
from pyoci.build.assemble import assemble_index
from pyoci.build.builder import Built, build_images, plan_images
from pyoci.build.request import BuildRequest
from pyoci.digest import Digest
from pyoci.image import Descriptor, Image
from pyoci.reference import Reference

__all__ = ["DEFAULT_JOBS", "BuildResult", "build", "finish"]

DEFAULT_JOBS = 16
"""Steps that run at once: RUNs mostly wait, and independent stages should not wait for each other."""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build made."""

    descriptor: Descriptor
    """Of the manifest, or of the index if several platforms were built."""
    image_id: Digest
    """Of the config; of the index if there are several platforms. What docker prints."""
    images: tuple[Image, ...]
    """One per platform."""
    tags: tuple[Reference, ...]

    @property
    def digest(self) -> Digest:
        """Of the manifest or index."""
        return self.descriptor.digest

    def metadata(self) -> dict[str, Any]:
        """The JSON object of `--metadata-file`, with docker buildx's keys."""
        descriptor: dict[str, Any] = {
            "mediaType": self.descriptor.media_type,
            "digest": self.descriptor.digest,
            "size": self.descriptor.size,
        }
        if len(self.images) == 1:
            platform = self.images[0].platform
            descriptor["platform"] = {"architecture": platform.architecture, "os": platform.os}
            if platform.variant:
                descriptor["platform"]["variant"] = platform.variant
        result: dict[str, Any] = {
            "containerimage.descriptor": descriptor,
            "containerimage.digest": self.descriptor.digest,
        }
        if len(self.images) == 1:
            result["containerimage.config.digest"] = self.images[0].image_id
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
    with opened(options, pull=request.pull) as services, prepared(request, services) as parts:
        return _build(parts, services)


def _build(parts: Prepared, services: Services) -> BuildResult:
    request = parts.request
    parts.secrets.check()
    build_services = parts.build_services()
    with push_permission(pushed_names(request.outputs, parts.tags), services) as wait_for_permission:
        plans = plan_images(parts.dockerfile, parts.plan_options, build_services)
        parts.report_checks()
        wait_for_permission()
    built = build_images(
        plans,
        build_services,
        build_args=request.build_args,
        labels=request.labels,
        annotations=request.annotations,
        epoch=parts.epoch,
        jobs=request.jobs or DEFAULT_JOBS,
        timeout_seconds=request.step_timeout_seconds,
        limits=parts.limits,
    )
    return finish(parts, built, services)


def finish(parts: Prepared, built: tuple[Built, ...], services: Services) -> BuildResult:
    """What is done with images once they are built: they are looked at, named and delivered.

    Raises:
        PreflightError: findings end the build.
        UsageError, RegistryError, ContentError: an output cannot be delivered; the images stay in the store.
    """
    request = parts.request
    parts.opener.close()
    preflight(request, built, services, parts.secrets, parts.dockerfile.check)
    result = _result(built, parts.tags, services, request.annotations)
    for tag in parts.tags:
        services.store.tags.set(tag, result.descriptor)
    deliver(request, result, built, services, services.trees)
    return result


def _result(
    built: tuple[Built, ...], tags: tuple[Reference, ...], services: Services, annotations: Mapping[str, str]
) -> BuildResult:
    images = tuple(one.image for one in built)
    if len(images) == 1:
        image = images[0]
        descriptor = image.manifest.descriptor(platform=image.platform)
        return BuildResult(descriptor, image.image_id, images, tags)
    index = assemble_index(images, services.store, annotations)
    return BuildResult(index.descriptor(), index.digest, images, tags)
