"""COPY and ADD: selected files placed in a tree, written as a layer straight from where they are.

Behaviour: BuildKit's copy. A destination that is a directory, or ends in a slash, takes the source inside; missing parents
are made 0755 with the requested owner and mode; a link at the destination itself is followed, one further down replaced.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypeAlias

from pyoci.build.files import FileView, resolve_path
from pyoci.build.operations.selection import Selection
from pyoci.build.steps import CopyStep, InlineFile
from pyoci.errors import BuildError, LayerError
from pyoci.layer.changes import sorted_changes
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Upsert
from pyoci.layer.protocols import OpenContent

__all__ = ["Destination", "ModeRule", "Placement", "place_inline", "place_selection"]

ModeRule = Callable[[int, bool], int]
"""A `--chmod`: new mode for an old one and whether it is a directory."""


@dataclass(frozen=True, slots=True)
class _FromFiles:
    """Bytes of a file in a source."""

    files: FileView
    entry: Entry


Content: TypeAlias = "_FromFiles | Callable[[], BinaryIO]"
"""Where a placed file's bytes are: in a source, or behind a function that opens them."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How a step wants what it places: `--chown`, `--chmod` and the time."""

    owner: tuple[int, int] | None
    mode: ModeRule | None
    epoch: int

    def entry(self, source: Entry, path: LayerPath) -> Entry:
        """The source's entry as it is at `path`."""
        uid, gid = self.owner or (source.uid, source.gid)
        mode = source.mode
        if self.mode is not None and source.type != "symlink":
            mode = self.mode(source.mode, source.type == "dir")
        return replace(source, path=path, uid=uid, gid=gid, mode=mode, mtime=self.epoch)

    def parent(self, path: LayerPath) -> Entry:
        """A directory that the destination implies."""
        uid, gid = self.owner or (0, 0)
        mode = self.mode(0o755, True) if self.mode else 0o755
        return Entry(path, "dir", mode=mode, uid=uid, gid=gid, mtime=self.epoch)


class Destination:
    """A tree with what was placed in it so far."""

    def __init__(self, below: FileView) -> None:
        self._below = below
        self._placed: dict[LayerPath, Entry] = {}
        self._contents: dict[LayerPath, Content] = {}
        self._hidden: set[LayerPath] = set()
        """Directories of the tree below that an archive replaced: nothing in them is there any more."""

    def lookup(self, path: LayerPath) -> Entry | None:
        """The entry at a path, not following it."""
        placed = self._placed.get(path)
        if placed is not None:
            return placed
        if self._hidden and any(parent in self._hidden for parent in _parents(path)):
            return None
        return self._below.lookup_nofollow(path)

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
        self._placed[entry.path] = entry
        if content is None:
            self._contents.pop(entry.path, None)
        else:
            self._contents[entry.path] = content

    def unpack(self, entry: Entry, base: LayerPath, placement: Placement, content: Content | None) -> None:
        """Places an entry of an archive below `base`: over a directory it merges, anything else it replaces."""
        parent, _, name = entry.path.rpartition("/")
        directory = self.resolve(f"{base}/{parent}")
        implied = Placement(None, None, placement.epoch)
        self._replace_non_directories(directory)
        self.make_directories(directory, implied)
        path = LayerPath(f"{directory}/{name}" if directory else name)
        there = self.lookup(path)
        if there is not None and there.type == "dir" and entry.type != "dir":
            self._hide(path)
        uid, gid = placement.owner or (entry.uid, entry.gid)
        link = entry.link
        if entry.type == "hardlink":
            link = self._link_target(f"{base}/{entry.link}")
        self._placed[path] = replace(entry, path=path, uid=uid, gid=gid, link=link)
        self._contents.pop(path, None)
        if content is not None:
            self._contents[path] = content

    def _link_target(self, target: str) -> LayerPath:
        """A hard link's target, brought into this layer if it is in one below."""
        path = self.resolve(target)
        there = self.lookup(path)
        if there is None or there.type == "dir":
            raise LayerError(f'a hard link of the archive points to "{target.strip("/")}", which is no file')
        if path not in self._placed:
            self._placed[path] = there
            if there.type == "file":
                self._contents[path] = _FromFiles(self._below, there)
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

    def make_directories(self, path: LayerPath, placement: Placement) -> None:
        """Makes what is missing of a resolved path.

        Raises:
            BuildError: a component is no directory.
        """
        parts = path.split("/") if path else []
        for depth in range(1, len(parts) + 1):
            current = LayerPath("/".join(parts[:depth]))
            there = self.lookup(current)
            if there is None:
                self._placed[current] = placement.parent(current)
            elif there.type != "dir":
                raise BuildError(f"/{current} is not a directory", hint="something else of the image is in the way")

    def changes(self) -> Sequence[Change]:
        """What was placed, in order; with the directories on the way as they are below, as docker writes them."""
        entries = dict(self._placed)
        for path in self._placed:
            for parent in _parents(path):
                if parent not in entries:
                    there = self._below.lookup_nofollow(parent)
                    if there is not None:
                        entries[parent] = there
        changes: list[Change] = [Upsert(entry) for entry in entries.values() if entry.path]
        changes.extend(Opaque(path) for path in self._hidden if path in entries and entries[path].type == "dir")
        return sorted_changes(changes)

    @contextmanager
    def opened(self, directory: Path) -> Iterator[OpenContent]:
        """Opens placed files, reading no blob of a source twice; `directory` is for what has to wait its turn."""
        chosen: dict[int, tuple[FileView, list[Entry]]] = {}
        for content in self._contents.values():
            if isinstance(content, _FromFiles):
                chosen.setdefault(id(content.files), (content.files, []))[1].append(content.entry)
        with ExitStack() as stack:
            passes = {
                key: stack.enter_context(files.one_pass(found, directory)) for key, (files, found) in chosen.items()
            }

            def open_content(entry: Entry) -> BinaryIO | int:
                content = self._contents[entry.path]
                if isinstance(content, _FromFiles):
                    return passes[id(content.files)](content.entry)
                return content()

            yield open_content


