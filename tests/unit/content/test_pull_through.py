from __future__ import annotations

import io
import os
import random
import threading
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from pyoci.content import MemoryContent, PullThrough
from pyoci.content.arrival import Transfer
from pyoci.content.verify import VerifyingReader
from pyoci.errors import Cancelled, ContentNotFound, DigestMismatch
from pyoci.image import Descriptor
from pyoci.progress import Reporter, TransferKind, TransferOutcome
from pyoci.store import Store
from tests.content_laws import descriptor_of
from tests.registry_world import sample_image, settled


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


LARGE = random.Random(1).randbytes(3 << 20)
GROWING = descriptor_of(LARGE)


class Held(io.RawIOBase):
    """Gives the last megabyte only when it is told to."""

    def __init__(self, data: bytes, released: threading.Event) -> None:
        self._data = io.BytesIO(data)
        self._released = released

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if self._data.tell() >= 2 << 20:
            assert self._released.wait(60)
        return self._data.read(min(size or 0, 1 << 20))


class SlowOrigin(Origin):
    """Holds back the end of what it has; the bytes may be wrong, and others be had elsewhere."""

    def __init__(self, data: bytes, *, wrong_first: bool = False) -> None:
        super().__init__(data)
        self.released = threading.Event()
        self._wrong_first = wrong_first

    def open(self, descriptor: Descriptor) -> BinaryIO:
        self.opened += 1
        data = self._blobs[descriptor.digest]
        if self._wrong_first and self.opened == 1:
            data = bytes(len(data))

        def refused(error: DigestMismatch) -> None:
            error.elsewhere = self._wrong_first

        return cast(
            "BinaryIO", VerifyingReader(cast("BinaryIO", Held(data, self.released)), descriptor, refused=refused)
        )


def test_what_arrives_can_be_read_before_its_end(tmp_path: Path) -> None:
    origin = SlowOrigin(LARGE)
    with Store(tmp_path) as store:
        content = PullThrough(store, origin)
        with content.follow(GROWING) as arrival, content.follow(GROWING) as another:
            file = arrival.fileno()
            assert arrival.size == len(LARGE)
            assert settled(lambda: os.fstat(file).st_size >= 1 << 20)
            assert os.pread(file, 1000, 0) == LARGE[:1000]
            assert not store.has(GROWING)
            origin.released.set()
            arrival.wait()
            another.wait()
            assert store.has(GROWING)
            assert os.pread(another.fileno(), 1 << 22, 0) == LARGE
    assert origin.opened == 1


def test_who_fills_meanwhile_waits_for_the_same(tmp_path: Path) -> None:
    origin = SlowOrigin(LARGE)
    with Store(tmp_path) as store:
        content = PullThrough(store, origin)
        with content.follow(GROWING) as arrival:
            filling = threading.Thread(target=content.fill, args=(GROWING,))
            filling.start()
            arrival.fileno()
            origin.released.set()
            filling.join(30)
            assert store.has(GROWING)
    assert origin.opened == 1


