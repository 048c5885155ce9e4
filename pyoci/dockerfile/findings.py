"""What the build checks are given and what they give: knowledge from outside, findings, and who may skip them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from pyoci.dockerfile.checks import NO_CHECK_OPTIONS, CheckOptions
from pyoci.dockerfile.patterns import PatternSet
from pyoci.dockerfile.rules import RULES, Rule
from pyoci.location import Location
from pyoci.platforms import Platform
from pyoci.values import dataclass, field

__all__ = ["BaseImage", "BaseLookup", "CheckInputs", "Finding", "Findings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """What the checks want to know of a base image's config."""

    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    platform: Platform | None = None


BaseLookup: TypeAlias = Callable[[str, Platform], "BaseImage | None"]
"""The image of a name (its variables expanded) for a platform; None where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckInputs:
    """What a Dockerfile does not say itself."""

    builtins: Mapping[str, str] = field(hash=False)
    """The platform arguments: BUILDPLATFORM, TARGETARCH and so on."""
    target_platform: Platform
    build_args: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Values of `--build-arg`."""
    base_image: BaseLookup = lambda name, platform: None
    ignore: PatternSet | None = None
    """Of the main context's `.dockerignore`; None without one."""
    stages: frozenset[int] | None = None
    """Stages that the target needs, by index; None checks all of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found."""

    rule: Rule
    message: str
    location: Location
    """As near as possible; `lines` of the instruction are what tools that read BuildKit's findings expect."""
    lines: tuple[int, int]


class Findings:
    """Collects findings, leaving out what `# check=` skips in the file or right above the instruction."""

    def __init__(self, options: CheckOptions) -> None:
        self._options = options
        self._found: list[Finding] = []

    def add(
        self,
        name: str,
        message: str,
        location: Location,
        *,
        lines: tuple[int, int] | None = None,
        check: CheckOptions = NO_CHECK_OPTIONS,
    ) -> None:
        """Notes what the rule of that name found, unless it is skipped."""
        rule = RULES[name]
        options = self._options if check is NO_CHECK_OPTIONS else self._options.merged(check)
        if options.wants(name, experimental=rule.experimental):
            self._found.append(Finding(rule, message, location, lines or (location.line, location.last_line)))

    def in_order(self) -> list[Finding]:
        """All of them, by line; within a line as they were found."""
        return sorted(self._found, key=lambda finding: finding.lines[0])
