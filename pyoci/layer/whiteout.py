"""Whiteouts: how a layer says that something of the layers below is gone. The only module that spells their names.

Spec: image-spec layer.md#whiteouts. AUFS bookkeeping at the top of a layer (`.wh..wh.aufs`, `.wh..wh.orph`,
`.wh..wh.plnk`) is read as docker reads it: left out, except that files below `.wh..wh.plnk` may be the targets of
hard links. A character device 0:0 is what overlayfs keeps a whiteout as, and layers that were made of its directories
have them as such; containerd and docker unpack them as they are, so that they hide what is below. The root directory is
of nobody's making: containerd passes over its entry.
"""

from __future__ import annotations

from pyoci.errors import LayerError
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert

__all__ = ["LINK_DIRECTORY", "interpret", "marker_path", "refuse_marker_name"]

_PREFIX = ".wh."
_META = ".wh..wh."
_OPAQUE = ".wh..wh..opq"
LINK_DIRECTORY = LayerPath(".wh..wh.plnk")
"""Where AUFS kept the files that hard links point to; never part of what a layer shows."""


def interpret(entry: Entry) -> Change | None:
    """What an entry of a layer's tar means; None for AUFS bookkeeping and for the root directory.

    Raises:
        LayerError: a whiteout that names nothing, leads elsewhere or is a directory.
    """
    path = entry.path
    if _PREFIX not in path:
        if entry.type == "char" and entry.device == (0, 0):
            return Remove(path)
        if entry.type == "dir" and not path:
            return None
        return Upsert(entry)
    directory, _, name = path.rpartition("/")
    if path.startswith(_META) and path != _OPAQUE:
        return Upsert(entry) if entry.type == "file" and path.startswith(f"{LINK_DIRECTORY}/") else None
    if directory.startswith(_PREFIX) or f"/{_PREFIX}" in directory:
        raise LayerError(f'"{path}" lies below a whiteout')
    if not name.startswith(_PREFIX):
        return Upsert(entry)
    if entry.type == "dir":
        raise LayerError(f'the whiteout "{path}" is a directory')
    if name == _OPAQUE:
        return Opaque(LayerPath(directory))
    removed = name[len(_PREFIX) :]
    if removed in ("", ".", ".."):
        raise LayerError(f'the whiteout "{path}" names nothing that could be removed')
    return Remove(LayerPath(f"{directory}/{removed}" if directory else removed))


def marker_path(change: Remove | Opaque) -> LayerPath:
    """The name under which the change is written into a tar."""
    if isinstance(change, Opaque):
        return LayerPath(f"{change.path}/{_OPAQUE}" if change.path else _OPAQUE)
    directory, _, name = change.path.rpartition("/")
    if not name:
        raise LayerError("the root directory cannot be removed")
    return LayerPath(f"{directory}/{_PREFIX}{name}" if directory else _PREFIX + name)


def refuse_marker_name(path: LayerPath) -> None:
    """Stops a file whose name would be read as a whiteout.

    Raises:
        LayerError: a component of the path begins with the whiteout prefix.
    """
    if _PREFIX in path and (path.startswith(_PREFIX) or f"/{_PREFIX}" in path):
        raise LayerError(
            f'"{path}" cannot be stored in a layer: a name that begins with {_PREFIX} means that a file is removed',
            hint="rename the file",
        )
