"""Preflight of a build: looks at what was built, before it is named or delivered, and keeps the verdict.

A verdict depends on an image's bytes alone, so it is kept by the image's digest: a cached build reads one small record.
Nothing is downloaded to look at it unless findings are to be errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyoci.build.builder import Built
from pyoci.build.plan import Plan
from pyoci.build.request import BuildRequest
from pyoci.build.steps import ImageStep
from pyoci.digest import digest_hex
from pyoci.dockerfile.checks import CheckOptions
from pyoci.errors import Cancelled, PreflightError, PyociError, raise_collected
from pyoci.image import ContainerConfig
from pyoci.location import Location
from pyoci.platforms import Platform
from pyoci.preflight.findings import Audience, Finding, decode_findings, encode_findings, known_rules, located_at
from pyoci.values import replace

if TYPE_CHECKING:
    from pyoci.api.leaks import LeakSearch
    from pyoci.api.services import Services
    from pyoci.layer.tree import Tree

__all__ = ["StoreMemory", "examine", "looks_for_leaks", "preflight"]

_VERSION = 1
"""Raised whenever the same image would be judged otherwise."""


class StoreMemory:
    """Implements preflight's `Memory` with records of the store."""

    def __init__(self, services: Services) -> None:
        self._store = services.store

    def get(self, key: str) -> bytes | None:
        return self._store.read_file("records", key)

    def put(self, key: str, value: bytes) -> None:
        self._store.write_file("records", key, value)


def looks_for_leaks(request: BuildRequest, check: CheckOptions) -> bool:
    """Whether `preflight` refuses an image with a secret in it.

    Raises:
        UsageError: a rule that is to be skipped does not exist.
    """
    skip = known_rules(request.preflight_skip) | check.skip
    return request.preflight != "off" and not check.skip_all and "SecretLeaked" not in skip


def preflight(
    request: BuildRequest, built: tuple[Built, ...], services: Services, search: LeakSearch, check: CheckOptions
) -> None:
    """Reports findings as warnings, or raises them where errors are to end the build. A leaked secret always does.

    `check` is what the Dockerfile's `# check=` says: it skips these rules too.

    Raises:
        PreflightError: one for each finding, together.
        UsageError: a rule that is to be skipped does not exist.
    """
    skip = known_rules(request.preflight_skip) | check.skip
    if request.preflight == "off" or check.skip_all:
        return
    fatal: list[Finding] = []
    for one in built:
        if looks_for_leaks(request, check):
            fatal += located_at(search.findings(one), _locations(one))
        if not _is_to_run(request) or _is_all_the_base(one):
            continue
        for found in _verdict(request, one, services):
            if found.rule in skip or found.severity == "note":
                continue
            named = replace(found, message=f"{one.plan.platform}: {found.message}") if len(built) > 1 else found
            if request.preflight == "error" and found.severity == "error":
                fatal.append(named)
            else:
                services.reporter.warning(f"preflight: {named.line()}", location=named.location)
    raise_collected([_as_error(found) for found in fatal])


def _as_error(found: Finding) -> PreflightError:
    return PreflightError(f"{found.message} ({found.rule})", hint=found.hint or None, location=found.location)


def _is_to_run(request: BuildRequest) -> bool:
    """Whether an image is made, and not only a directory or tar of files."""
    only_files = bool(request.outputs) and all(output.type in ("local", "tar") for output in request.outputs)
    return bool(request.tags) or not only_files


def _is_all_the_base(one: Built) -> bool:
    """Whether what runs is the base's own: nothing that this build could have broken."""
    base = one.plan.base
    if base is None or len(base.layers) != len(one.image.layers):
        return False
    mine, theirs = one.image.config.value, base.config.value
    same = mine.platform.architecture == theirs.platform.architecture
    return same and _what_runs(mine.config) == _what_runs(theirs.config)


def _what_runs(config: ContainerConfig) -> tuple[object, ...]:
    parts = (config.entrypoint or (), config.cmd or (), config.healthcheck, config.shell)
    return (*parts, config.user, config.env, config.working_dir or "/")


def _verdict(request: BuildRequest, one: Built, services: Services) -> list[Finding]:
    """The findings about an image: those that are kept, else found now."""
    audience = request.preflight_for
    key = f"preflight{_VERSION}{audience and '-' + audience}-{digest_hex(one.image.digest)}"
    raw = services.store.read_file("records", key)
    found = decode_findings(raw) if raw is not None else None
    if found is None:
        if request.preflight == "warn" and not _is_here(one, services):
            services.reporter.message(
                "preflight: not looked at, since layers of the base are not here; "
                "--preflight=error or pyoci check fetches them"
            )
            return []
        try:
            config = one.image.config.value
            tree = services.trees.of(one.filesystem)
            found = examine(config.config, config.platform, tree, services, audience=audience)
        except Cancelled:
            raise
        except PyociError as error:
            if request.preflight == "error":
                raise
            services.reporter.warning(f"preflight: the image could not be looked at: {error.message}")
            return []
        services.store.write_file("records", key, encode_findings(found))
    return located_at(found, _locations(one))


def examine(
    config: ContainerConfig, platform: Platform, tree: Tree, services: Services, *, audience: Audience = ""
) -> list[Finding]:
    """All findings about an image, without places; what is learned of its files is kept in the store.

    Raises:
        LayerError, ContentError, RegistryError: a layer's bytes cannot be had.
    """
    from pyoci.preflight.check import check_image

    spool = services.store.root / "tmp"
    return check_image(config, platform, tree, audience=audience, spool=spool, memory=StoreMemory(services))


def _is_here(one: Built, services: Services) -> bool:
    """Whether the tree of the image can be had without a download."""
    store = services.store
    layers = one.plan.base.layers if one.plan.base else ()
    return all(
        store.has(layer.descriptor) or (store.root / "indexes" / digest_hex(layer.diff_id)).exists() for layer in layers
    )


def _locations(one: Built) -> dict[str, Location]:
    """Where causes stand in the Dockerfile: what the plan knows, and the instruction that made each new layer."""
    locations = dict(one.plan.locations)
    layers = list(_instructions(one.plan))
    first = len(one.filesystem.stack) - len(layers)
    for number, location in enumerate(reversed(layers), first):
        if location is not None:
            locations[f"layer {number}"] = location
    return locations


def _instructions(plan: Plan) -> Iterator[Location | None]:
    """The places of the steps that made the target's layers, uppermost first."""
    vertex = plan.graph.vertices[plan.target]
    while not isinstance(vertex.step, ImageStep):
        yield vertex.location
        vertex = plan.graph.vertices[vertex.inputs[0]]
