"""Paths inside layers: from the names in archives to LayerPath, and the order in which layers are written."""

from __future__ import annotations

from pyoci.errors import LayerError
from pyoci.layer.entry import Change, LayerPath, Opaque, Remove

__all__ = ["PATH_LIMIT", "ROOT", "change_key", "join", "layer_path", "parent_of", "parents_of", "tree_key"]

ROOT = LayerPath("")
PATH_LIMIT = 4096
"""Bytes that a path may have (PATH_MAX); it bounds how deep directories nest as well."""


def layer_path(name: str) -> LayerPath:
    """The path that a name in an archive means: leading slashes are dropped, `.` and `..` resolved in the text alone.

    Raises:
        LayerError: it leads out of the root, holds a NUL or is too long.
    """
    path = name.strip("/")
    if path.startswith("./"):
        path = path[2:].strip("/")
    if "/." in path or path.startswith(".") or "//" in path:
        path = _clean(path, name)
    if "\0" in path:
        raise LayerError(f"the name {name[:200]!r} holds a NUL byte")
    if len(path) > PATH_LIMIT // 4 and len(path.encode("utf-8", "surrogateescape")) > PATH_LIMIT:
        raise LayerError(f'the name "{name[:80]}…" is longer than {PATH_LIMIT} bytes')
    return LayerPath(path)


def _clean(path: str, name: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                raise LayerError(f'the name "{name[:200]}" leads out of the root')
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def join(directory: LayerPath, name: str) -> LayerPath:
    """The path of `name` in a directory."""
    return LayerPath(f"{directory}/{name}" if directory else name)


def parent_of(path: LayerPath) -> LayerPath:
    """The directory that holds `path`; the root's is the root."""
    return LayerPath(path.rpartition("/")[0])


def parents_of(path: LayerPath) -> list[LayerPath]:
    """The directories above `path`, outermost first, without the root."""
    found = []
    end = path.find("/")
    while end != -1:
        found.append(LayerPath(path[:end]))
        end = path.find("/", end + 1)
    return found


def tree_key(path: LayerPath) -> str:
    """A string whose order is that of a depth-first walk: what is below a directory follows it without a gap.

    NUL is the one byte that no name holds; it sorts before all others, so `a`, `a/b`, `a-b` come in that order.
    """
    return "\0" + path.replace("/", "\0") if path else ""


def change_key(change: Change) -> str:
    """As `tree_key`, with what concerns the layers below first: a directory, its opaque marker, its removals, its
    entries.
    """
    match change:
        case Remove(path):
            directory, _, name = path.rpartition("/")
            return f"{tree_key(LayerPath(directory))}\0\0{name}"
        case Opaque(path):
            return tree_key(path) + "\0\0"
        case _:
            return tree_key(change.entry.path)
