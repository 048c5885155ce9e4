"""Files of a tree, read once each and only as far as facts are not known already.

A small file is read into memory, a large one into an unnamed file that is mapped; several files of one layer are read
in one pass over its blob.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol

from pyoci.digest import digest_hex
from pyoci.errors import LayerError
from pyoci.layer.entry import Entry
from pyoci.layer.protocols import OpenContent
from pyoci.layer.tree import Tree
from pyoci.preflight.elf import Buffer, MalformedElf, is_elf, parse_elf
from pyoci.preflight.elf_dynamic import Symbols, read_symbols
from pyoci.preflight.file_facts import FACTS_VERSION, FileFacts, analyse, decode_facts, encode_facts

__all__ = ["FILE_LIMIT", "Files", "Memory"]

FILE_LIMIT = 4 << 30
"""Bytes of the largest file that is looked at."""
_IN_MEMORY = 32 << 20
_CHUNK = 1 << 20
_WALK_LIMIT = 1_000_000
_NOT_READ = FileFacts("data", problem=f"it has more than {FILE_LIMIT} bytes")


class Memory(Protocol):
    """Where facts about files are kept between runs."""

    def get(self, key: str) -> bytes | None:
        """What was kept under a key, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Keeps a few kilobytes under a key."""


class Files:
    """Facts about the files of one tree. For one thread."""

    def __init__(self, tree: Tree, *, spool: Path | None = None, memory: Memory | None = None) -> None:
        """`spool` is a directory for unnamed files; without it everything is read into memory."""
        self.tree = tree
        self._spool = spool
        self._memory = memory
        self._known: dict[str, FileFacts] = {}
        self._names: dict[str, list[str]] | None = None

    def facts(self, entry: Entry) -> FileFacts:
        """The facts of one file.

        Raises:
            LayerError, ContentError: its bytes cannot be had.
        """
        return self.all_facts([entry])[0]

    def all_facts(self, entries: Iterable[Entry]) -> list[FileFacts]:
        """The facts of several files, in the order of the entries; no blob is read twice for them.

        Raises:
            LayerError, ContentError: their bytes cannot be had.
        """
        wanted = list(entries)
        unknown = {entry.path: entry for entry in wanted if not self._is_known(entry)}
        for entry, data in self._contents(list(unknown.values())):
            facts = analyse(data) if data is not None else _NOT_READ
            self._known[entry.path] = facts
            key = self._key(entry)
            if key and self._memory is not None and data is not None:
                self._memory.put(key, encode_facts(facts))
        return [self._known[entry.path] for entry in wanted]

    def symbols(self, entries: Iterable[Entry]) -> list[Symbols | None]:
        """The dynamic symbols of several files; None for one that has none or is malformed.

        Raises:
            LayerError, ContentError: their bytes cannot be had.
        """
        wanted = list(entries)
        found: dict[str, Symbols | None] = {}
        for entry, data in self._contents(list({entry.path: entry for entry in wanted}.values())):
            try:
                found[entry.path] = read_symbols(parse_elf(data)) if data and is_elf(data[:4]) else None
            except MalformedElf:
                found[entry.path] = None
        return [found[entry.path] for entry in wanted]

    def text(self, path: str, limit: int) -> bytes | None:
        """The first bytes of a file by its path, links followed; None if there is no such file.

        Raises:
            LayerError, ContentError: its bytes cannot be had.
        """
        entry = self.lookup(path)
        if entry is None or entry.type != "file":
            return None
        with self.tree.open(entry) as stream:
            return _read(stream, limit)

    def lookup(self, path: str) -> Entry | None:
        """What is at a path, links followed; None also where they lead in a circle."""
        with suppress(LayerError):
            return self.tree.lookup(path)
        return None

    def children(self, path: str) -> list[Entry]:
        """What is in a directory; nothing if it is none."""
        return self.tree.children(path) if self.lookup(path) is not None else []

    def named(self, name: str) -> list[str]:
        """Absolute paths of the files and links of that name, in order. Cost: the first call walks the tree."""
        if self._names is None:
            self._names = {}
            for entry in islice(self.tree.walk(), _WALK_LIMIT):
                if entry.type != "dir":
                    self._names.setdefault(entry.path.rpartition("/")[2], []).append(f"/{entry.path}")
        return self._names.get(name, [])

    def _is_known(self, entry: Entry) -> bool:
        if entry.path in self._known:
            return True
        key = self._key(entry)
        raw = self._memory.get(key) if key and self._memory is not None else None
        facts = decode_facts(raw) if raw is not None else None
        if facts is not None:
            self._known[entry.path] = facts
        return facts is not None

    def _key(self, entry: Entry) -> str:
        digest = self.tree.digest_of(entry)
        return f"facts{FACTS_VERSION}-{digest_hex(digest)}" if digest else ""

    def _contents(self, entries: list[Entry]) -> Iterator[tuple[Entry, Buffer | None]]:
        """Each file's bytes, which last until the next one; None for one that is too large."""
        readable = [entry for entry in entries if entry.size <= FILE_LIMIT]
        yield from ((entry, None) for entry in entries if entry.size > FILE_LIMIT)
        if len(readable) < 2 or self._spool is None:
            for entry in readable:
                with self._opened(entry, self.tree.open_content) as data:
                    yield entry, data
            return
        with self.tree.one_pass(readable, self._spool) as open_content:
            for entry in readable:
                with self._opened(entry, open_content) as data:
                    yield entry, data

    @contextmanager
    def _opened(self, entry: Entry, open_content: OpenContent) -> Iterator[Buffer]:
        opened = open_content(entry)
        with io.FileIO(opened) if isinstance(opened, int) else opened as stream:
            if self._spool is None or entry.size <= _IN_MEMORY:
                yield _read(stream, FILE_LIMIT)
                return
            descriptor = os.open(self._spool, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                size = 0
                while data := stream.read(_CHUNK):
                    size += len(data)
                    while data:
                        data = data[os.write(descriptor, data) :]
                if not size:
                    yield b""
                    return
                with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as mapped:
                    yield mapped
            finally:
                os.close(descriptor)


def _read(stream: BinaryIO | io.FileIO, limit: int) -> bytes:
    parts, size = [], 0
    while size < limit and (data := stream.read(min(_CHUNK, limit - size))):
        parts.append(data)
        size += len(data)
    return b"".join(parts)
