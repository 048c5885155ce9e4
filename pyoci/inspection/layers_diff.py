"""Which layers two images share: the same tar, however it is compressed."""

from __future__ import annotations

from collections.abc import Iterator

from pyoci.digest import DiffID
from pyoci.image import Image
from pyoci.image.image import Layer
from pyoci.inspection.history import LayerBytes, history_rows
from pyoci.values import dataclass

__all__ = ["LayerPair", "layer_pairs"]


@dataclass(frozen=True, slots=True)
class LayerPair:
    """One layer, in both images or in one."""

    diff_id: DiffID
    before: Layer | None
    after: Layer | None
    before_number: int
    """Counted from 0; -1 where it is not there."""
    after_number: int
    created_by: str

    @property
    def is_shared(self) -> bool:
        """Whether both images have it."""
        return self.before is not None and self.after is not None

    @property
    def is_same_blob(self) -> bool:
        """Whether it is stored as the same bytes, so that a registry keeps it once."""
        return (
            self.before is not None
            and self.after is not None
            and self.before.descriptor.digest == self.after.descriptor.digest
        )


def layer_pairs(before: Image, after: Image) -> list[LayerPair]:
    """The layers of the first image in order, each followed by those of the second that come before the next shared
    one; a layer that an image has twice is paired in order.
    """
    return list(_pairs(before, after))


def _pairs(before: Image, after: Image) -> Iterator[LayerPair]:
    old, new = before.layers, after.layers
    partners: dict[int, int] = {}
    free: dict[DiffID, list[int]] = {}
    for number, layer in enumerate(new):
        free.setdefault(layer.diff_id, []).append(number)
    for number, layer in enumerate(old):
        if free.get(layer.diff_id):
            partners[number] = free[layer.diff_id].pop(0)
    taken = set(partners.values())
    told_old, told_new = _instructions(before), _instructions(after)
    shown = 0

    def alone(until: int) -> Iterator[LayerPair]:
        nonlocal shown
        for number in range(shown, until):
            if number not in taken:
                yield LayerPair(new[number].diff_id, None, new[number], -1, number, told_new.get(number, ""))
        shown = max(shown, until)

    for number, layer in enumerate(old):
        partner = partners.get(number, -1)
        if partner >= 0:
            yield from alone(partner)
            yield LayerPair(layer.diff_id, layer, new[partner], number, partner, told_new.get(partner, ""))
        else:
            yield LayerPair(layer.diff_id, layer, None, number, -1, told_old.get(number, ""))
    yield from alone(len(new))


def _instructions(image: Image) -> dict[int, str]:
    return {row.layer: row.created_by for row in history_rows(image, lambda _: LayerBytes(0)) if row.layer >= 0}
