"""Platforms: operating system, architecture and variant, as image-spec image-index.md and GOARCH name them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from pyoci.errors import UsageError

__all__ = ["Platform", "best_match", "normalized", "parse_platform", "platform_of_machine"]

_ARCHITECTURE = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "arm64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
}
_SYSTEMS = frozenset(
    "aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows".split()
)
_KNOWN_ARCHITECTURES = frozenset(
    "386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x wasm".split()
)
_ARM_VARIANTS = ("v8", "v7", "v6", "v5")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Platform:
    """A normalised platform: `amd64` has no variant unless v2 or higher, `arm64` none unless above v8, `arm` always has one."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`os/architecture[/variant]`."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def normalized(platform: Platform) -> Platform:
    """The same platform in the spelling that two equal ones share."""
    system = {"macos": "darwin"}.get(platform.os.lower(), platform.os.lower())
    architecture = platform.architecture.lower()
    architecture, implied = _ARCHITECTURE.get(architecture, (architecture, ""))
    variant = platform.variant.lower() or implied
    if architecture == "arm":
        variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
    elif architecture == "arm64":
        variant = {"8": "", "v8": ""}.get(variant, variant)
    elif architecture == "amd64":
        variant = {"v1": ""}.get(variant, variant)
    return Platform(system, architecture, variant, platform.os_version, platform.os_features)


def parse_platform(text: str, *, default: Platform | None = None) -> Platform:
    """The platform in `linux/arm64`, `linux/arm/v7`, `arm64` or `linux`; a missing part is taken from `default`.

    Raises:
        UsageError: more than three parts, an empty part, or a lone word that is neither a system nor an architecture.
    """
    parts = text.strip().split("/")
    if not 1 <= len(parts) <= 3 or not all(
        part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in parts
    ):
        raise UsageError(
            f'"{text}" is not a platform', hint="write it as os/architecture[/variant], such as linux/arm64"
        )
    fallback = default or Platform("linux", "amd64")
    if len(parts) == 1:
        word = parts[0].lower()
        if word in _SYSTEMS or word == "macos":
            variant = fallback.variant
            return normalized(Platform(word, fallback.architecture, variant))
        architecture, _ = _ARCHITECTURE.get(word, (word, ""))
        if architecture not in _KNOWN_ARCHITECTURES:
            raise UsageError(
                f'"{text}" is neither an operating system nor an architecture',
                hint="write it as os/architecture[/variant], such as linux/arm64",
            )
        return normalized(Platform(fallback.os, word))
    system, architecture, *variants = parts
    return normalized(Platform(system, architecture, variants[0] if variants else ""))


def platform_of_machine(system: str, machine: str) -> Platform:
    """The platform of a machine as `uname` names it (`Linux`, `x86_64`)."""
    return normalized(Platform(system, machine))


def _acceptable(wanted: Platform) -> list[tuple[str, str]]:
    """Architectures and variants that run on `wanted`, best first."""
    if wanted.architecture == "arm" and wanted.variant in _ARM_VARIANTS:
        lower = _ARM_VARIANTS[_ARM_VARIANTS.index(wanted.variant) :]
        return [("arm", variant) for variant in lower]
    if wanted.architecture == "amd64" and wanted.variant in ("v2", "v3", "v4"):
        level = int(wanted.variant[1])
        return [("amd64", f"v{n}") for n in range(level, 1, -1)] + [("amd64", "")]
    if wanted.architecture == "arm64" and wanted.variant:
        return [("arm64", wanted.variant), ("arm64", "")]
    return [(wanted.architecture, wanted.variant)]


def best_match(candidates: Iterable[T], wanted: Platform, *, platform_of: Callable[[T], Platform | None]) -> T | None:
    """The candidate that runs best on `wanted`: same variant before lower ones; the first of equals. None if none runs."""
    ranks = {key: rank for rank, key in enumerate(_acceptable(normalized(wanted)))}
    best: tuple[int, T] | None = None
    for candidate in candidates:
        platform = platform_of(candidate)
        if platform is None or platform.os.lower() != wanted.os:
            continue
        offered = normalized(platform)
        rank = ranks.get((offered.architecture, offered.variant))
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, candidate)
    return best[1] if best else None
