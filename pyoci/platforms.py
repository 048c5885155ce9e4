"""Platforms: operating system, architecture and variant, as image-spec image-index.md and GOARCH name them.

Spelling and fallbacks are containerd's, which docker and BuildKit share: `aarch64` is `arm64`, and `amd64`
runs `386` too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from pyoci.errors import UsageError
from pyoci.regex import regex
from pyoci.values import dataclass

__all__ = ["Platform", "best_match", "completed", "normalized", "parse_platform", "platform_of_machine"]

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "loongarch64": "loong64",
    "i486": "386",
    "i586": "386",
    "i686": "386",
}
_WITH_VARIANT = {
    "i386": ("386", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
}
"""Names that say the variant as well; one given beside them does not count."""
# fmt: off
_SYSTEMS = frozenset({
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "macos", "nacl",
    "netbsd", "openbsd", "plan9", "solaris", "wasip1", "windows", "zos",
})
_KNOWN_ARCHITECTURES = frozenset({
    "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64", "mips64le",
    "mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64",
    "wasm",
})
# fmt: on
_SYSTEM_PART = regex(r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?")
_PART = regex(r"[A-Za-z0-9_.-]+")
_HINT = "write it as os/architecture[/variant], such as linux/arm64"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Platform:
    """As it stands in a document, or normalised by this module.

    Normalised, `amd64` has no variant unless v2 or higher, `arm64` none unless above v8, `arm` always one.
    """

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
    system = platform.os.lower()
    architecture, variant = platform.architecture.lower(), platform.variant.lower()
    if architecture in _WITH_VARIANT:
        architecture, variant = _WITH_VARIANT[architecture]
    architecture = _ARCHITECTURES.get(architecture, architecture)
    if architecture == "arm":
        variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
    elif architecture == "arm64":
        variant = {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"}.get(variant, variant)
    elif architecture == "amd64":
        variant = {"v1": ""}.get(variant, variant)
    features = tuple(sorted(set(platform.os_features)))
    return Platform("darwin" if system == "macos" else system, architecture, variant, platform.os_version, features)


def completed(platform: Platform, offered: Platform | None, wanted: Platform | None) -> Platform:
    """What a config says of its platform, in Go's names; what it leaves out, its index says as `offered`.

    A system that neither names is the `wanted` one. A platform that has both parts in Go's names stays as it is.
    """
    if not (platform.os and platform.architecture):
        system = platform.os or (offered.os if offered else "") or (wanted.os if wanted else "")
        architecture, variant = platform.architecture, platform.variant
        if not architecture and offered:
            architecture, variant = offered.architecture, variant or offered.variant
        platform = Platform(system, architecture, variant, platform.os_version, platform.os_features)
    known = normalized(platform)
    is_known = (known.os, known.architecture) == (platform.os, platform.architecture)
    return platform if is_known else known


def parse_platform(text: str, *, default: Platform | None = None) -> Platform:
    """The platform in `linux/arm64`, `linux/arm/v7`, `arm64` or `linux`; a missing part is taken from `default`.

    `local` is `default` itself, and `windows(10.0.17763+win32k)/amd64` has an OS version and features, as in buildx.

    Raises:
        UsageError: more than three parts, an empty part, or a lone word that is neither a system nor an architecture.
    """
    fallback = normalized(default or Platform("linux", "amd64"))
    if text == "local":
        return fallback
    first, *rest = text.strip().split("/")
    system = _SYSTEM_PART.fullmatch(first)
    if system is None or len(rest) > 2 or not all(_PART.fullmatch(part) for part in rest):
        raise UsageError(f'"{text}" is not a platform', hint=_HINT)
    name, version, features = system[1], _unquote(system[2] or ""), system[3] or ""
    options = tuple(_unquote(feature) for feature in features.split("+")[1:])
    if not rest:
        word = first.lower()
        if name.lower() in _SYSTEMS:
            return normalized(Platform(name, fallback.architecture, fallback.variant, version, options))
        if normalized(Platform("", word)).architecture not in _KNOWN_ARCHITECTURES:
            raise UsageError(f'"{text}" is neither an operating system nor an architecture', hint=_HINT)
        return normalized(Platform(fallback.os, word))
    architecture, *variants = rest
    return normalized(Platform(name, architecture, variants[0] if variants else "", version, options))


def _unquote(text: str) -> str:
    from urllib.parse import unquote  # only an OS version or feature with a sign in it needs it

    return unquote(text) if "%" in text else text


def platform_of_machine(system: str, machine: str) -> Platform:
    """The platform of a machine as `uname` names it (`Linux`, `x86_64`)."""
    return normalized(Platform(system, machine))


def _level(variant: str) -> int:
    """The number in `v7`; 0 where there is none."""
    digits = variant.removeprefix("v")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 3 else 0


def _arm_levels(variant: str) -> list[tuple[str, str]]:
    lower = range(_level(variant) - 1, 4, -1)
    return [("arm", variant), *(("arm", f"v{level}") for level in lower)]


def _arm64_levels(variant: str) -> list[tuple[str, str]]:
    """ARMv9.n has everything of ARMv8.(n+5), and ARMv8.9 is the last of its kind; every one runs 32-bit ARM."""
    known = re.fullmatch(r"v8(?:\.([1-9]))?|(v9)(?:\.([1-7]))?", variant or "v8")
    if known is None:
        return [("arm64", variant)]
    minor = int(known[1] or known[3] or 0)
    levels = [("arm64", f"v9.{n}" if n else "v9") for n in range(minor, -1, -1)] if known[2] else []
    top = min(minor + 5, 9) if known[2] else minor
    levels += [("arm64", f"v8.{n}" if n else "") for n in range(top, -1, -1)]
    return levels + _arm_levels("v8")


def _acceptable(wanted: Platform) -> list[tuple[str, str]]:
    """Architectures and variants that run on `wanted`, best first."""
    if wanted.architecture == "arm":
        return _arm_levels(wanted.variant)
    if wanted.architecture == "arm64":
        return _arm64_levels(wanted.variant)
    if wanted.architecture == "amd64":
        levels = [("amd64", wanted.variant)]
        levels += [("amd64", f"v{n}" if n > 1 else "") for n in range(_level(wanted.variant) - 1, 0, -1)]
        return [*levels, ("386", "")]
    return [(wanted.architecture, wanted.variant)]


def best_match(candidates: Iterable[T], wanted: Platform, *, platform_of: Callable[[T], Platform | None]) -> T | None:
    """The candidate that runs best on `wanted`: same variant before lower ones, the first of equals; None if none runs.

    One that needs OS features which `wanted` does not name is passed over; of the others, one that uses more is better.
    One that does not name its OS is for any, as containerd reads it; one without an architecture is for none.
    """
    wanted = normalized(wanted)
    ranks: dict[tuple[str, str], int] = {}
    for place, key in enumerate(_acceptable(wanted)):
        ranks.setdefault(key, place)
    best: tuple[tuple[int, int], T] | None = None
    for candidate in candidates:
        platform = platform_of(candidate)
        if platform is None:
            continue
        offered = normalized(platform)
        if (offered.os or wanted.os) != wanted.os or not set(offered.os_features) <= set(wanted.os_features):
            continue
        rank = ranks.get((offered.architecture, offered.variant))
        if rank is not None:
            order = (rank, -len(offered.os_features))
            if best is None or order < best[0]:
                best = (order, candidate)
    return best[1] if best else None
