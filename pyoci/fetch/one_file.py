"""A tree that holds one file: what a URL gives to ADD."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pyoci.digest import Digest
from pyoci.layer.entry import Entry, LayerPath
from pyoci.layer.protocols import OpenContent

__all__ = ["OneFile"]


class OneFile:
    """A tree (`build.files.FileView`) with a single file in its root."""

    def __init__(self, file: Entry, digest: Digest, open_file: Callable[[], BinaryIO]) -> None:
        self.file = file
        self._digest = digest
        self._open = open_file
        self._root = Entry(LayerPath(""), "dir", mode=0o755, mtime=file.mtime)

    def lookup_nofollow(self, path: str) -> Entry | None:
        return self._root if not path else self.file if path == self.file.path else None

    def resolve(self, path: str) -> LayerPath:
        parts: list[str] = []
        for part in path.split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in ("", "."):
                parts.append(part)
        return LayerPath("/".join(parts))

    def children(self, path: str) -> Sequence[Entry]:
        return () if path else (self.file,)

    def open_content(self, entry: Entry) -> BinaryIO:
        return self._open()

    def digest_of(self, entry: Entry) -> Digest:
        return self._digest

    def inode(self, entry: Entry) -> None:
        """Nothing: the file has one name."""

    @contextmanager
    def one_pass(self, entries: Iterable[Entry], directory: Path) -> Iterator[OpenContent]:
        yield self.open_content
