"""`size`: where the bytes of an image are, and whether it keeps to a budget."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import Literal

from pyoci.api.anywhere import see
from pyoci.api.services import Options, Services, opened
from pyoci.errors import UsageError
from pyoci.inspection.budget import Breach, Growth, breaches, growth
from pyoci.inspection.sizes import ImageSize, measure
from pyoci.regex import regex
from pyoci.values import dataclass

__all__ = ["SizeReport", "size"]

_SIZE = regex(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?))?b?", re.IGNORECASE)
_PERCENT = regex(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True, slots=True)
class SizeReport:
    """What was measured, and which budgets are exceeded."""

    image: ImageSize
    growth: Growth | None
    """Since the image that it is held against."""
    breaches: tuple[Breach, ...]
    """Empty where the budgets are kept."""
    measure: Literal["size", "compressed"]
    """What budgets and growth are about: bytes of the files, or of the blobs."""


def size(
    name: str,
    *,
    against: str = "",
    max_size: str = "",
    max_growth: str = "",
    compressed: bool = False,
    platform: str = "",
    options: Options | None = None,
) -> SizeReport:
    """Where the bytes of an image are; `name` and `against` are written as `pyoci.api.anywhere` says.

    `max_size` is a number of bytes, or one with `kB`, `MB`, `GB` (powers of 1000) or `KiB`, `MiB`, `GiB` (of 1024);
    `max_growth` is such a size or a percentage, `5%`. They limit the bytes of the files of all layers, or with
    `compressed` those of the blobs. Layers that are not here are fetched.

    Raises:
        UsageError: a name, platform or budget is none, or a growth is limited and nothing is named to grow from.
        ContentNotFound, RegistryError, LayerError, ContentError: there is no such image, or it cannot be read.
    """
    if max_growth and not against:
        raise UsageError("a limit of growth needs an image to grow from", hint="name it with --against IMAGE")
    size_limit = (max_size, _bytes(max_size, "--max-size")) if max_size else None
    growth_limit = (max_growth, _growth(max_growth)) if max_growth else None
    kind: Literal["size", "compressed"] = "compressed" if compressed else "size"
    with opened(options) as services, ExitStack() as stack:
        image = _measured(name, platform, services, stack)
        grown = growth(_measured(against, platform, services, stack), image, kind) if against else None
    found = breaches(image, grown, max_size=size_limit, max_growth=growth_limit, measure=kind)
    return SizeReport(image, grown, tuple(found), kind)


def _measured(name: str, platform: str, services: Services, stack: ExitStack) -> ImageSize:
    image = see(name, platform, services, stack).image
    return measure(name, image, services.trees.of_stack(image.layers))


def _bytes(text: str, flag: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f'invalid size "{text}" for {flag}', hint="write bytes, or a number with kB, MB, GB or MiB")
    unit = 1024 if found[3] else 1000
    return int(float(found[1]) * unit ** "_kmgt".index((found[2] or "_").lower()))


def _growth(text: str) -> float | int:
    percent = _PERCENT.fullmatch(text.strip())
    return float(percent[1]) if percent else _bytes(text, "--max-growth")
