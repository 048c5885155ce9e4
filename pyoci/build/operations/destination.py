"""A tree that is being added to: what COPY, ADD and WORKDIR placed over what is there, and the layer from that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from pyoci.build.files import FileView, content_digest, resolve_path
from pyoci.errors import BuildError, LayerError
from pyoci.layer.changes import normalized
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Upsert
from pyoci.layer.protocols import OpenContent
from pyoci.values import dataclass, replace

__all__ = ["Content", "Destination", "FromFiles", "ParentRule"]

ParentRule: TypeAlias = Callable[[LayerPath, "Entry | None"], Entry]
"""The entry of a directory that has to be made at a path, in the directory above it (None for the root)."""


@dataclass(frozen=True, slots=True)
class FromFiles:
    """Bytes of a file in a source."""

    files: FileView
    entry: Entry


Content: TypeAlias = "FromFiles | Callable[[], BinaryIO]"
"""Where a placed file's bytes are: in a source, or behind a function that opens them."""


class Destination:
    """A tree with what was placed in it so far."""

    def __init__(self, below: FileView) -> None:
        self._below = below
        self._placed: dict[LayerPath, Entry] = {}
        self._contents: dict[LayerPath, Content] = {}
        self._hidden: set[LayerPath] = set()
        """Directories of the tree below that an archive replaced: nothing in them is there any more."""
        self._moved: dict[LayerPath, LayerPath] = {}
        """Where the bytes are known that `changes` keeps under the first of several hard links."""
        self._links: dict[LayerPath, list[LayerPath]] = {}
        """Hard links that were placed, by what they point to."""
        self._missing: set[str] = set()
        """What the tree below was found not to have: nothing below that needs to be asked for."""

    def lookup(self, path: LayerPath) -> Entry | None:
        """The entry at a path, not following it."""
        placed = self._placed.get(path)
        if placed is not None:
            return placed
        if self._hidden and any(parent in self._hidden for parent in _parents(path)):
            return None
        return self._lookup_below(path)

    def _lookup_below(self, path: LayerPath) -> Entry | None:
        """The entry of the tree below, whatever was placed or hidden."""
        if path.rpartition("/")[0] in self._missing:
            return None
        there = self._below.lookup_nofollow(path)
        if there is None:
            self._missing.add(path)
        return there

    def resolve(self, path: str) -> LayerPath:
        """The path with links followed inside the root."""
        return resolve_path(path, self.lookup)

    def put(self, entry: Entry, content: Content | None = None) -> None:
        """Places an entry, over what is there.

        Raises:
            BuildError: a directory would be replaced by something else, or something else by a directory.
        """
        there = self.lookup(entry.path)
        if there is not None and there.type == "dir" and entry.type != "dir":
            raise BuildError(
                f"cannot replace to directory /{entry.path} with file",
                hint="a directory of the image is in the way: remove it with RUN rm -r, or copy to another name",
            )
        if there is not None and there.type != "dir" and entry.type == "dir":
            raise BuildError(
                f"cannot copy to non-directory: /{entry.path}",
                hint="a file or link of the image is in the way: remove it with RUN rm, or copy to another name",
            )
        self._keep_links(entry.path)
        self._set(entry, content)

    def _set(self, entry: Entry, content: Content | None) -> None:
        self._placed[entry.path] = entry
        if content is None:
            self._contents.pop(entry.path, None)
        else:
            self._contents[entry.path] = content
        if entry.type == "hardlink":
            self._links.setdefault(LayerPath(entry.link), []).append(entry.path)

    def _keep_links(self, path: LayerPath) -> None:
        """Before a file is replaced: the first link to it becomes the file, the others point there."""
        links = [link for link in self._links.pop(path, ()) if self._placed[link].link == path]
        if links:
            first, *others = links
            self._set(replace(self._placed[path], path=first), self._contents.get(path))
            for other in others:
                self._set(replace(self._placed[other], link=first), None)

    def unpack(self, entry: Entry, base: LayerPath, make_parent: ParentRule, content: Content | None) -> None:
        """Places an entry of an archive below `base`: over a directory it merges, anything else it replaces."""
        parent, _, name = entry.path.rpartition("/")
        directory = self._resolve_below(base, parent)
        if self.lookup(directory) is None and directory != _joined(base, parent):
            raise BuildError(
                f"cannot unpack {entry.path}: a link on the way leads to /{directory}, which does not exist"
            )
        self._replace_non_directories(directory)
        self.make_directories(directory, make_parent)
        path = _joined(directory, name)
        there = self.lookup(path)
        if there is not None and there.type == "dir" and entry.type != "dir":
            self._hide(path)
        link = entry.link
        if entry.type == "hardlink":
            link = self._link_target(self._resolve_below(base, entry.link))
        self._keep_links(path)
        self._set(replace(entry, path=path, link=link), content)

    def _resolve_below(self, base: LayerPath, path: str) -> LayerPath:
        """A path of an archive with links followed: for an archive `base` is the root (docker unpacks in a chroot)."""
        return _joined(base, resolve_path(path, lambda below: self.lookup(_joined(base, below))))

    def _link_target(self, path: LayerPath) -> LayerPath:
        """A hard link's target, brought into this layer if it is in one below."""
        there = self.lookup(path)
        if there is None or there.type == "dir":
            raise LayerError(f'a hard link of the archive points to "{path}", which is no file')
        if path not in self._placed:
            self._set(there, FromFiles(self._below, there) if there.type == "file" else None)
        elif there.type == "hardlink":
            return LayerPath(there.link)
        return path

    def _replace_non_directories(self, path: LayerPath) -> None:
        for current in (*_parents(path), path):
            there = self.lookup(current) if current else None
            if there is not None and there.type != "dir":
                self._placed.pop(current, None)
                self._contents.pop(current, None)
                self._placed[current] = Entry(current, "dir", mode=0o755, mtime=there.mtime)

    def _hide(self, path: LayerPath) -> None:
        """Forgets a directory with all that is in it."""
        self._hidden.add(path)
        for placed in [p for p in self._placed if p.startswith(f"{path}/")]:
            del self._placed[placed]
            self._contents.pop(placed, None)

    def make_directories(self, path: LayerPath, make_parent: ParentRule) -> None:
        """Makes what is missing of a resolved path.

        Raises:
            BuildError: a component is no directory.
        """
        parts = path.split("/") if path else []
        above: Entry | None = None
        for depth in range(1, len(parts) + 1):
            current = LayerPath("/".join(parts[:depth]))
            there = self.lookup(current)
            if there is None:
                there = self._placed[current] = make_parent(current, above)
            elif there.type != "dir":
                raise BuildError(f"/{current} is not a directory", hint="something else of the image is in the way")
            above = there

    def changes(self) -> Sequence[Change]:
        """What differs from the tree below, in order; with the directories on the way as they are, as docker has
        them.
        """
        entries = {path: entry for path, entry in self._placed.items() if path and not self._is_unchanged(entry)}
        for path in list(entries):
            for parent in _parents(path):
                if parent in entries:
                    break
                there = self.lookup(parent)
                if there is not None:
                    entries[parent] = there
        changes: list[Change] = [Upsert(entry) for entry in entries.values()]
        changes.extend(Opaque(path) for path in self._hidden if path in entries and entries[path].type == "dir")
        settled, moved = normalized(changes)
        self._moved = {path: origin.path for path, origin in moved.items()}
        return settled

    def _is_unchanged(self, entry: Entry) -> bool:
        """Whether the tree below has the same at that path, but for its time: then it stays as it is."""
        there = None if self._hidden else self._lookup_below(entry.path)
        if there is None or entry.type == "hardlink" or self._links.get(entry.path):
            return False
        if replace(there, mtime=entry.mtime) != entry:
            return False
        if entry.type != "file":
            return True
        content = self._contents[entry.path]
        if not isinstance(content, FromFiles):
            return False
        return content_digest(content.files, content.entry) == content_digest(self._below, there)

    @contextmanager
    def opened(self, directory: Path) -> Iterator[OpenContent]:
        """Opens placed files, reading no blob of a source twice; `directory` is for what has to wait its turn."""
        chosen: dict[int, tuple[FileView, list[Entry]]] = {}
        for content in self._contents.values():
            if isinstance(content, FromFiles):
                chosen.setdefault(id(content.files), (content.files, []))[1].append(content.entry)
        with ExitStack() as stack:
            passes = {
                key: stack.enter_context(files.one_pass(found, directory)) for key, (files, found) in chosen.items()
            }

            def open_content(entry: Entry) -> BinaryIO | int:
                content = self._contents[self._moved.get(entry.path, entry.path)]
                if isinstance(content, FromFiles):
                    return passes[id(content.files)](content.entry)
                return content()

            yield open_content


def _joined(directory: str, path: str) -> LayerPath:
    return LayerPath("/".join(part for part in (directory, path) if part))


def _parents(path: LayerPath) -> Iterator[LayerPath]:
    position = path.rfind("/")
    while position > 0:
        yield LayerPath(path[:position])
        position = path.rfind("/", 0, position)
