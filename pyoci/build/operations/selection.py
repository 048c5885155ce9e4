"""What COPY and ADD read: source arguments resolved in a tree, patterns expanded, excluded paths left out.

The same selection is hashed for the cache key and placed by the operation, so that the two cannot differ.
Behaviour: BuildKit's copy (Go `filepath.Match` patterns that never cross a slash, links of a source argument followed
inside the source, directories give their contents).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from pyoci.build.files import FileView, content_digest
from pyoci.build.steps import CopySource, CopyStep
from pyoci.digest import Digest
from pyoci.dockerfile.patterns import PatternSet, go_match, has_wildcards, match_components
from pyoci.errors import BuildError, DockerfileError
from pyoci.layer.entry import Entry, LayerPath
from pyoci.values import dataclass

__all__ = ["Piece", "Selection", "missing", "select", "selection_digest"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry to be placed."""

    entry: Entry
    relative: str
    """Where, below the selection's destination; empty for the source itself."""
    implied: bool = False
    """A directory that is there only because something below it matched (`--parents`)."""


@dataclass(frozen=True, slots=True)
class Selection:
    """One source argument, or one match of its pattern."""

    source: CopySource
    name: str
    """Last component as matched: what a file is called inside a destination directory."""
    pieces: tuple[Piece, ...]
    """The source itself first, then what is in it; a directory before its contents."""

    @property
    def root(self) -> Entry:
        return self.pieces[0].entry


def select(step: CopyStep, source: CopySource, files: FileView) -> list[Selection]:
    """What one source argument stands for, in order. A pattern may match nothing; a plain path must exist, and so
    must the directory in which a pattern is looked for.

    Raises:
        BuildError: a plain path is not there, or no such directory.
    """
    if step.parents:
        return [_parents(step, source, files)]
    path = _clean(source.path)
    if source.pattern and has_wildcards(path):
        return [_selection(step, source, files, match) for match in _expand(path, files)]
    if not source.pattern:
        path = source.path.strip("/")
    return [_selection(step, source, files, path)]


def _clean(path: str) -> str:
    """The path without `.`, `..` and doubled slashes, relative to the root of the source."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _expand(pattern: str, files: FileView) -> Iterator[str]:
    """Paths that match, in order. A directory that matches is not searched further (BuildKit's resolveWildcards).

    Raises:
        BuildError: what stands before the first pattern is not there.
    """
    parts = pattern.split("/")
    first = next(i for i, part in enumerate(parts) if has_wildcards(part))
    base = files.resolve("/".join(parts[:first]))
    if base and files.lookup_nofollow(base) is None:
        raise missing("/".join(parts[:first]), files)
    yield from _matches(base, parts[first:], files)


def _matches(directory: LayerPath, parts: Sequence[str], files: FileView) -> Iterator[str]:
    try:
        for entry in files.children(directory):
            if not go_match(parts[0], entry.path.rpartition("/")[2]):
                continue
            if len(parts) == 1:
                yield entry.path
            elif entry.type == "dir":
                yield from _matches(entry.path, parts[1:], files)
    except DockerfileError as error:
        raise BuildError(error.message, hint=error.hint) from error


def _selection(step: CopyStep, source: CopySource, files: FileView, path: str) -> Selection:
    root = files.lookup_nofollow(files.resolve(path))
    if root is None:
        raise missing(path, files)
    excludes = PatternSet(step.excludes)
    pieces = [Piece(root, "")]
    if root.type == "dir":
        pieces.extend(_below(root, "", files, excludes))
    return Selection(source, path.rpartition("/")[2], tuple(pieces))


def _below(directory: Entry, prefix: str, files: FileView, excludes: PatternSet) -> Iterator[Piece]:
    for entry in files.children(directory.path):
        name = entry.path.rpartition("/")[2]
        relative = f"{prefix}/{name}" if prefix else name
        if excludes.excluded(relative) and not (entry.type == "dir" and excludes.may_reinclude_below(relative)):
            continue
        yield Piece(entry, relative)
        if entry.type == "dir":
            yield from _below(entry, relative, files, excludes)


def _parents(step: CopyStep, source: CopySource, files: FileView) -> Selection:
    """`--parents`: everything that matches, below the pivot `/./` if there is one, with the directories on the way."""
    pivot, found, pattern = source.path.partition("/./")
    base, pattern = (_clean(pivot), pattern) if found else ("", source.path)
    pattern = _clean(pattern)
    root = files.lookup_nofollow(files.resolve(base))
    if root is None:
        raise missing(base, files)
    parts = pattern.split("/") if pattern else []
    if not has_wildcards(source.path):
        whole = "/".join(part for part in (root.path, pattern) if part)
        if files.lookup_nofollow(whole) is None:  # a link is copied as one, whatever it leads to
            raise missing(whole, files)
    pieces = list(_included(root, "", parts, files, PatternSet(step.excludes)))
    return Selection(source, "", (Piece(root, "", implied=True), *pieces))


def _included(
    directory: Entry, prefix: str, parts: Sequence[str], files: FileView, excludes: PatternSet
) -> Iterator[Piece]:
    for entry in files.children(directory.path):
        name = entry.path.rpartition("/")[2]
        relative = f"{prefix}/{name}" if prefix else name
        matched, partly = match_components(parts, relative.split("/"))
        if not matched and not (partly and entry.type == "dir"):
            continue
        if excludes.excluded(relative) and not (entry.type == "dir" and excludes.may_reinclude_below(relative)):
            continue
        if matched:
            yield Piece(entry, relative)
            if entry.type == "dir":
                yield from _below(entry, relative, files, excludes)
            continue
        below = list(_included(entry, relative, parts, files, excludes))
        if below:
            yield Piece(entry, relative, implied=True)
            yield from below


def missing(path: str, files: FileView) -> BuildError:
    """The error for a source that does not exist, with the nearest name that does."""
    import difflib

    parent, _, name = path.rpartition("/")
    names = [entry.path.rpartition("/")[2] for entry in files.children(files.resolve(parent))]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    suggestion = f"{parent}/{close[0]}" if parent and close else close[0] if close else ""
    hint = f'did you mean "{suggestion}"?' if suggestion else None
    return BuildError(f'"/{path}": not found', hint=hint)


def selection_digest(selections: Sequence[Selection], files: FileView, *, times: bool = False) -> Digest:
    """The digest of all that a copy of these selections depends on: names, metadata, bytes, and times if they count."""
    total = hashlib.sha256()
    for selection in selections:
        total.update(json.dumps(["source", selection.name]).encode())
        for piece in selection.pieces:
            entry = piece.entry
            content = content_digest(files, entry) if entry.type == "file" else ""
            xattrs = [[name, value.hex()] for name, value in sorted(entry.xattrs.items())]
            row = [piece.relative, piece.implied, entry.type, entry.mode, entry.uid, entry.gid]
            row += [entry.mtime] if times else []
            total.update(json.dumps([*row, entry.link, entry.device, xattrs, content]).encode())
            total.update(b"\n")
    return Digest("sha256:" + total.hexdigest())
