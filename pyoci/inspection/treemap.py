"""The size report as one HTML file: a treemap to click through, with everything that it needs inside it.

The image is hostile: names reach the page as JSON in which nothing can end the element around it, and the script puts
them there as text. The page's own policy lets nothing run but this script, and nothing be fetched. The same image gives
the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import TypeAlias

from pyoci.inspection.printable import printable
from pyoci.inspection.sizes import FileSize, ImageSize

__all__ = ["treemap_html"]

_MOST_FILES = 20_000
"""Files with a cell of their own; smaller ones of a directory share one."""
_DEEPEST = 100
"""Directories below each other; what lies deeper is shown in the last of them. Readers of JSON nest only so deep."""
_MOST_WASTED = 500

_Node: TypeAlias = "list[str | int | list[_Node]]"
_Made: TypeAlias = "tuple[_Node, dict[int, int]]"
"""`[name, size, layer]` of a file, with the children behind it of a directory. A directory's layer is the one that most
of its bytes are from."""


def treemap_html(size: ImageSize) -> str:
    """The page."""
    folder = files("pyoci.inspection") / "report"
    page, style, script = (
        (folder / f"treemap.{kind}").read_text(encoding="utf-8").strip() for kind in ("html", "css", "js")
    )
    parts = {
        "STYLE_HASH": _policy_hash(style),
        "SCRIPT_HASH": _policy_hash(script),
        "TITLE": html.escape(f"{printable(size.name)}: size"),
        "STYLE": style,
        "SCRIPT": script,
        "DATA": _embedded(_data(size)),
    }
    pieces = page.split("@")
    return "".join(piece if number % 2 == 0 else parts[piece] for number, piece in enumerate(pieces)) + "\n"


def _policy_hash(text: str) -> str:
    """What Content-Security-Policy calls an inline script or style (CSP level 3, hash-source)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(value: object) -> str:
    """JSON that stays inside a script element, whatever is in its strings (HTML, restrictions of script contents)."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(size: ImageSize) -> dict[str, object]:
    return {
        "name": printable(size.name),
        "digest": size.digest,
        "size": size.visible_size,
        "total": size.size,
        "compressed": size.compressed_size,
        "lost": size.wasted_size,
        "layers": [
            {
                "number": layer.number,
                "files": layer.files,
                "size": layer.size,
                "compressed": layer.compressed_size,
                "wasted": layer.wasted_size,
                "by": printable(layer.created_by)[:500],
            }
            for layer in size.layers
        ],
        "wasted": [
            [printable(file.path), file.size, file.layer, f"{file.how} in layer {file.hidden_by}"]
            for file in size.wasted[:_MOST_WASTED]
        ],
        "root": _tree(size.files),
    }


class _Directory:
    """A directory while its files are being counted."""

    __slots__ = ("children", "files", "small", "small_count")

    def __init__(self) -> None:
        self.children: dict[str, _Directory] = {}
        self.files: list[tuple[str, FileSize]] = []
        self.small: dict[int, int] = {}
        """Bytes by layer of files that have no cell of their own."""
        self.small_count = 0


def _tree(files_in_sight: tuple[FileSize, ...]) -> _Node:
    """The directories as nested nodes."""
    largest = sorted(files_in_sight, key=lambda file: (-file.size, file.path))
    shown = {file.path for file in largest[:_MOST_FILES]}
    root = _Directory()
    for file in files_in_sight:
        directory = root
        *folders, name = file.path.split("/")[1:]
        for folder in folders[:_DEEPEST]:
            directory = directory.children.setdefault(folder, _Directory())
        if file.path in shown:
            directory.files.append(("/".join([*folders[_DEEPEST:], name]), file))
        else:
            directory.small[file.layer] = directory.small.get(file.layer, 0) + file.size
            directory.small_count += 1
    order = [("", root)]
    for _, directory in order:
        order.extend(directory.children.items())
    made: dict[int, _Made] = {}
    for folder, directory in reversed(order):
        made[id(directory)] = _node(folder, directory, made)
    return made[id(root)][0]


def _node(name: str, directory: _Directory, made: dict[int, _Made]) -> _Made:
    """A directory whose subdirectories are made, and its bytes by layer."""
    rows: list[tuple[int, str, _Node]] = []
    by_layer = dict(directory.small)
    for short, file in directory.files:
        by_layer[file.layer] = by_layer.get(file.layer, 0) + file.size
        rows.append((file.size, short, [printable(short), file.size, file.layer]))
    if directory.small_count:
        size = sum(directory.small.values())
        label = f"({directory.small_count} smaller files)"
        rows.append((size, label, [label, size, _most(directory.small)]))
    for short, child in directory.children.items():
        node, below = made.pop(id(child))
        for layer, size in below.items():
            by_layer[layer] = by_layer.get(layer, 0) + size
        rows.append((sum(below.values()), short, node))
    rows.sort(key=lambda row: (-row[0], row[1]))
    children: list[_Node] = [row[2] for row in rows]
    return [printable(name), sum(by_layer.values()), _most(by_layer), children], by_layer


def _most(by_layer: dict[int, int]) -> int:
    """The layer with the most bytes; of equals the lowest."""
    return min(by_layer, key=lambda layer: (-by_layer[layer], layer), default=-1)
