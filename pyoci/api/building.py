"""A build that has to be planned: the parts are joined, carried out, looked at, named and delivered."""

from __future__ import annotations

from pyoci.api.build import BuildResult, name_result, surroundings
from pyoci.api.deliver import deliver
from pyoci.api.output_options import check_outputs, main_form, pushed_names
from pyoci.api.preflight import preflight
from pyoci.api.prepare import Prepared, prepared
from pyoci.api.push_permission import push_permission
from pyoci.api.services import Services
from pyoci.build.builder import Built, build_images, plan_images
from pyoci.build.forms import in_form
from pyoci.build.request import BuildRequest
from pyoci.build.steps import GitStep, HttpStep
from pyoci.build.unchanged import Found, Watch
from pyoci.image import Descriptor, Image

__all__ = ["DEFAULT_JOBS", "build_anew", "finish"]

DEFAULT_JOBS = 16
"""Steps that run at once: RUNs mostly wait, and independent stages should not wait for each other."""


def build_anew(request: BuildRequest, services: Services, watch: Watch) -> BuildResult:
    """Builds an image, names it and writes its outputs; keeps what it found if there was nothing to do.

    Raises:
        PyociError: see `pyoci.errors`; the store is as it was, but for what is cached.
    """
    watch.begin(request, services.environment.working_directory, services.store)
    with prepared(request, services) as parts:
        return _build(parts, services, watch)


def _build(parts: Prepared, services: Services, watch: Watch) -> BuildResult:
    request = parts.request
    parts.secrets.check()
    build_services = parts.build_services()
    check_outputs(request, parts.platforms)
    with push_permission(pushed_names(request), services) as wait_for_permission:
        plans = plan_images(parts.dockerfile, parts.plan_options, build_services)
        parts.report_checks()
        wait_for_permission()
    built = build_images(
        plans,
        build_services,
        build_args=request.build_args,
        labels=request.labels,
        epoch=parts.epoch,
        jobs=request.jobs or DEFAULT_JOBS,
        timeout_seconds=request.step_timeout_seconds,
        limits=parts.limits,
    )
    return finish(parts, built, services, watch)


def finish(parts: Prepared, built: tuple[Built, ...], services: Services, watch: Watch | None = None) -> BuildResult:
    """What is done with images once they are built: they are looked at, named and delivered.

    Raises:
        PreflightError: findings end the build.
        UsageError, RegistryError, ContentError: an output cannot be delivered; the images stay in the store.
    """
    request = parts.request
    parts.opener.close()
    preflight(request, built, services, parts.secrets, parts.dockerfile.check)
    result = _result(built, parts, services)
    name_result(result, services.store)
    if watch is not None:
        _keep(result, built, parts, services, watch)
    deliver(request, result, built, services)
    return result


def _result(built: tuple[Built, ...], parts: Prepared, services: Services) -> BuildResult:
    made = in_form(built, main_form(parts.request), services.store, services.resolver.content)
    manifests = tuple(image.manifest.descriptor(platform=image.platform) for image in made.images)
    image_id = made.images[0].image_id if len(made.images) == 1 else made.root.digest
    return BuildResult(made.root, image_id, manifests, parts.tags, lambda: made.images)


def _keep(result: BuildResult, built: tuple[Built, ...], parts: Prepared, services: Services, watch: Watch) -> None:
    """Keeps what the build comes to, unless it depends on what can change elsewhere."""
    steps = (vertex.step for one in built for vertex in one.plan.graph.vertices.values())
    if any(isinstance(step, HttpStep | GitStep) for step in steps):
        return
    watch.keep(
        parts.request,
        services.environment.working_directory,
        services.store,
        surroundings=surroundings(services),
        directories=[(str(context.root), context.seen()) for context in parts.opener.directories],
        names=services.resolver.names,
        found=Found(result.descriptor, result.image_id, result.manifests, ()),
        blobs=[result.descriptor, *(blob for image in result.images for blob in _blobs(image))],
    )


def _blobs(image: Image) -> list[Descriptor]:
    manifest = image.manifest
    return [manifest.descriptor(), image.config.descriptor(), *(layer.descriptor for layer in image.layers)]
