"""A source that asks the store first and fills it from the origin: the laziness of base layers lives here."""

from __future__ import annotations

import threading
from typing import BinaryIO, Protocol, cast

from pyoci.content.observed import ObservedReader
from pyoci.content.protocols import ContentSink, ContentSource
from pyoci.digest import Digest
from pyoci.errors import DigestMismatch
from pyoci.image.descriptor import Descriptor
from pyoci.progress import Reporter

__all__ = ["PullThrough", "Storage"]


class Storage(ContentSource, ContentSink, Protocol):
    """Both seams at once."""


class PullThrough:
    """A ContentSource over a store and an origin. What is opened is in the store afterwards.

    Two threads that open the same content move it once.
    """

    def __init__(self, store: Storage, origin: ContentSource, reporter: Reporter | None = None) -> None:
        self._store = store
        self._origin = origin
        self._reporter = reporter or Reporter()
        self._lock = threading.Lock()
        self._under_way: dict[Digest, threading.Lock] = {}

    def has(self, descriptor: Descriptor) -> bool:
        return self._store.has(descriptor) or self._origin.has(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        self.fill(descriptor)
        return self._store.open(descriptor)

    def fill(self, descriptor: Descriptor) -> None:
        """Makes sure that the store has the content.

        Raises:
            ContentNotFound, DigestMismatch, RegistryError: from the origin; the store is unchanged then.
        """
        if self._store.has(descriptor):
            return
        with self._lock:
            lock = self._under_way.setdefault(descriptor.digest, threading.Lock())
        with lock:
            if self._store.has(descriptor):
                return
            name = descriptor.digest
            self._reporter.transfer_started(name, "pull", descriptor.size)
            while not self._moved(descriptor):
                pass
            self._reporter.transfer_done(name, "done")

    def _moved(self, descriptor: Descriptor) -> bool:
        """Whether the content is in the store now; False where the bytes were wrong and others can be had elsewhere."""
        name = descriptor.digest
        try:
            with self._origin.open(descriptor) as stream:
                observed = ObservedReader(stream, lambda done: self._reporter.transfer_advanced(name, done))
                self._store.put(descriptor, cast("BinaryIO", observed))
        except DigestMismatch as error:
            if not error.elsewhere:
                raise
            return False
        return True
