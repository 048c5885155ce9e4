"""How an image came to be: its history joined to its layers, as `docker history` shows it.

Spec: image-spec config.md, `history`: entries that are not `empty_layer` belong to the layers, in order.
"""

from __future__ import annotations

from collections.abc import Callable

from pyoci.digest import DiffID, Digest
from pyoci.image import Image
from pyoci.image.image import Layer
from pyoci.values import dataclass

__all__ = ["HistoryRow", "LayerBytes", "history_rows"]


@dataclass(frozen=True, slots=True)
class LayerBytes:
    """How large a layer is."""

    size: int
    is_compressed: bool = False
    """`size` is of the blob, since what is in it was never read here; otherwise it is of the files in the layer."""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One instruction, or one layer that nothing tells about."""

    created: str | None
    """RFC 3339."""
    created_by: str
    author: str
    comment: str
    empty_layer: bool
    """It changed the config alone."""
    layer: int
    """Number of its layer, counted from 0; -1 without one."""
    digest: Digest | None
    """Of the layer's blob."""
    diff_id: DiffID | None
    size: LayerBytes


def history_rows(image: Image, size_of: Callable[[Layer], LayerBytes]) -> list[HistoryRow]:
    """The rows, newest first. Layers beyond what the history tells of have rows without an instruction.

    A history that tells of more layers than there are is cut: the entries left over are shown as without one.
    """
    layers = image.layers
    rows: list[HistoryRow] = []
    number = 0
    for entry in image.config.value.history:
        has_layer = not entry.empty_layer and number < len(layers)
        rows.append(
            _row(
                layers[number] if has_layer else None,
                number if has_layer else -1,
                size_of,
                created=entry.created,
                words=(entry.created_by, entry.author, entry.comment),
            )
        )
        number += has_layer
    for rest in range(number, len(layers)):
        rows.append(_row(layers[rest], rest, size_of, created=None, words=("", "", "")))
    return rows[::-1]


def _row(
    layer: Layer | None,
    number: int,
    size_of: Callable[[Layer], LayerBytes],
    *,
    created: str | None,
    words: tuple[str, str, str],
) -> HistoryRow:
    if layer is None:
        return HistoryRow(created, *words, True, number, None, None, LayerBytes(0))
    return HistoryRow(created, *words, False, number, layer.descriptor.digest, layer.diff_id, size_of(layer))
