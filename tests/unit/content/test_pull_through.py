from __future__ import annotations

import threading
from typing import BinaryIO

import pytest

from pyoci.content import MemoryContent, PullThrough
from pyoci.errors import ContentNotFound, DigestMismatch
from pyoci.image import Descriptor
from tests.content_laws import descriptor_of


class Origin(MemoryContent):
    def __init__(self, *blobs: bytes) -> None:
        super().__init__(blobs)
        self.opened = 0

    def open(self, descriptor: Descriptor) -> BinaryIO:
        self.opened += 1
        return super().open(descriptor)


WANTED = descriptor_of(b"base layer")


def test_what_is_opened_is_in_the_store_afterwards_and_not_fetched_again() -> None:
    store, origin = MemoryContent(), Origin(b"base layer")
    content = PullThrough(store, origin)
    assert content.has(WANTED)
    assert not store.has(WANTED)
    for _ in range(2):
        with content.open(WANTED) as stream:
            assert stream.read() == b"base layer"
    assert store.has(WANTED)
    assert origin.opened == 1


def test_what_the_store_has_needs_no_origin() -> None:
    origin = Origin()
    content = PullThrough(MemoryContent([b"base layer"]), origin)
    assert content.has(WANTED)
    content.fill(WANTED)
    assert content.open(WANTED).read() == b"base layer"
    assert origin.opened == 0


def test_threads_that_want_the_same_fetch_it_once() -> None:
    origin = Origin(b"base layer")
    content = PullThrough(MemoryContent(), origin)
    together = threading.Barrier(8)
    seen: list[bytes] = []

    def read() -> None:
        together.wait(10)
        seen.append(content.open(WANTED).read())

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [b"base layer"] * 8
    assert origin.opened == 1


def test_what_is_nowhere_is_not_found() -> None:
    content = PullThrough(MemoryContent(), MemoryContent())
    assert not content.has(WANTED)
    with pytest.raises(ContentNotFound):
        content.open(WANTED)


def test_a_lying_origin_leaves_the_store_unchanged_and_can_be_asked_again() -> None:
    store, origin = MemoryContent(), Origin()
    origin._blobs[WANTED.digest] = b"other layer"
    content = PullThrough(store, origin)
    with pytest.raises(DigestMismatch):
        content.open(WANTED)
    assert not store.has(WANTED)
    origin._blobs[WANTED.digest] = b"base layer"
    assert content.open(WANTED).read() == b"base layer"
