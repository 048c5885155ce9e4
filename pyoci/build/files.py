"""Files to read from, whatever holds them: a merged tree of layers, a directory of this machine, an archive.

Paths are LayerPaths. COPY, ADD and bind mounts are written against this one view, so that a source is a source.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from pyoci.digest import Digest
from pyoci.errors import LayerError
from pyoci.layer.entry import Entry, LayerPath
from pyoci.layer.protocols import OpenContent

__all__ = ["FileView", "content_digest", "read_content", "resolve_path"]

_LINK_LIMIT = 40
"""What Linux follows before it says ELOOP."""


class FileView(Protocol):
    """A read-only tree of files. May be used from several threads at once."""

    def lookup_nofollow(self, path: str) -> Entry | None:
        """The entry at a path, itself and not what it links to; the root is always a directory. None if it is not
        there.
        """

    def resolve(self, path: str) -> LayerPath:
        """The path with every symlink in it followed, inside the root. What does not exist is kept as written.

        Raises:
            LayerError: more than 40 links in a row.
        """

    def children(self, path: str) -> Sequence[Entry]:
        """What is in a directory, sorted by name; empty for what is none."""

    def open_content(self, entry: Entry) -> BinaryIO | int:
        """The bytes of a file: a stream, or a file descriptor that the caller closes."""

    def digest_of(self, entry: Entry) -> Digest | None:
        """The sha256 of a file's bytes, or None where it is not known without `open_content`."""

    def inode(self, entry: Entry) -> Hashable | None:
        """What the names of one file have in common; None for what has but one name."""

    def one_pass(self, entries: Iterable[Entry], directory: Path) -> AbstractContextManager[OpenContent]:
        """Opens these files, whatever their order, reading no blob twice; `directory` is for what has to wait its
        turn.
        """


def content_digest(files: FileView, entry: Entry) -> Digest:
    """The sha256 of a file's bytes; reads them unless it is known."""
    known = files.digest_of(entry)
    if known is not None:
        return known
    digest = hashlib.sha256()
    opened = files.open_content(entry)
    with io.FileIO(opened) if isinstance(opened, int) else opened as stream:
        while data := stream.read(1 << 20):
            digest.update(data)
    return Digest("sha256:" + digest.hexdigest())


def read_content(opened: BinaryIO | int, *, limit: int) -> bytes:
    """All bytes of what `FileView.open_content` gave, which is closed.

    Raises:
        LayerError: there are more than `limit`.
    """
    with io.FileIO(opened) if isinstance(opened, int) else opened as stream:
        parts: list[bytes] = []
        size = 0
        while data := stream.read(1 << 20):
            size += len(data)
            if size > limit:
                raise LayerError(f"a file that is read as a whole has more than {limit} bytes")
            parts.append(data)
    return b"".join(parts)


def resolve_path(path: str, lookup: Callable[[LayerPath], Entry | None]) -> LayerPath:
    """The path with every symlink in it followed, inside the root; what does not exist is kept as written.

    Raises:
        LayerError: more than 40 links in a row.
    """
    done: list[str] = []
    waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    links = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            del done[-1:]
            continue
        entry = lookup(LayerPath("/".join([*done, part])))
        if entry is None or entry.type != "symlink":
            done.append(part)
            continue
        links += 1
        if links > _LINK_LIMIT:
            raise LayerError(f'too many symbolic links in "{path}"')
        if entry.link.startswith("/"):
            done.clear()
        waiting.extend(p for p in reversed(entry.link.split("/")) if p not in ("", "."))
    return LayerPath("/".join(done))
