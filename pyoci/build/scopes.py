"""Variables while a Dockerfile is planned: global arguments, platform built-ins, and what a stage knows.

Order and precedence are BuildKit's: in a stage, ENV and ARG write into one environment and the later one counts; only
ENV reaches the image. A built-in argument must be declared again in the stage that uses it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyoci.dockerfile.expand import expand
from pyoci.dockerfile.instructions import Arg, Dockerfile
from pyoci.platforms import Platform
from pyoci.values import dataclass, field

__all__ = [
    "EPOCH_NAME",
    "PROXY_NAMES",
    "BuildArguments",
    "StageVariables",
    "global_arguments",
    "platform_arguments",
    "with_epoch",
]

EPOCH_NAME = "SOURCE_DATE_EPOCH"
"""The build argument that is the time of everything new."""
PROXY_NAMES = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
"""Build arguments that every RUN gets without a declaration; in no history, no key and no image."""


def platform_arguments(build: Platform, target: Platform, target_stage: str) -> dict[str, str]:
    """The built-in arguments: BUILDPLATFORM, TARGETARCH and so on."""
    values = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        values[f"{prefix}PLATFORM"] = str(platform)
        values[f"{prefix}OS"] = platform.os
        values[f"{prefix}OSVERSION"] = platform.os_version
        values[f"{prefix}ARCH"] = platform.architecture
        values[f"{prefix}VARIANT"] = platform.variant
    values["TARGETSTAGE"] = target_stage or "default"
    return values


@dataclass(slots=True)
class BuildArguments:
    """Values of `--build-arg`, and which of them some ARG asked for."""

    values: Mapping[str, str]
    used: set[str] = field(default_factory=set)

    def get(self, name: str) -> str | None:
        """The value given on the command line."""
        if name in self.values:
            self.used.add(name)
        return self.values.get(name)

    def with_epoch(self, value: str) -> BuildArguments:
        """The same with another SOURCE_DATE_EPOCH, if it was given; without it, if the value is empty."""
        return BuildArguments(with_epoch(self.values, value), self.used)

    def unused(self) -> list[str]:
        """Names that no ARG declared, without those that need none."""
        return sorted(set(self.values) - self.used - PROXY_NAMES - _SILENT)


_SILENT = frozenset(
    {
        "BUILDKIT_BUILD_NAME",
        "BUILDKIT_CACHE_MOUNT_NS",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
        "BUILDKIT_DOCKERFILE_CHECK",
        "BUILDKIT_INLINE_CACHE",
        "BUILDKIT_MULTI_PLATFORM",
        "BUILDKIT_SANDBOX_HOSTNAME",
        "BUILDKIT_SBOM_SCAN_CONTEXT",
        "BUILDKIT_SBOM_SCAN_STAGE",
        "BUILDKIT_SYNTAX",
        EPOCH_NAME,
    }
)


def with_epoch(values: Mapping[str, str], value: str) -> dict[str, str]:
    """The values with another SOURCE_DATE_EPOCH where they have one; without it, if the value is empty."""
    changed = {name: text for name, text in values.items() if name != EPOCH_NAME}
    return {**changed, EPOCH_NAME: value} if EPOCH_NAME in values and value else changed


def global_arguments(dockerfile: Dockerfile, builtins: Mapping[str, str], arguments: BuildArguments) -> dict[str, str]:
    """What FROM may use, and what an ARG without a default takes: built-ins, then every ARG before the first FROM.

    Raises:
        DockerfileError: a default cannot be expanded.
    """
    scope = dict(builtins)
    for instruction in dockerfile.meta_args:
        for definition in instruction.definitions:
            name = definition.name.text
            value = arguments.get(name)
            default = definition.default
            if value is None and default is not None:
                value = expand(default.text, scope.get, dockerfile.escape, location=default.location)
            if value is not None:
                scope[name] = value
    return scope


@dataclass(slots=True)
class StageVariables:
    """The environment of one stage as it is at the instruction that is planned now."""

    environment: dict[str, str]
    """ENV and ARG, in order of their first assignment."""
    declared: dict[str, str | None] = field(default_factory=dict)
    """Every ARG of the stage and of those that it builds on."""

    def copy(self) -> StageVariables:
        """What a stage that builds on this one begins with."""
        return StageVariables(dict(self.environment), dict(self.declared))

    def declare(self, arg: Arg, scope: Mapping[str, str], arguments: BuildArguments, escape: str) -> str:
        """Takes the values of an ARG; returns the text of its history entry.

        Raises:
            DockerfileError: a default cannot be expanded.
        """
        texts = []
        for definition in arg.definitions:
            name = definition.name.text
            value = arguments.get(name)
            default = definition.default
            if value is None and default is not None:
                value = expand(default.text, self.environment.get, escape, location=default.location)
            elif value is None:
                value = scope.get(name)
            if value is not None and name not in ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"):
                self.environment[name] = value
            self.declared[name] = value
            texts.append(name if value is None else f"{name}={value}")
        return "ARG " + " ".join(texts)

    def history_prefix(self) -> str:
        """`|2 A=1 B=2 ` before a RUN in history, as docker has written arguments since its first builder."""
        pairs = [f"{name}={self.environment.get(name, value or '')}" for name, value in self.declared.items()]
        return f"|{len(pairs)} {' '.join(pairs)} " if pairs else ""
