"""`build`: reads the request, joins the parts, delivers the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pyoci.api.bases import NamedBases
from pyoci.api.contexts import ContextOpener, LazyContexts, git_context
from pyoci.api.deliver import deliver
from pyoci.api.emulation import can_run
from pyoci.api.fetching import Fetching
from pyoci.api.preflight import preflight
from pyoci.api.services import Options, Services, opened
from pyoci.api.sources import read_inputs
from pyoci.build.assemble import assemble_index
from pyoci.build.builder import BuildServices, Built, build_images, plan_images
from pyoci.build.plan import PlanOptions
from pyoci.build.request import BuildRequest, SshSource
from pyoci.build.secrets import Secrets
from pyoci.digest import Digest
from pyoci.dockerfile.parser import parse_dockerfile
from pyoci.errors import UsageError
from pyoci.image import Descriptor, Image
from pyoci.platforms import Platform, parse_platform
from pyoci.reference import Reference, parse_reference

__all__ = ["BuildResult", "build"]

_DEFAULT_JOBS = 16
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
    with opened(options, pull=request.pull) as services:
        return _build(request, services)


def _build(request: BuildRequest, services: Services) -> BuildResult:
    tags = tuple(parse_reference(tag) for tag in request.tags)
    for tag in tags:
        if tag.digest is not None:
            raise UsageError(f'a tag cannot have a digest: "{tag.familiar}"')
    secrets = Secrets(request.secrets, services.environment)
    secrets.check()
    fetching = Fetching(services, secrets, _ssh_sources(request))
    opener = ContextOpener(services, fetching)
    inputs = read_inputs(request, services, opener, fetching)
    dockerfile = parse_dockerfile(inputs.dockerfile)
    bases = NamedBases(services, request.build_contexts)
    epoch = services.environment.source_date_epoch
    openers = {name: partial(opener.named, value) for name, value in bases.contexts.items()}
    build_services = BuildServices(
        store=services.store,
        bases=bases,
        trees=services.trees,
        snapshotter=services.snapshotter,
        sandbox=lambda: services.sandbox,
        contexts=LazyContexts({".": lambda: inputs.context, **openers}),
        fetcher=fetching,
        secrets=secrets,
        reporter=services.reporter,
        cancelled=services.cancelled,
        can_run=lambda platform: can_run(platform, services.environment.platform),
    )
    plans = plan_images(dockerfile, _plan_options(request, services, epoch), build_services)
    built = build_images(
        plans,
        build_services,
        build_args=request.build_args,
        labels=request.labels,
        annotations=request.annotations,
        epoch=epoch,
        jobs=request.jobs or _DEFAULT_JOBS,
        timeout_seconds=request.step_timeout_seconds,
    )
    opener.close()
    preflight(request, built, services, secrets, dockerfile.check)
    result = _result(built, tags, services, request.annotations)
    for tag in tags:
        services.store.tags.set(tag, result.descriptor)
    deliver(request, result, built, services, build_services.trees)
    return result


def _ssh_sources(request: BuildRequest) -> tuple[SshSource, ...]:
    """What `--ssh` gave; the user's agent, if nothing was given and the context is reached over ssh (as in buildx)."""
    git = git_context(str(request.context)) if not request.ssh else None
    return (SshSource("default"),) if git is not None and git.is_ssh else request.ssh


def _plan_options(request: BuildRequest, services: Services, epoch: int) -> tuple[PlanOptions, ...]:
    here = services.environment.platform
    wanted: list[Platform] = []
    for text in request.platforms:
        for part in text.split(","):
            platform = parse_platform(part, default=here)
            if platform not in wanted:
                wanted.append(platform)
    common = PlanOptions(
        target=request.target,
        platform=here,
        explicit_platform=bool(wanted),
        build_platform=here,
        build_args=request.build_args,
        epoch=epoch,
        network="none" if request.network == "none" else "host",
        allow_insecure="security.insecure" in request.allow,
        no_cache=request.no_cache,
        no_cache_stages=frozenset(name.lower() for name in request.no_cache_filter),
        show_platform=len(wanted) > 1,
    )
    return tuple(replace(common, platform=platform) for platform in wanted) or (common,)


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
