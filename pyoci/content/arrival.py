"""Content on its way into a store, which others may read before its end: what arrives is a file that grows.

What is read of it proves nothing until `wait` has returned: only then were size and digest right.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from pyoci.content.growing import GrowingReader
from pyoci.content.observed import ObservedReader
from pyoci.content.protocols import ContentSink, ContentSource
from pyoci.errors import Cancelled, DigestMismatch
from pyoci.image.descriptor import Descriptor
from pyoci.progress import Reporter

__all__ = ["Arrival", "ArrivingContent", "Storage", "Transfer"]


class Storage(ContentSource, ContentSink, Protocol):
    """Both seams at once, and a `put` that can be watched."""

    def put_growing(self, descriptor: Descriptor, stream: BinaryIO, begun: Callable[[Path], None]) -> None:
        """As `put`. Where the bytes go to a file, `begun` is told which one before the first of them is written; once
        the content is there whole, the file may have another name.
        """


class Transfer:
    """One attempt to move content from its origin into the store, by one thread; any number may wait for it."""

    def __init__(self, descriptor: Descriptor, store: Storage, origin: ContentSource, reporter: Reporter) -> None:
        self._descriptor = descriptor
        self._store = store
        self._origin = origin
        self._reporter = reporter
        self._begun = threading.Event()
        self._done = threading.Event()
        self._opening = threading.Lock()
        self._given_up = False
        self._failure: BaseException | None = None
        self._file = -1
        self.users = 0
        """Who follows it. Guarded by whoever counts."""

    def run(self) -> None:
        """Moves the bytes. What fails is raised by `wait`, of everybody who waits."""
        descriptor = self._descriptor
        name = descriptor.digest
        try:
            self._reporter.transfer_started(name, "pull", descriptor.size)
            with self._origin.open(descriptor) as stream:
                observed = cast("BinaryIO", ObservedReader(stream, self._advanced))
                self._store.put_growing(descriptor, observed, self._begin)
            self._reporter.transfer_done(name, "done")
        except BaseException as error:  # handed to whoever waits
            self._failure = error
        finally:
            self._done.set()
            self._begun.set()

    def start(self) -> None:
        """Runs in a thread of its own, which holds up nobody's end."""
        threading.Thread(target=self.run, name=f"pyoci-pull-{self._descriptor.digest[7:15]}", daemon=True).start()

    @property
    def is_to_be_repeated(self) -> bool:
        """Whether the bytes were wrong and others can be had elsewhere. What failed otherwise has failed for all."""
        return isinstance(self._failure, DigestMismatch) and self._failure.elsewhere

    def abandon(self) -> None:
        """Closes the file and ends the transfer where the next bytes come: nobody follows any more.

        What has arrived may be kept for later.
        """
        with self._opening:
            self._given_up = True
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def wait(self) -> None:
        """Returns when the content is in the store.

        Raises:
            ContentNotFound, DigestMismatch, RegistryError: from the origin; the store is unchanged then.
        """
        self._done.wait()
        if self._failure is not None:
            raise self._failure

    def is_coming(self) -> bool:
        """Whether there may be more of it in a moment. Raises what `wait` raises, where it is known that it will."""
        if self._done.is_set():
            self.wait()
            return False
        return True

    def file(self) -> int:
        """The descriptor of the file that grows, until the transfer is abandoned; -1 where there is none.

        Raises:
            As `wait`, where nothing has arrived.
        """
        self._begun.wait()
        if self._file < 0 and self._failure is not None:
            raise self._failure
        return self._file

    def _begin(self, path: Path) -> None:
        with self._opening:
            if self._given_up:
                raise Cancelled
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._begun.set()

    def _advanced(self, done: int) -> None:
        if self._given_up:
            raise Cancelled
        self._reporter.transfer_advanced(self._descriptor.digest, done)


class Arrival:
    """Content that is in the store, or comes to be."""

    def __init__(self, descriptor: Descriptor, store: ContentSource, transfer: Transfer | None) -> None:
        self._descriptor = descriptor
        self._store = store
        self._transfer = transfer
        self._stored: BinaryIO | None = None

    @property
    def size(self) -> int:
        """Bytes that the file has in the end."""
        return self._descriptor.size

    def fileno(self) -> int:
        """A file with the content, or with as much of it as has arrived. To be read by position.

        Raises:
            ContentNotFound, DigestMismatch, RegistryError: nothing of it can be had.
        """
        found = self._transfer.file() if self._transfer is not None else -1
        if found >= 0:
            return found
        self.wait()
        if self._stored is None:
            self._stored = self._store.open(self._descriptor)
        return self._stored.fileno()

    def stream(self) -> BinaryIO:
        """What has arrived, from the beginning on; its end is waited for. To be closed before this one.

        Reading raises what `wait` raises, where nothing more will come, and ContentError where a file was cut off.
        """
        return cast("BinaryIO", GrowingReader(self.fileno(), self.size, self.is_coming))

    def is_coming(self) -> bool:
        """Whether there may be more of it in a moment. Raises what `wait` raises, where it is known that it will."""
        return self._transfer is not None and self._transfer.is_coming()

    def wait(self) -> None:
        """Returns when the content is there whole and verified.

        Raises:
            ContentNotFound, DigestMismatch, RegistryError: it cannot be had, or is not what the descriptor says. What
                was read of it must not be used. Where a DigestMismatch is `elsewhere`, following anew may help.
        """
        if self._transfer is not None:
            self._transfer.wait()

    def close(self) -> None:
        """Closes what was opened for this one."""
        if self._stored is not None:
            self._stored.close()


class ArrivingContent(ContentSource, Protocol):
    """A source whose content can be read while it comes."""

    def follow(self, descriptor: Descriptor) -> AbstractContextManager[Arrival]:
        """The content, for as long as the block runs. What nobody follows to its end is given up."""
