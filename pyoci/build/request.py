"""What a user asks `pyoci build` for, as one frozen value. Names and meanings are `docker build`'s."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from pyoci.values import dataclass, field

__all__ = ["BuildRequest", "CachePlace", "Output", "OutputType", "SecretSource", "SshSource"]

OutputType = Literal["image", "registry", "oci", "docker", "local", "tar"]


@dataclass(frozen=True, slots=True)
class Output:
    """One `--output`: what to make of the image, and where."""

    type: OutputType
    destination: str = ""
    """A path, or `-` for standard output; empty where the type needs none."""
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What else was given: `name`, `push`, `tar`, `compression`, `annotation.…`."""


@dataclass(frozen=True, slots=True)
class CachePlace:
    """One `--cache-from` or `--cache-to`: where records of steps are, beside the store."""

    type: str
    """`registry`, `local` or `inline`; other engines know more."""
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    """`ref`, `src`, `dest`, `tag`, `mode`, `ignore-error` and the like."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """One `--secret`: where its value comes from. The value itself is read when a step needs it."""

    id: str
    file: str = ""
    env: str = ""


@dataclass(frozen=True, slots=True)
class SshSource:
    """One `--ssh`: an agent's socket, or the file of a key."""

    id: str
    path: str = ""
    """Empty means the agent of SSH_AUTH_SOCK."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Everything that one build depends on, besides the Environment."""

    context: str | Path = "."
    """A directory, a tar archive, `-` for standard input, a URL, or a git repository."""
    file: str | Path = ""
    """The Dockerfile: a path, a URL, or `-`; empty means `Dockerfile` in the context."""
    stdin: BinaryIO | bytes | None = field(default=None, repr=False)
    """Standard input, if the context or the Dockerfile is `-`."""
    tags: tuple[str, ...] = ()
    target: str = ""
    platforms: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict, hash=False)
    build_contexts: Mapping[str, str] = field(default_factory=dict, hash=False)
    outputs: tuple[Output, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    squash: bool = False
    """The layers of the build are joined to one."""
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    """Stages that are built without the cache."""
    cache_from: tuple[CachePlace, ...] = ()
    """Where steps are looked for before the store."""
    cache_to: tuple[CachePlace, ...] = ()
    """Where what the steps added is put for others."""
    pull: bool = False
    network: Literal["default", "host", "none"] = "default"
    secrets: tuple[SecretSource, ...] = ()
    ssh: tuple[SshSource, ...] = ()
    allow: frozenset[str] = frozenset()
    """Entitlements: `security.insecure`, `network.host`."""
    add_hosts: tuple[tuple[str, str], ...] = ()
    """Name and address pairs for /etc/hosts of RUN."""
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict, hash=False)
    """Soft and hard limit by docker's name; -1 is no limit."""
    shm_size: int = 0
    """Bytes of /dev/shm; 0 is the default of 64 MiB."""
    memory: int = 0
    """Bytes that one RUN may use; 0 is no limit."""
    cgroup_parent: str = ""
    """Where RUN gets its cgroup."""
    ca_bundle: str = ""
    """Certificates that RUN is shown while it executes: `host` for the machine's own, or a file; in no key."""
    step_timeout_seconds: float | None = None
    preflight: Literal["error", "warn", "off"] = "warn"
    """What findings about the finished image do: end the build, warn, or nothing is looked at."""
    preflight_for: Literal["", "kubernetes"] = ""
    """Whose rules count besides those that every runtime has."""
    preflight_skip: tuple[str, ...] = ()
    """Rules that do not count, by name."""
    provenance: Literal["", "min", "max"] = ""
    """How much is told of the build in an attestation beside the image; empty makes none."""
    sbom: bool = False
    """Whether an attestation beside the image lists its packages."""
    builder_id: str = ""
    """A URI of who builds, for the provenance."""
    isolation: str = ""
    """A rung of the sandbox's ladder; empty chooses the best that works."""
    jobs: int = 0
    """Steps that run at once; 0 means one per processor, at least two."""
