"""Following a path through an image as the kernel would, with the image's root for root.

Every component must be there before `..` leads back out of it, only directories are walked through, and symbolic links
are followed up to the kernel's limit (path_resolution(7)). Who asks is root: permissions are not in the way.
"""

from __future__ import annotations

import difflib
import errno

from pyoci.errors import ContentNotFound, LayerError
from pyoci.layer.entry import Entry
from pyoci.layer.tree import LINK_LIMIT, Tree
from pyoci.values import dataclass

__all__ = ["Followed", "follow", "not_there"]

_SUGGESTIONS = 3


@dataclass(frozen=True, slots=True)
class Followed:
    """Where a path led."""

    path: str
    """Absolute, without links and `..`, as far as it was followed."""
    entry: Entry | None
    """What is there; None where `error` says why it leads nowhere."""
    error: int = 0
    """ENOENT, ENOTDIR or ELOOP."""


def follow(tree: Tree, path: str, *, follow_last: bool = True) -> Followed:
    """Where a path leads, from the root; a link at its end is followed if `follow_last`, or if a slash is behind it."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    must_be_directory = path.endswith(("/", "/.")) and bool(parts)
    waiting = parts[::-1]
    here: list[str] = []
    links = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            del here[-1:]
            continue
        step = "/".join([*here, part])
        entry = tree.lookup_nofollow(step)
        if entry is None:
            return Followed(f"/{step}", None, errno.ENOENT)
        if entry.type == "symlink" and (waiting or follow_last or must_be_directory):
            links += 1
            if links > LINK_LIMIT:
                return Followed(f"/{step}", None, errno.ELOOP)
            if entry.link.startswith("/"):
                here.clear()
            must_be_directory = must_be_directory or (not waiting and entry.link.endswith(("/", "/.")))
            waiting += [name for name in entry.link.split("/")[::-1] if name not in ("", ".")]
            continue
        if entry.type != "dir" and (waiting or must_be_directory):
            return Followed(f"/{step}", None, errno.ENOTDIR)
        here.append(part)
    where = "/".join(here)
    return Followed(f"/{where}", tree.lookup_nofollow(where))


def not_there(tree: Tree, path: str, found: Followed, name: str) -> ContentNotFound | LayerError:
    """The error for a path that leads nowhere in the image called `name`, with what was perhaps meant."""
    at = "" if found.path.strip("/") == path.strip("/") else f": {found.path}"
    if found.error == errno.ELOOP:
        return LayerError(f'"{path}" leads through more than {LINK_LIMIT} symbolic links{at}')
    if found.error == errno.ENOTDIR:
        return ContentNotFound(f'"{path}" is not in {name}{at or ": it"} is no directory')
    close = _near(tree, found.path)
    hint = f"did you mean {' or '.join(close)}?" if close else None
    return ContentNotFound(f'"{path}" is not in {name}{f"{at} does not exist" if at else ""}', hint=hint)


def _near(tree: Tree, path: str) -> list[str]:
    """Paths in the same directory with a name like the one that is missing."""
    parent, _, name = path.rpartition("/")
    names = {entry.path.rpartition("/")[2]: entry.path for entry in tree.children(parent)}
    folded = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), folded, n=_SUGGESTIONS)
    return [f"/{names[folded[each]]}" for each in close]
