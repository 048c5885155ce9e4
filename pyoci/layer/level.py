"""One layer as the tree sees it: what it says of a path, and what it has in a directory. Immutable, so trees share
it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from pyoci.digest import Digest
from pyoci.layer.changes import normalized
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.index import CODES, OPAQUE, REMOVED, LayerIndex, index_of
from pyoci.layer.paths import change_key, tree_key
from pyoci.layer.protocols import ChangeSet, KnowsDigests

__all__ = ["Level"]


class Level:
    """Lookups in the changes of one ChangeSet. The columns of an index are used as they are; other changes are put in
    such.

    A path's *code* is the letter of its entry's type in an index, or that it is removed.
    """

    def __init__(self, changes: ChangeSet) -> None:
        self.source = changes
        sequence = changes.changes
        index = index_of(sequence)
        self._entry: Callable[[int], Entry]
        self._origins: dict[LayerPath, Entry] = {}
        if index is not None:
            self._paths: Sequence[str] = index.paths
            self._codes = index.codes
            self._positions = index.positions
            self.opaque = index.opaque
            self._entry = index.entry
        else:
            self._take(*normalized(sequence))
        self._keys: list[str] | None = None
        self.digest_of: Callable[[Entry], Digest | None] | None = None
        if isinstance(changes, KnowsDigests):
            self.digest_of = changes.digest_of
        self.linked = self._linked(index)
        """Paths of this layer that hard links of this layer point to."""

    def _take(self, changes: Sequence[Change], origins: dict[LayerPath, Entry]) -> None:
        self._origins = origins
        entries: list[Entry | None] = [change.entry if isinstance(change, Upsert) else None for change in changes]
        self._paths = [change.entry.path if isinstance(change, Upsert) else change.path for change in changes]
        self._codes = "".join(
            CODES[change.entry.type]
            if isinstance(change, Upsert)
            else OPAQUE
            if isinstance(change, Opaque)
            else REMOVED
            for change in changes
        )
        self.opaque = frozenset(change.path for change in changes if isinstance(change, Opaque))
        self._positions = {path: i for i, path in enumerate(self._paths) if self._codes[i] != OPAQUE}

        def entry_at(position: int) -> Entry:
            entry = entries[position]
            if entry is None:
                raise ValueError("a removal has no entry")
            return entry

        self._entry = entry_at

    def _linked(self, index: LayerIndex | None) -> frozenset[str]:
        if index is not None:
            return frozenset(target for i, target in index.links.items() if index.codes[i] == "h")
        return frozenset(self._entry(i).link for i, code in enumerate(self._codes) if code == "h")

    def code(self, path: str) -> str:
        """What the layer says of exactly this path; empty if nothing."""
        position = self._positions.get(path)
        return "" if position is None else self._codes[position]

    def entry(self, path: str) -> Entry:
        """The entry of a path that has one."""
        return self._entry(self._positions[path])

    def origin(self, path: LayerPath) -> Entry:
        """The entry by which the source knows the bytes of a file."""
        return self._origins.get(path) or self.entry(path)

    def implies(self, path: LayerPath) -> bool:
        """Whether the layer has something in this directory, or marks it opaque, though perhaps no entry for it."""
        if path in self.opaque:
            return True
        keys = self._sorted_keys()
        prefix = tree_key(path) + "\0"
        found = bisect_left(keys, prefix)
        return found < len(keys) and keys[found].startswith(prefix)

    def names(self, directory: LayerPath) -> Iterator[str]:
        """The names that the layer has in a directory, sorted: of entries, of directories that are implied, of what
        it removes.

        A name may come twice.
        """
        keys = self._sorted_keys()
        prefix = tree_key(directory) + "\0"
        start = len(prefix)
        position = bisect_left(keys, prefix)
        count = len(keys)
        while position < count and (key := keys[position]).startswith(prefix):
            position += 1
            if key[start : start + 1] == "\0":  # a removal, or the marker of an opaque directory, which has no name
                if len(key) > start + 1:
                    yield key[start + 1 :]
                continue
            end = key.find("\0", start)
            name = key[start:] if end < 0 else key[start:end]
            yield name
            below = prefix + name + "\0"
            if position < count and keys[position].startswith(below):
                position = bisect_left(keys, prefix + name + "\1", position)

    def _sorted_keys(self) -> list[str]:
        if self._keys is None:
            if REMOVED in self._codes or OPAQUE in self._codes:
                keys = [self._key(i) for i in range(len(self._paths))]
            else:
                keys = ["\0" + path.replace("/", "\0") if path else "" for path in self._paths]
            self._keys = keys
        return self._keys

    def _key(self, position: int) -> str:
        path = LayerPath(self._paths[position])
        code = self._codes[position]
        if code == OPAQUE:
            return change_key(Opaque(path))
        if code == REMOVED:
            return change_key(Remove(path))
        return tree_key(path)
