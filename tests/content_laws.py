"""What every ContentSource and ContentSink promises (pyoci/content/protocols.py), as checks for any of them."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import pytest

from pyoci.content import ContentSink, ContentSource
from pyoci.digest import Digest, sha256_digest
from pyoci.errors import ContentNotFound, DigestMismatch
from pyoci.image import Descriptor

__all__ = ["STORAGE_LAWS", "Storage", "descriptor_of"]


class Storage(ContentSource, ContentSink, Protocol):
    """Both seams at once."""


def descriptor_of(data: bytes, media_type: str = "application/octet-stream") -> Descriptor:
    return Descriptor(media_type, sha256_digest(data), len(data))


class BrokenStream(io.RawIOBase):
    """Gives some bytes, then fails as a broken connection does."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._data.read(len(buffer))
        if not data:
            raise ConnectionResetError("broken")
        buffer[: len(data)] = data
        return len(data)


def what_was_put_can_be_read(storage: Storage) -> None:
    for data in (b"", b"x", b"0123456789" * 300_000):
        wanted = descriptor_of(data)
        assert not storage.has(wanted)
        storage.put(wanted, io.BytesIO(data))
        assert storage.has(wanted)
        with storage.open(wanted) as stream:
            assert stream.read() == data


def it_can_be_read_in_pieces_and_again(storage: Storage) -> None:
    data = bytes(range(256)) * 5000
    wanted = descriptor_of(data)
    storage.put(wanted, io.BytesIO(data))
    for size in (1_000, 4096, 1 << 20):
        with storage.open(wanted) as stream:
            pieces = []
            while piece := stream.read(size):
                pieces.append(piece)
            assert stream.read(size) == b""
        assert b"".join(pieces) == data


def sha512_is_a_digest_too(storage: Storage) -> None:
    data = b"sha512"
    wanted = Descriptor("a/b", Digest("sha512:" + hashlib.sha512(data).hexdigest()), len(data))
    storage.put(wanted, io.BytesIO(data))
    with storage.open(wanted) as stream:
        assert stream.read() == data


def putting_twice_is_putting_once(storage: Storage) -> None:
    wanted = descriptor_of(b"twice")
    for _ in range(2):
        storage.put(wanted, io.BytesIO(b"twice"))
    with storage.open(wanted) as stream:
        assert stream.read() == b"twice"


def what_is_not_there_is_not_found(storage: Storage) -> None:
    with pytest.raises(ContentNotFound):
        storage.open(descriptor_of(b"absent"))


def other_bytes_than_promised_are_refused_and_not_kept(storage: Storage) -> None:
    wanted = descriptor_of(b"promised")
    for data in (b"", b"promise", b"promised!", b"PROMISED", b"promised" * 100_000):
        with pytest.raises(DigestMismatch):
            storage.put(wanted, io.BytesIO(data))
        assert not storage.has(wanted)
        with pytest.raises(ContentNotFound):
            storage.open(wanted)


def a_stream_that_breaks_leaves_nothing(storage: Storage) -> None:
    wanted = descriptor_of(b"0123456789")
    with pytest.raises(ConnectionResetError):
        storage.put(wanted, io.BufferedReader(BrokenStream(b"01234")))
    assert not storage.has(wanted)


def another_size_is_not_the_same_content(storage: Storage) -> None:
    wanted = descriptor_of(b"size")
    storage.put(wanted, io.BytesIO(b"size"))
    with pytest.raises((DigestMismatch, ContentNotFound)):
        storage.open(replace(wanted, size=3)).read()
    with pytest.raises((DigestMismatch, ContentNotFound)):
        storage.open(replace(wanted, size=5)).read()


def threads_do_not_disturb_each_other(storage: Storage) -> None:
    blobs = [bytes([number]) * 200_000 for number in range(8)]
    failures: list[BaseException] = []

    def work(offset: int) -> None:
        try:
            for step in range(len(blobs)):
                data = blobs[(offset + step) % len(blobs)]
                storage.put(descriptor_of(data), io.BytesIO(data))
                with storage.open(descriptor_of(data)) as stream:
                    assert stream.read() == data
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


STORAGE_LAWS: list[Callable[[Storage], None]] = [
    what_was_put_can_be_read,
    it_can_be_read_in_pieces_and_again,
    sha512_is_a_digest_too,
    putting_twice_is_putting_once,
    what_is_not_there_is_not_found,
    other_bytes_than_promised_are_refused_and_not_kept,
    a_stream_that_breaks_leaves_nothing,
    another_size_is_not_the_same_content,
    threads_do_not_disturb_each_other,
]
"""For `@pytest.mark.parametrize("law", STORAGE_LAWS)`; each is given an empty storage."""
