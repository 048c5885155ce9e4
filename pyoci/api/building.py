"""A build that has to be planned: the parts are joined, carried out, looked at, named and delivered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

from pyoci.api.build import BuildResult, name_result, surroundings
from pyoci.api.cache_options import cache_sources, cache_targets, written_references
from pyoci.api.deliver import deliver
from pyoci.api.early_push import EarlyPush, Places, early_push
from pyoci.api.leaks import LeakSearch
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
from pyoci.digest import Digest
from pyoci.image import Descriptor, Image, Layer
from pyoci.values import replace

if TYPE_CHECKING:
    from pyoci.build.attestations import Attest

__all__ = ["DEFAULT_JOBS", "build_anew", "finish", "imported_steps"]

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
    if request.provenance or request.sbom:
        from pyoci.api.attest import check_attested

        check_attested(request)
    cache_sources(request)
    written = (*pushed_names(request), *written_references(request))
    with push_permission(written, services) as permission:
        plans = plan_images(parts.dockerfile, parts.plan_options, build_services)
        parts.report_checks()
        watch.planned()
        search = LeakSearch(request, services, parts.secrets)
        with early_push(parts, plans, services, Places(services), search, permission.check) as early:
            built = build_images(
                plans,
                replace(build_services, listener=early, may_run=permission.check),
                build_args=request.build_args,
                labels=request.labels,
                epoch=parts.epoch,
                jobs=request.jobs or DEFAULT_JOBS,
                timeout_seconds=request.step_timeout_seconds,
                limits=parts.limits,
                imported=imported_steps(parts, services),
            )
            permission.wait()
            return finish(parts, built, services, search, early, watch)


def imported_steps(parts: Prepared, services: Services) -> Mapping[Digest, Layer]:
    """What steps added elsewhere, by their keys, as far as the request says where that is."""
    if not parts.request.cache_from:
        return {}
    from pyoci.api.caches import import_caches

    return import_caches(parts.request, services, parts.epoch)


def finish(
    parts: Prepared,
    built: tuple[Built, ...],
    services: Services,
    search: LeakSearch,
    early: EarlyPush,
    watch: Watch | None = None,
) -> BuildResult:
    """What is done with images once they are built: they are looked at, named and delivered. `early` has some of their
    layers on their way already.

    Raises:
        PreflightError: findings end the build.
        UsageError, RegistryError, ContentError: an output or cache cannot be delivered; the images stay in the store.
    """
    request = parts.request
    targets = cache_targets(request)
    if request.squash:
        from pyoci.build.squash import squashed

        built = tuple(squashed(one, services.trees, services.store, epoch=parts.epoch) for one in built)
    if not targets:
        parts.opener.close()  # what is exported is named by what was read
    else:
        from pyoci.api.caches import with_inline_cache

        built = with_inline_cache(built, targets, services, parts.epoch)
    with watch.looking() if watch is not None else nullcontext():
        preflight(request, built, services, search, parts.dockerfile.check)
    attest = None
    if request.provenance or request.sbom:
        from pyoci.api.attest import Attester

        attest = Attester(parts, services)
    result = _result(built, parts, services, attest)
    if request.tags or any(output.type == "image" for output in request.outputs):
        _fetch_missing(built, services, own=not request.outputs)
    name_result(result, services.store)
    if watch is not None:
        _keep(result, built, parts, services, watch)
    deliver(request, result, built, services, attest=attest, early=early)
    if targets:
        from pyoci.api.caches import export_caches

        export_caches(built, targets, services, parts.epoch)
        parts.opener.close()
    return result


def _result(built: tuple[Built, ...], parts: Prepared, services: Services, attest: Attest | None) -> BuildResult:
    form = main_form(parts.request)
    made = in_form(built, form, services.store, services.resolver.content, attest=attest)
    manifests = tuple(image.manifest.descriptor(platform=image.platform) for image in made.images)
    several = len(made.images) > 1 or form.indexed
    image_id = made.root.digest if several else made.images[0].image_id
    return BuildResult(made.root, image_id, manifests, parts.tags, lambda: made.images)


def _fetch_missing(built: tuple[Built, ...], services: Services, *, own: bool) -> None:
    """Brings layers into the store that the image kept there would lack: what only a layout or archive has that this
    build was given, and with `own` what its steps added elsewhere.
    """
    for one in built:
        for number, layer in enumerate(one.image.layers):
            blob = layer.descriptor
            is_own = own and number >= one.base_layers
            if not services.store.has(blob) and (is_own or services.origins.has_here(blob)):
                services.resolver.content.fill(blob)


def _keep(result: BuildResult, built: tuple[Built, ...], parts: Prepared, services: Services, watch: Watch) -> None:
    """Keeps what the build comes to, unless it depends on what can change elsewhere."""
    if parts.times.is_fetched:
        return
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
