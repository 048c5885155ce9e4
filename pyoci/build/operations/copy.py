"""COPY and ADD: selected files placed in a tree, written as a layer straight from where they are.

Behaviour: BuildKit's copy. A destination that is a directory, or ends in a slash, takes the source inside; missing
parents are made 0755 with the requested owner and mode; a link at the destination itself is followed, one further
down replaced.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Hashable

from pyoci.build.files import FileView
from pyoci.build.operations.destination import Destination, FromFiles
from pyoci.build.operations.selection import Selection
from pyoci.build.steps import CopyStep, InlineFile
from pyoci.dockerfile.chmod import ModeChange
from pyoci.layer.entry import Entry, LayerPath
from pyoci.values import dataclass, replace

__all__ = ["Placement", "place_inline", "place_selection"]


@dataclass(frozen=True, slots=True)
class Placement:
    """How a step wants what it places: `--chown`, `--chmod` and the time."""

    owner: tuple[int, int] | None
    mode: ModeChange | None
    epoch: int
    keep_times: bool = False
    """Files keep the times of their source, if those are not after the epoch."""

    def entry(self, source: Entry, path: LayerPath) -> Entry:
        """The source's entry as it is at `path`."""
        uid, gid = self.owner or (source.uid, source.gid)
        mode = source.mode
        if self.mode is not None and source.type != "symlink":
            mode = self.mode(source.mode, source.type == "dir")
        mtime = source.mtime if self.keep_times else self.epoch  # the layer's writer lets none be after the epoch
        return replace(source, path=path, uid=uid, gid=gid, mode=mode, mtime=mtime)

    def parent(self, path: LayerPath, above: Entry | None) -> Entry:
        """A directory that the destination implies: an octal mode is its mode too, but for set-ID and sticky bits; a
        symbolic one is not (BuildKit).

        A set-group-ID directory above hands its bit down, and its group unless an owner was named, as mkdir(2) does.
        """
        uid, gid = self.owner or (0, 0)
        mode = 0o755 if self.mode is None or self.mode.octal is None else self.mode.octal & 0o777
        if above is not None and above.mode & stat.S_ISGID:
            mode |= stat.S_ISGID
            gid = gid if self.owner else above.gid
        return Entry(path, "dir", mode=mode, uid=uid, gid=gid, mtime=self.epoch)


def _target(destination: str, name: str, is_directory: bool, to: Destination, placement: Placement) -> LayerPath:
    """Where a source goes: a directory's contents into the destination, a file inside it if that is a directory."""
    directory, _, last = destination.rpartition("/")
    to.make_directories(to.resolve(directory), placement.parent)
    path = to.resolve(destination)
    if is_directory or last in ("", "."):
        to.make_directories(path, placement.parent)
    if is_directory:
        return path
    there = to.lookup(path) if path else Entry(path, "dir")
    if there is not None and there.type == "dir":
        return LayerPath(f"{path}/{name}" if path else name)
    to.make_directories(LayerPath(path.rpartition("/")[0]), placement.parent)
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
    names: dict[Hashable, LayerPath] = {}
    for piece in selection.pieces:
        if not piece.relative and root.type == "dir":
            continue  # a destination that is made gets the placement's metadata, one that is there keeps its own
        path = LayerPath("/".join(part for part in (target, piece.relative) if part))
        there = to.lookup(path)
        if piece.implied and there is not None and there.type == "dir":
            to.put(replace(there, mode=piece.entry.mode))  # BuildKit: whatever --chmod says, and no owner
            continue
        entry = placement.entry(piece.entry, path)
        inode = files.inode(piece.entry)
        if inode is not None and names.setdefault(inode, path) != path:
            to.put(replace(entry, type="hardlink", link=names[inode], size=0))
            continue
        to.put(entry, FromFiles(files, piece.entry) if entry.type == "file" else None)


def place_inline(file: InlineFile, step: CopyStep, to: Destination, placement: Placement) -> None:
    """Places a heredoc's file (mode 0644 unless `--chmod` says otherwise)."""
    data = file.content.encode("utf-8", "surrogateescape")
    target = _target(step.destination, file.name, False, to, placement)
    source = Entry(target, "file", mode=0o644, size=len(data))
    to.put(placement.entry(source, target), lambda: io.BytesIO(data))
