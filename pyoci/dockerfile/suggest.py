"""The nearest of some names, for "did you mean": at most two edits away, as BuildKit suggests."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["nearest"]

_FARTHEST = 2


def nearest(word: str, names: Iterable[str], *, swaps: bool = True) -> str | None:
    """The name that takes the fewest edits from `word`; the first of equals; None if all are far.

    An edit inserts, removes or replaces a letter, or with `swaps` exchanges two neighbours.
    """
    best, best_distance = None, _FARTHEST + 1
    for name in names:
        if abs(len(name) - len(word)) < best_distance:
            distance = _distance(word, name, swaps=swaps)
            if 0 < distance < best_distance:
                best, best_distance = name, distance
    return best


def _distance(a: str, b: str, *, swaps: bool) -> int:
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, character in enumerate(a, 1):
        current = [i]
        for j, other in enumerate(b, 1):
            cost = min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (character != other))
            if swaps and i > 1 and j > 1 and character == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        before, previous = previous, current
    return previous[-1]
