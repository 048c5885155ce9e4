"""Bringing changes into the one form that everything else relies on: each path once, parents before children, sorted.

What several entries mean together is decided here, as unpacking them one after the other would decide it: the last of
two with one name wins; a directory over a directory changes its attributes; any other clash replaces what was there,
with all below it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from operator import eq, ge, itemgetter
from typing import Generic, TypeVar

from pyoci.errors import LayerError
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.paths import change_key, parent_of, parents_of, tree_key
from pyoci.layer.whiteout import LINK_DIRECTORY
from pyoci.values import replace

__all__ = [
    "CAPABILITY",
    "ChangeBuilder",
    "as_hardlink",
    "described_by",
    "implied_directory",
    "normalized",
    "sorted_changes",
    "with_parents",
]

T = TypeVar("T")
CAPABILITY = "security.capability"
"""The attribute that the kernel drops when a file is given an owner."""


def implied_directory(path: LayerPath) -> Entry:
    """What a directory is that no entry describes but that must be there for what is in it."""
    return Entry(path, "dir", 0o755)


def as_hardlink(entry: Entry, path: LayerPath, target: LayerPath) -> Entry:
    """The entry by which `path` becomes another name of what `entry` describes at `target`.

    It says all that the entry says, since engines that unpack it set owner, mode, time and attributes again, and a file
    that is given an owner loses its capabilities.
    """
    return replace(entry, path=path, type="hardlink", link=target, size=0, device=(0, 0))


def described_by(entry: Entry, link: Entry) -> Entry:
    """What a file is after the entry of a hard link to it was unpacked: as the link says, the last one that speaks."""
    kept = {key: value for key, value in entry.xattrs.items() if key != CAPABILITY} if entry.xattrs else {}
    mode = entry.mode if entry.type == "symlink" else link.mode
    return replace(entry, mode=mode, uid=link.uid, gid=link.gid, mtime=link.mtime, xattrs={**kept, **link.xattrs})


class _Node(Generic[T]):
    """What a path of the layer is; the paths of one group of hard links share it."""

    __slots__ = ("entry", "payload")

    def __init__(self, entry: Entry, payload: T | None) -> None:
        self.entry = entry
        self.payload = payload


class ChangeBuilder(Generic[T]):
    """Takes changes in the order of a tar and gives the normal form. A payload, such as where the bytes are, stays
    with its file.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, _Node[T]] = {}
        self._below: dict[str, set[str]] = {"": set()}
        """Every directory, described or implied, with the paths of what is in it."""
        self._removed: set[str] = set()
        self._opaque: set[str] = set()

    def add(self, change: Change, payload: T | None = None) -> None:
        """Raises LayerError for a hard link to a directory, to itself, or to something that it replaces."""
        if isinstance(change, Upsert):
            self._add_entry(change.entry, payload)
        elif isinstance(change, Remove):
            if not change.path:
                raise LayerError("the root directory cannot be removed")
            self._enter(change.path)
            self._removed.add(change.path)
        else:
            self._make_directory(change.path)
            self._opaque.add(change.path)

    def _add_entry(self, entry: Entry, payload: T | None) -> None:
        path = entry.path
        if entry.type == "dir":
            self._make_directory(path)
            self._nodes[path] = _Node(entry, None)
            return
        if not path:
            raise LayerError(f"the root would be a {entry.type} instead of a directory")
        node = self._link_target(entry) if entry.type == "hardlink" else None
        if path in self._below:
            self._discard_below(path)
            if entry.type == "hardlink" and entry.link.startswith(f"{path}/"):
                raise LayerError(f'the hard link "{path}" replaces the directory that holds its target "{entry.link}"')
        self._enter(path)
        if node is not None:
            node.entry = described_by(node.entry, entry)
        self._nodes[path] = node or _Node(entry, payload)

    def _link_target(self, entry: Entry) -> _Node[T]:
        """What the link names, which must be in the layer already (image-spec layer.md#hardlinks)."""
        target = entry.link
        node = self._nodes.get(target)
        if target == entry.path or entry.path.startswith(f"{target}/"):
            raise LayerError(f'the hard link "{entry.path}" replaces its own target "{target}"')
        if target in self._below or (node is not None and node.entry.type == "dir"):
            raise LayerError(f'the hard link "{entry.path}" points to the directory "{target}"')
        if node is None:
            raise LayerError(f'the hard link "{entry.path}" points to "{target}", which is no file of its layer')
        return node

    def _enter(self, path: LayerPath) -> None:
        """Notes a path in its parent, which becomes a directory if it is none."""
        parent = path.rpartition("/")[0]
        below = self._below.get(parent)
        if below is None:
            self._make_directory(LayerPath(parent))
            below = self._below[parent]
        below.add(path)

    def _make_directory(self, path: LayerPath) -> None:
        if path in self._below:
            return
        for step in (*parents_of(path), path):
            if step in self._below:
                continue
            if self._nodes.pop(step, None) is not None:
                # What was replaced had hidden whatever the layers below have here, and that does not come back: not
                # what is in a directory there, and not how the directory is.
                self._opaque.add(step)
                self._nodes[step] = _Node(implied_directory(LayerPath(step)), None)
            self._below[step] = set()
            self._below[parent_of(step)].add(step)

    def _discard_below(self, path: LayerPath) -> None:
        """Forgets a directory of this layer with all that is in it."""
        waiting = [str(path)]
        while waiting:
            directory = waiting.pop()
            self._opaque.discard(directory)
            for child in self._below.pop(directory, ()):
                self._nodes.pop(child, None)
                self._removed.discard(child)
                waiting.append(child)
        self._nodes.pop(path, None)

    def drop_link_store(self) -> None:
        """Forgets the names in AUFS's directory of link targets; what links to them stays."""
        if LINK_DIRECTORY in self._below:
            self._discard_below(LINK_DIRECTORY)
            self._below[""].discard(LINK_DIRECTORY)

    def finish(self) -> list[tuple[Change, T | None]]:
        """The changes in the order of `change_key`. The first name of a group of hard links is the file, the others
        point to it.
        """
        self._settle_removals()
        result: list[tuple[str, Change, T | None]] = []
        for path in self._removed:
            removal = Remove(LayerPath(path))
            result.append((change_key(removal), removal, None))
        for path in self._opaque:
            marker = Opaque(LayerPath(path))
            result.append((change_key(marker), marker, None))
        holders: dict[int, LayerPath] = {}
        for key, name in sorted((tree_key(LayerPath(name)), name) for name in self._nodes):
            path = LayerPath(name)
            node = self._nodes[path]
            holder = holders.setdefault(id(node), path)
            if holder == path:
                entry = node.entry if node.entry.path == path else replace(node.entry, path=path)
                result.append((key, Upsert(entry), node.payload))
            else:
                result.append((key, Upsert(as_hardlink(node.entry, path, holder)), None))
        result.sort(key=itemgetter(0))
        return [(change, payload) for _, change, payload in result]

    def _settle_removals(self) -> None:
        """A path that is removed and is there again replaces what was below it."""
        for path in [path for path in self._removed if path in self._nodes or path in self._below]:
            self._removed.discard(path)
            if path in self._below:
                self._opaque.add(path)
                if path not in self._nodes:
                    self._nodes[path] = _Node(implied_directory(LayerPath(path)), None)