def test_what_is_there_has_arrived(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.put(WANTED, io.BytesIO(b"base layer"))
        content = PullThrough(store, Origin())
        with content.follow(WANTED) as arrival:
            arrival.wait()
            assert os.pread(arrival.fileno(), 100, 0) == b"base layer"


def test_what_cannot_be_had_does_not_arrive(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        content = PullThrough(store, MemoryContent())
        with content.follow(WANTED) as arrival:
            with pytest.raises(ContentNotFound):
                arrival.fileno()
            with pytest.raises(ContentNotFound):
                arrival.wait()


def test_what_failed_is_not_tried_again_for_others(tmp_path: Path) -> None:
    class Nothing(Origin):
        def open(self, descriptor: Descriptor) -> BinaryIO:
            self.opened += 1
            raise ContentNotFound("it is nowhere")

    origin = Nothing()
    with Store(tmp_path) as store:
        content = PullThrough(store, origin)
        with content.follow(WANTED) as arrival:
            with pytest.raises(ContentNotFound):
                arrival.wait()
            with content.follow(WANTED) as another, pytest.raises(ContentNotFound):
                another.wait()
            with pytest.raises(ContentNotFound):
                content.fill(WANTED)
        assert origin.opened == 1
        with pytest.raises(ContentNotFound):
            content.fill(WANTED)
    assert origin.opened == 2


def test_wrong_bytes_do_not_count_although_they_could_be_read(tmp_path: Path) -> None:
    origin = SlowOrigin(LARGE, wrong_first=True)
    with Store(tmp_path) as store:
        content = PullThrough(store, origin)
        with content.follow(GROWING) as arrival:
            file = arrival.fileno()
            assert settled(lambda: os.fstat(file).st_size >= 1 << 20)
            origin.released.set()
            with pytest.raises(DigestMismatch) as caught:
                arrival.wait()
            assert caught.value.elsewhere
            assert not store.has(GROWING)
            with content.follow(GROWING) as better:  # also while somebody still has the wrong ones
                better.wait()
                assert os.pread(better.fileno(), 100, 0) == LARGE[:100]
        assert store.has(GROWING)
    assert origin.opened == 2


def test_what_nobody_follows_any_more_is_given_up_and_kept_for_later(tmp_path: Path) -> None:
    origin = SlowOrigin(LARGE)
    with Store(tmp_path) as store:
        content = PullThrough(store, origin)
        with content.follow(GROWING) as arrival:
            file = arrival.fileno()
            assert settled(lambda: os.fstat(file).st_size >= 1 << 20)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(file)
        origin.released.set()
        assert settled(lambda: not [one for one in threading.enumerate() if one.name.startswith("pyoci-pull-")])
        assert not store.has(GROWING)
        left = store.take_partial(GROWING)
        assert left is not None
        with content.follow(GROWING) as arrival:
            arrival.wait()
        left.close()
    assert origin.opened == 2


def test_what_is_given_up_before_it_began_opens_no_file(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        transfer = Transfer(WANTED, store, Origin(b"base layer"), Reporter())
        transfer.abandon()
        transfer.run()
        with pytest.raises(Cancelled):
            transfer.file()
        with pytest.raises(Cancelled):
            transfer.wait()
        assert not store.has(WANTED)


def test_what_is_only_in_memory_is_whole_at_once(tmp_path: Path) -> None:
    content = PullThrough(MemoryContent(), Origin(b"base layer"))
    with content.follow(WANTED) as arrival:
        arrival.wait()
    assert content.open(WANTED).read() == b"base layer"


class Told(Reporter):
    """Everything that is told of transfers, in order."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.done: list[tuple[str, TransferOutcome]] = []

    def transfer_started(self, name: str, kind: TransferKind, total_bytes: int) -> None:
        self.started.append(name)

    def transfer_done(self, name: str, outcome: TransferOutcome) -> None:
        self.done.append((name, outcome))


def test_all_below_a_root_is_filled_and_told_once() -> None:
    image = sample_image(1000, 5000, 3000)
    small, large, middle = image.layers
    store, told = MemoryContent(), Told()
    store.put(middle, image.content.open(middle))
    content = PullThrough(store, image.content, told)
    content.fill(image.config)  # as who looks for the platform does
    content.fill_below(image.root, jobs=1)
    assert all(store.has(piece) for piece in image.pieces)
    assert told.done == [
        (image.config.digest, "done"),
        (image.root.digest, "done"),
        (large.digest, "done"),
        (middle.digest, "exists"),
        (small.digest, "done"),
    ]
    assert sorted(told.started) == sorted(name for name, _ in told.done)
    PullThrough(store, MemoryContent(), again := Told()).fill_below(image.root)
    assert {outcome for _, outcome in again.done} == {"exists"}


def test_filling_ends_when_it_is_interrupted() -> None:
    image = sample_image(1000, 5000)
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        PullThrough(MemoryContent(), image.content).fill_below(image.root, cancelled=cancelled)


def test_a_stream_of_what_arrives_ends_where_it_should(tmp_path: Path) -> None:
    origin = SlowOrigin(LARGE)
    with Store(tmp_path) as store:
        content = PullThrough(store, origin)
        with content.follow(GROWING) as arrival, arrival.stream() as stream:
            assert stream.read(1000) == LARGE[:1000]
            origin.released.set()
            assert stream.read() == LARGE[1000:]
            assert stream.read(1) == b""
        with content.follow(GROWING) as arrival, arrival.stream() as stream:
            buffer = bytearray(10)
            assert stream.readinto(buffer) == 10  # type: ignore[attr-defined]
            assert bytes(buffer) == LARGE[:10]


def test_a_stream_of_what_breaks_off_says_why(tmp_path: Path) -> None:
    origin = Origin()
    origin._blobs[GROWING.digest] = LARGE[: 2 << 20]
    with Store(tmp_path) as store:
        content = PullThrough(store, origin)
        with (
            content.follow(GROWING) as arrival,
            pytest.raises(DigestMismatch, match="ends after"),
            arrival.stream() as stream,
        ):
            stream.read()
