"""Dockerfile to plan: every variable expanded, every base a digest, config and history known (DESIGN D6).

Pure but for what it asks its `Bases`. The plan is a graph of steps and the config of the target; carrying it out
touches file systems alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from pyoci.build.graph import Graph, VertexID
from pyoci.digest import Digest
from pyoci.image.config import ContainerConfig, History
from pyoci.image.image import Image
from pyoci.location import Location
from pyoci.platforms import Platform
from pyoci.reference import Reference
from pyoci.values import dataclass

__all__ = ["Base", "BaseImage", "Bases", "Plan", "PlanOptions", "PlannedRun"]


@dataclass(frozen=True, slots=True)
class BaseImage:
    """Which image a base is, for whoever asks later what went in."""

    name: str
    """As it is called in the Dockerfile."""
    reference: Reference | None
    """None for one that is in no registry: of a layout or an archive."""
    digest: Digest
    """Of the manifest or index that the name stands for."""
    platform: Platform


@dataclass(frozen=True, slots=True)
class Base:
    """What a name in FROM, `COPY --from` or `--mount=from` stands for when it is no stage."""

    title: str
    """Fully qualified and pinned: `docker.io/library/alpine:3.20@sha256:…`."""
    image: Image | None = None
    origin: BaseImage | None = None
    """Where the image is from, if it is one."""
    context: str = ""
    """Name of the context, if it is files and no image."""
    host: tuple[str, ...] = ()
    """Directories of this machine, if it is the machine's own toolchain."""
    environment: tuple[str, ...] = ()
    """What a stage over the machine's toolchain begins with: `NAME=value`."""


class Bases(Protocol):
    """What planning asks of the outside: manifests and configs, never layers."""

    def named(self, name: str, platform: Platform) -> Base | None:
        """What `--build-context` gave for a name (a stage's, or an image's in any spelling); None if nothing."""

    def image(self, name: str, platform: Platform) -> Base:
        """The image that a reference means.

        Raises:
            UsageError, ContentError, RegistryError.
        """


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What a plan depends on besides the Dockerfile."""

    target: str
    platform: Platform
    """Of the image to be made."""
    explicit_platform: bool
    """Whether the user asked for it; else a base of another platform decides."""
    build_platform: Platform
    build_args: Mapping[str, str]
    epoch: int
    """Seconds since 1970: the time of everything new."""
    epoch_argument: str | None = None
    """What SOURCE_DATE_EPOCH is in stages, where it was given or has a default: unset if this is empty. None: as it is
    written.
    """
    network: Literal["host", "none"] = "host"
    hostname: str = "buildkitsandbox"
    allow_insecure: bool = False
    allow_host_network: bool = False
    no_cache: bool = False
    no_cache_stages: frozenset[str] = frozenset()
    cache_namespace: str = ""
    """Keeps the cache mounts of unlike projects apart (BUILDKIT_CACHE_MOUNT_NS)."""
    show_platform: bool = False
    """Titles name the platform (several are built at once)."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A RUN and the platform that its commands are for, so that emulation is refused before anything runs."""

    platform: Platform
    location: Location


@dataclass(frozen=True, slots=True)
class Plan:
    """One image to be made."""

    graph: Graph
    target: VertexID
    """The vertex whose file system the image has."""
    platform: Platform
    config: ContainerConfig
    author: str
    base: Image | None
    """The image at the bottom, whose history comes first; None over scratch."""
    history: tuple[History, ...]
    """Of what this Dockerfile adds: one entry per instruction, `empty_layer` where it adds no layer."""
    runs: tuple[PlannedRun, ...]
    locations: Mapping[str, Location]
    """Where the config's parts come from: `entrypoint`, `cmd`, `user`, `expose`, `healthcheck`, `workdir`, `from`."""
    unused_args: tuple[str, ...] = ()
    base_images: tuple[BaseImage, ...] = ()
    """Every image that something of the graph comes from."""
    host_stages: tuple[str, ...] = ()
    """Names or numbers of stages that stand on this machine's own toolchain."""