def sorted_changes(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes of one layer in normal form. Those that do not clash may come in any order; of others the last wins.

    Raises:
        LayerError: as `ChangeBuilder.add`, or hard links that lead in a circle.
    """
    return normalized(changes)[0]


def normalized(changes: Iterable[Change]) -> tuple[tuple[Change, ...], dict[LayerPath, Entry]]:
    """As `sorted_changes`, and by path the given entry of each file that is now held by another name of its hard links.

    That entry is what an `OpenContent` knows the bytes by.
    """
    given = tuple(changes)
    keys = list(map(change_key, given))
    candidate = given
    if any(map(ge, keys, keys[1:])):
        order = sorted(range(len(given)), key=keys.__getitem__)
        keys = [keys[i] for i in order]
        candidate = tuple(given[i] for i in order)
    if _is_normal(candidate, keys):
        return candidate, {}
    builder: ChangeBuilder[Entry] = ChangeBuilder()
    for change in _links_last(given):
        builder.add(change, change.entry if isinstance(change, Upsert) else None)
    settled = builder.finish()
    origins = {
        change.entry.path: origin
        for change, origin in settled
        if origin is not None and isinstance(change, Upsert) and origin.path != change.entry.path
    }
    return tuple(change for change, _ in settled), origins


def _is_normal(changes: tuple[Change, ...], keys: list[str]) -> bool:
    """Whether sorted changes need nothing more: no path twice, nothing below a file, no link before its target."""
    if any(map(eq, keys, keys[1:])):
        return False
    solid = "\1"
    links: list[Entry] = []
    files: set[str] = set()
    for change, key in zip(changes, keys, strict=True):
        if key.startswith(solid):
            return False
        if isinstance(change, Upsert):
            entry = change.entry
            if entry.type != "dir":
                if not key:
                    return False
                solid = key + "\0"
                files.add(entry.path)
                if entry.type == "hardlink":
                    links.append(entry)
        elif isinstance(change, Remove):
            below = tree_key(change.path)
            found = bisect_left(keys, below)
            if found < len(keys) and (keys[found] == below or keys[found].startswith(below + "\0")):
                return False
    return all(link.link in files and tree_key(LayerPath(link.link)) < tree_key(link.path) for link in links) and not (
        {link.path for link in links} & {link.link for link in links}
    )


def _links_last(changes: tuple[Change, ...]) -> Iterator[Change]:
    """The changes with hard links behind what they point to, each pointing to a path that is no link itself."""
    last = {change.entry.path: index for index, change in enumerate(changes) if isinstance(change, Upsert)}
    targets: dict[str, str] = {}
    links: list[Entry] = []
    for index, change in enumerate(changes):
        if isinstance(change, Upsert) and change.entry.type == "hardlink":
            if last[change.entry.path] == index:
                targets[change.entry.path] = change.entry.link
                links.append(change.entry)
        else:
            yield change
    for link in links:
        target = link.link
        for _ in range(len(links)):
            if target not in targets:
                break
            target = targets[target]
        if target in targets:
            raise LayerError(f'the hard link "{link.path}" leads in a circle')
        yield Upsert(link if target == link.link else replace(link, link=target))


def with_parents(
    changes: Iterable[Change],
    lookup: Callable[[LayerPath], Entry | None],
    make: Callable[[LayerPath], Entry] = implied_directory,
) -> list[Change]:
    """The changes and, for every directory above them that they do not describe, an entry: what `lookup` knows, else
    what `make` makes.

    Layers that name all their parents unpack to the same everywhere; where one is left out, unpackers differ in its
    mode.
    """
    given = list(changes)
    known = {change.entry.path for change in given if isinstance(change, Upsert)}
    added: dict[LayerPath, Change] = {}
    for change in given:
        path = change.entry.path if isinstance(change, Upsert) else change.path
        for parent in reversed(parents_of(path)):
            if parent in known:
                break
            known.add(parent)
            found = lookup(parent)
            added[parent] = Upsert(found if found is not None and found.type == "dir" else make(parent))
    return [*added.values(), *given]
