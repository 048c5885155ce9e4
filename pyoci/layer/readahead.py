"""Reading in a second thread: decompression and the diff ID's hash run while this one parses and writes."""

from __future__ import annotations

import hashlib
import queue
import threading
from typing import BinaryIO

from pyoci.digest import DiffID, Digest

__all__ = ["HashedReadAhead"]

_BLOCK = 1 << 20
_QUEUED_BLOCKS = 4


class HashedReadAhead:
    """A stream of another stream's bytes that keeps their sha256 digest. Use as a context manager.

    Short streams are read in place; longer ones by a thread that is at most a few blocks ahead. Errors of the source
    are raised by `read`. The source is not closed.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self._size = 0
        self._read_in_place = 0
        self._ended = False
        self._blocks: queue.Queue[bytes | Exception] = queue.Queue(_QUEUED_BLOCKS)
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def __enter__(self) -> HashedReadAhead:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        if self._thread is not None:
            while self._thread.is_alive():
                try:
                    self._blocks.get(timeout=0.01)
                except queue.Empty:
                    continue
            self._thread.join()

    @property
    def size(self) -> int:
        """Bytes read so far."""
        return self._size

    def diff_id(self) -> DiffID:
        """Of the whole stream; to be asked only after `read` gave nothing."""
        if not self._ended:
            raise ValueError("the stream was not read to its end")
        return DiffID(Digest("sha256:" + self._hash.hexdigest()))

    def read(self, size: int = -1, /) -> bytes:
        """The next block, of at most 1 MiB whatever `size` is; nothing at the end."""
        if self._ended:
            return b""
        if self._thread is None and self._read_in_place < _BLOCK:
            data = self._source.read(_BLOCK)
            self._hash.update(data)
            self._read_in_place += len(data)
        else:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pyoci-read-ahead", daemon=True)
                self._thread.start()
            item = self._blocks.get()
            if isinstance(item, Exception):
                self._ended = True
                raise item
            data = item
        self._size += len(data)
        self._ended = not data
        return data

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                data = self._source.read(_BLOCK)
                self._hash.update(data)
                self._blocks.put(data)
                if not data:
                    return
        except Exception as error:  # for `read` to raise
            self._blocks.put(error)
