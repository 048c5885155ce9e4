"""How far a user gets on the way to a path, and what he may do there: mode bits and owners of the tree alone.

Works as the kernel does (path_resolution(7), access rights of inode(7)), inside the root of the image. Root passes
everywhere; POSIX access control lists are not read, so an entry that has one counts as permitted.
"""

from __future__ import annotations

from typing import Literal

from pyoci.layer.entry import Entry
from pyoci.layer.tree import LINK_LIMIT, Tree
from pyoci.preflight.accounts import Account
from pyoci.values import dataclass

__all__ = ["Obstacle", "Reached", "may_execute", "may_read", "may_write", "reach"]

Obstacle = Literal["missing", "not a directory", "not searchable", "loop", "elsewhere"]
"""Why a path leads nowhere. `elsewhere`: into what only a running container has (`/proc`, `/dev`, `/sys`)."""

_ACL = "system.posix_acl_access"
_READ, _WRITE, _EXECUTE = 4, 2, 1
_RUNTIME = ("proc", "dev", "sys")


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a path leads."""

    path: str
    """Absolute, without symbolic links, as far as it was followed."""
    entry: Entry | None
    obstacle: Obstacle | None = None
    links: tuple[str, ...] = ()
    """Symbolic links on the way, as `path -> target`."""

    @property
    def via(self) -> str:
        """A few words on the last symbolic link on the way, for messages; empty where there was none."""
        return f" (through the link {self.links[-1]})" if self.links else ""


def _permitted(entry: Entry, account: Account, wanted: int) -> bool:
    if _ACL in entry.xattrs:
        return True
    if account.uid == entry.uid:
        bits = entry.mode >> 6
    elif entry.gid in account.groups:
        bits = entry.mode >> 3
    else:
        bits = entry.mode
    return bits & wanted == wanted


def may_execute(entry: Entry, account: Account) -> bool:
    """Whether the user may execute a file; root may if anybody may."""
    if account.uid == 0:
        return bool(entry.mode & 0o111) or _ACL in entry.xattrs
    return _permitted(entry, account, _EXECUTE)


def may_read(entry: Entry, account: Account) -> bool:
    """Whether the user may read a file or list a directory."""
    return account.uid == 0 or _permitted(entry, account, _READ)


def may_write(entry: Entry, account: Account) -> bool:
    """Whether the user may write a file, or make files in a directory."""
    return account.uid == 0 or _permitted(entry, account, _WRITE | (_EXECUTE if entry.type == "dir" else 0))


def _may_search(entry: Entry, account: Account) -> bool:
    return account.uid == 0 or _permitted(entry, account, _EXECUTE)


def reach(tree: Tree, path: str, account: Account, *, start: str = "/") -> Reached:
    """Follows a path as the user, symbolic links included, from the directory `start` if it is relative."""
    full = path if path.startswith("/") else f"{start}/{path}"
    waiting = full.split("/")[::-1]
    here: list[str] = []
    links: list[str] = []
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del here[-1:]
            continue
        where = "/" + "/".join(here)
        directory = tree.lookup_nofollow(where)
        if directory is None or not _may_search(directory, account):
            return Reached(where, directory, "missing" if directory is None else "not searchable", tuple(links))
        step = where.rstrip("/") + "/" + part
        if not here and part in _RUNTIME:
            return Reached(step, None, "elsewhere", tuple(links))
        found = tree.lookup_nofollow(step)
        if found is None:
            return Reached(step, None, "missing", tuple(links))
        if found.type == "symlink":
            if len(links) >= LINK_LIMIT:
                return Reached(step, None, "loop", tuple(links))
            links.append(f"{step} -> {found.link}")
            if found.link.startswith("/"):
                here.clear()
            waiting += found.link.split("/")[::-1]
            continue
        if found.type != "dir" and waiting:
            return Reached(step, found, "not a directory", tuple(links))
        here.append(part)
    where = "/" + "/".join(here)
    return Reached(where, tree.lookup_nofollow(where), None, tuple(links))