def _parents(path: LayerPath) -> Iterator[LayerPath]:
    position = path.rfind("/")
    while position > 0:
        yield LayerPath(path[:position])
        position = path.rfind("/", 0, position)


def _target(destination: str, name: str, is_directory: bool, to: Destination, placement: Placement) -> LayerPath:
    """Where a source goes: a directory's contents into the destination, a file inside it if that is a directory."""
    directory, _, last = destination.rpartition("/")
    to.make_directories(to.resolve(directory), placement)
    path = to.resolve(destination)
    if is_directory or last in ("", "."):
        to.make_directories(path, placement)
    if is_directory:
        return path
    there = to.lookup(path) if path else Entry(path, "dir")
    if there is not None and there.type == "dir":
        return LayerPath(f"{path}/{name}" if path else name)
    to.make_directories(LayerPath(path.rpartition("/")[0]), placement)
    return path


def place_selection(
    selection: Selection, files: FileView, step: CopyStep, to: Destination, placement: Placement
) -> None:
    """Places one source argument.

    Raises:
        BuildError: something of another kind is in the way.
    """
    root = selection.root
    target = _target(step.destination, selection.name, root.type == "dir", to, placement)
    for piece in selection.pieces:
        if not piece.relative and root.type == "dir":
            continue  # a destination that is made gets the placement's metadata, one that is there keeps its own
        path = LayerPath("/".join(part for part in (target, piece.relative) if part))
        there = to.lookup(path)
        if piece.implied and there is not None and there.type == "dir":
            continue
        content = _FromFiles(files, piece.entry) if piece.entry.type == "file" else None
        to.put(placement.entry(piece.entry, path), content)


def place_inline(file: InlineFile, step: CopyStep, to: Destination, placement: Placement) -> None:
    """Places a heredoc's file (mode 0644 unless `--chmod` says otherwise)."""
    data = file.content.encode("utf-8", "surrogateescape")
    target = _target(step.destination, file.name, False, to, placement)
    source = Entry(target, "file", mode=0o644, size=len(data))
    to.put(placement.entry(source, target), lambda: io.BytesIO(data))
