"""The image config: platform, what to run, the layers' diff IDs and the history.

Spec: image-spec config.md; Healthcheck, OnBuild, Shell and ArgsEscaped are moby's docker-image-spec, which Docker reads
from OCI configs as well. Keys that this code does not know are kept in `extra`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from pyoci.digest import DiffID
from pyoci.platforms import Platform
from pyoci.values import dataclass, field

__all__ = ["JSON", "ContainerConfig", "Healthcheck", "History", "ImageConfig"]

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """How Docker tests that a container works. Durations are nanoseconds; 0 means the default."""

    test: tuple[str, ...] = ()
    """Empty inherits, `("NONE",)` disables, `("CMD", …)` runs, `("CMD-SHELL", …)` runs through the shell."""
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """Defaults for a container of the image (image-spec config.md, `config`)."""

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    """`port/protocol`, sorted."""
    env: tuple[str, ...] = ()
    """`NAME=value`, in order; a name occurs once."""
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    """Sorted paths."""
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    extra: Mapping[str, JSON] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class History:
    """How one layer, or one change of the config alone, came to be."""

    created: str | None = None
    """RFC 3339."""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The whole config document. `diff_ids` has one entry per layer of the manifest, lowest first."""

    platform: Platform
    config: ContainerConfig = field(default_factory=ContainerConfig)
    diff_ids: tuple[DiffID, ...] = ()
    history: tuple[History, ...] = ()
    created: str | None = None
    """RFC 3339."""
    author: str = ""
    extra: Mapping[str, JSON] = field(default_factory=dict, hash=False)
