"""Files that are not there before somebody looks: what a checksum or commit names needs no network to be known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from pyoci.build.files import FileView
from pyoci.digest import Digest
from pyoci.layer.entry import Entry, LayerPath
from pyoci.layer.protocols import OpenContent

__all__ = ["LazyFiles"]


class LazyFiles:
    """A `FileView` that is made when it is first used. Every method raises what making it raises."""

    def __init__(self, make: Callable[[], FileView]) -> None:
        self._make = make
        self._made: FileView | None = None
        self._lock = threading.Lock()

    def _files(self) -> FileView:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def lookup_nofollow(self, path: str) -> Entry | None:
        return self._files().lookup_nofollow(path)

    def resolve(self, path: str) -> LayerPath:
        return self._files().resolve(path)

    def children(self, path: str) -> Sequence[Entry]:
        return self._files().children(path)

    def open_content(self, entry: Entry) -> BinaryIO | int:
        return self._files().open_content(entry)

    def digest_of(self, entry: Entry) -> Digest | None:
        return self._files().digest_of(entry)

    def inode(self, entry: Entry) -> Hashable | None:
        return self._files().inode(entry)

    def one_pass(self, entries: Iterable[Entry], directory: Path) -> AbstractContextManager[OpenContent]:
        return self._files().one_pass(entries, directory)
