"""Holding an image against a budget: how large it may be, and how much larger than another one."""

from __future__ import annotations

from typing import Literal

from pyoci.inspection.sizes import ImageSize
from pyoci.values import dataclass

__all__ = ["Breach", "Growth", "Measure", "PathGrowth", "breaches", "growth", "size_of"]

Measure = Literal["size", "compressed"]
"""Bytes of the files, or of the blobs."""


@dataclass(frozen=True, slots=True)
class PathGrowth:
    """A file that is larger than it was, or smaller, or there in one image alone."""

    path: str
    before: int
    """Bytes; 0 where it was not there."""
    after: int

    @property
    def change(self) -> int:
        """Bytes more; negative for less."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Growth:
    """An image beside the one that it is held against."""

    against: str
    before: int
    after: int
    paths: tuple[PathGrowth, ...]
    """All files whose size changed, what grew most first."""

    @property
    def change(self) -> int:
        """Bytes more; negative for less."""
        return self.after - self.before

    @property
    def percent(self) -> float:
        """How much larger, in percent of what it was; of an empty image everything is infinitely larger."""
        if self.before:
            return 100 * self.change / self.before
        return float("inf") if self.change else 0.0


@dataclass(frozen=True, slots=True)
class Breach:
    """A budget that is exceeded."""

    budget: Literal["max-size", "max-growth"]
    limit: str
    """As it was given."""
    allowed: int
    """Bytes."""
    actual: int
    """Bytes."""


def size_of(image: ImageSize, measure: Measure) -> int:
    """The size that budgets are about."""
    return image.size if measure == "size" else image.compressed_size


def growth(before: ImageSize, after: ImageSize, measure: Measure) -> Growth:
    """What became larger and smaller from one image to the next."""
    old = {file.path: file.size for file in before.files}
    new = {file.path: file.size for file in after.files}
    changed = [
        PathGrowth(path, old.get(path, 0), new.get(path, 0))
        for path in old.keys() | new.keys()
        if old.get(path) != new.get(path)
    ]
    changed.sort(key=lambda each: (-each.change, each.path))
    return Growth(before.name, size_of(before, measure), size_of(after, measure), tuple(changed))


def breaches(
    image: ImageSize,
    grown: Growth | None,
    *,
    max_size: tuple[str, int] | None,
    max_growth: tuple[str, float | int] | None,
    measure: Measure,
) -> list[Breach]:
    """The budgets that are exceeded. A growth in percent is a float, one in bytes an int; both come with their text."""
    found: list[Breach] = []
    actual = size_of(image, measure)
    if max_size is not None and actual > max_size[1]:
        found.append(Breach("max-size", max_size[0], max_size[1], actual))
    if max_growth is not None and grown is not None:
        text, limit = max_growth
        allowed = int(grown.before * limit / 100) if isinstance(limit, float) else limit
        if grown.change > allowed:
            found.append(Breach("max-growth", text, allowed, grown.change))
    return found
