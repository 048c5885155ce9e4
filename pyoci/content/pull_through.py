"""A source that asks the store first and fills it from the origin: the laziness of base layers lives here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO

from pyoci.content.arrival import Arrival, Storage, Transfer
from pyoci.content.limits import ContentLimitsOf, default_limits
from pyoci.content.protocols import ContentSource
from pyoci.digest import Digest
from pyoci.errors import DigestMismatch
from pyoci.image.descriptor import Descriptor
from pyoci.progress import Reporter

__all__ = ["PullThrough"]


class PullThrough:
    """A ContentSource over a store and an origin. What is opened is in the store afterwards.

    Two threads that want the same content move it once.
    """

    def __init__(self, store: Storage, origin: ContentSource, reporter: Reporter | None = None) -> None:
        self._store = store
        self._origin = origin
        self._reporter = reporter or Reporter()
        self._lock = threading.Lock()
        self._under_way: dict[Digest, Transfer] = {}
        self._told: set[Digest] = set()
        """What was moved, and was told of by that."""

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
        while not self._filled(descriptor):
            pass

    def fill_below(
        self,
        root: Descriptor,
        *,
        jobs: int = 4,
        limits: ContentLimitsOf = default_limits,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Makes sure that the store has `root` and everything that it points at, the largest first; tells of what it
        had before.

        Raises:
            ContentNotFound, DigestMismatch, InvalidDocument, RegistryError: from the origin.
            Cancelled: `cancelled` was set.
        """
        from pyoci.content.graph import read_graph
        from pyoci.content.workers import Stop, run_all

        blobs = sorted(read_graph(root, self, limits=limits).blobs, key=lambda blob: -blob.size)
        run_all([partial(self._fill_or_tell, blob) for blob in blobs], jobs=jobs, name="pull", stop=Stop(cancelled))

    def _fill_or_tell(self, blob: Descriptor) -> None:
        if not self._store.has(blob):
            self.fill(blob)
        elif blob.digest not in self._told:
            self._reporter.transfer_started(blob.digest, "pull", blob.size)
            self._reporter.transfer_done(blob.digest, "exists")

    def _filled(self, descriptor: Descriptor) -> bool:
        """Whether the content is in the store now; False where the bytes were wrong and others can be had elsewhere."""
        transfer, is_ours = self._join(descriptor)
        if transfer is None:
            return True
        try:
            if is_ours:
                transfer.run()
            transfer.wait()
        except DigestMismatch as error:
            if not error.elsewhere:
                raise
            return False
        finally:
            self._leave(descriptor, transfer)
        return True

    @contextmanager
    def follow(self, descriptor: Descriptor) -> Iterator[Arrival]:
        """The content, which another thread goes on moving into the store while this one reads what is there of it.

        What nobody follows to its end is given up.
        """
        transfer, is_ours = self._join(descriptor)
        arrival = Arrival(descriptor, self._store, transfer)
        try:
            if transfer is not None and is_ours:
                transfer.start()
            yield arrival
        finally:
            arrival.close()
            if transfer is not None:
                self._leave(descriptor, transfer)

    def _join(self, descriptor: Descriptor) -> tuple[Transfer | None, bool]:
        """The transfer of content that the store has not, and whether it is this thread that is to see it run."""
        if self._store.has(descriptor):
            return None, False
        with self._lock:
            transfer = self._under_way.get(descriptor.digest)
            if transfer is not None and not transfer.is_to_be_repeated:
                transfer.users += 1
                return transfer, False
            if self._store.has(descriptor):  # moved since the first look
                return None, False
            transfer = Transfer(descriptor, self._store, self._origin, self._reporter)
            transfer.users = 1
            self._under_way[descriptor.digest] = transfer
            self._told.add(descriptor.digest)
            return transfer, True

    def _leave(self, descriptor: Descriptor, transfer: Transfer) -> None:
        with self._lock:
            transfer.users -= 1
            if transfer.users:
                return
            if self._under_way.get(descriptor.digest) is transfer:
                del self._under_way[descriptor.digest]
        transfer.abandon()
