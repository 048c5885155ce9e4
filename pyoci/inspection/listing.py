"""The files of an image as a list, each with who owns it and which layer it is from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pyoci.digest import Digest
from pyoci.inspection.paths import follow, not_there
from pyoci.layer.entry import Entry, EntryType
from pyoci.layer.tree import Tree
from pyoci.values import dataclass, field

__all__ = ["ListedFile", "Names", "list_tree", "listed", "read_names"]

_PASSWD_LIMIT = 4 << 20


@dataclass(frozen=True, slots=True)
class ListedFile:
    """What is at one path of an image."""

    path: str
    """Absolute. Bytes that are not UTF-8 are surrogate escapes."""
    type: EntryType
    """Never `hardlink`: a hard link is the file that it is."""
    mode: int
    uid: int
    gid: int
    user: str
    """Name of the owner in the image's own passwd; empty where it has none."""
    group: str
    size: int
    """Bytes of content."""
    mtime: int
    """Seconds since the epoch."""
    link: str
    """Where a symbolic link points."""
    device: tuple[int, int]
    layer: int
    """Which layer describes it, counted from 0; -1 for a directory that none describes."""
    digest: Digest | None = None
    """Of a file's content."""
    xattrs: Mapping[str, bytes] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Names:
    """Names of users and groups by their numbers."""

    users: Mapping[int, str] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)


def read_names(tree: Tree) -> Names:
    """The names in /etc/passwd and /etc/group of an image; of several for one number, the first.

    Raises:
        LayerError, ContentError: their bytes cannot be had.
    """
    return Names(_numbered(tree, "/etc/passwd"), _numbered(tree, "/etc/group"))


def _numbered(tree: Tree, path: str) -> dict[int, str]:
    found = follow(tree, path).entry
    if found is None or found.type != "file" or found.size > _PASSWD_LIMIT:
        return {}
    with tree.open(found) as stream:
        text = stream.read(_PASSWD_LIMIT).decode("utf-8", "surrogateescape")
    names: dict[int, str] = {}
    for line in text.split("\n"):
        name, *rest = line.split(":")
        if name and len(rest) > 1 and rest[1].isascii() and rest[1].isdigit() and len(rest[1]) < 12:
            names.setdefault(int(rest[1]), name)
    return names


def listed(tree: Tree, entry: Entry, names: Names | None = None) -> ListedFile:
    """An entry of a tree with what else is known of it."""
    known = names or _NAMELESS
    return ListedFile(
        path=f"/{entry.path}",
        type=entry.type,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        user=known.users.get(entry.uid, ""),
        group=known.groups.get(entry.gid, ""),
        size=entry.size,
        mtime=entry.mtime,
        link=entry.link,
        device=entry.device,
        layer=tree.layer_of(entry),
        digest=tree.digest_of(entry),
        xattrs=entry.xattrs,
    )


_NAMELESS = Names()


def list_tree(
    tree: Tree, path: str = "/", *, name: str, recursive: bool = False, follow_last: bool = True
) -> Iterator[ListedFile]:
    """What is in a directory, sorted by name, or the one thing at a path. `name` is what errors call the image.

    `recursive` goes on below, depth first. A link at the end of the path is followed if `follow_last`; others are not.

    Raises:
        ContentNotFound, LayerError: the path leads nowhere.
    """
    found = follow(tree, path, follow_last=follow_last)
    if found.entry is None:
        raise not_there(tree, path, found, name)
    entries: Iterable[Entry] = [found.entry]
    if found.entry.type == "dir":
        entries = tree.walk(found.entry.path) if recursive else tree.children(found.entry.path)
    names = read_names(tree)
    for entry in entries:
        yield listed(tree, entry, names)
