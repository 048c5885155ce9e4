"""What is left of a blob that did not arrive whole, and who may go on from it."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from pyoci.digest import sha256_digest
from pyoci.errors import Cancelled, ContentError, DigestMismatch, RegistryError
from pyoci.image.descriptor import Descriptor
from pyoci.store import Store

DATA = random.Random(0).randbytes(5 << 20)
BLOB = Descriptor("application/octet-stream", sha256_digest(DATA), len(DATA))


class Broken(io.RawIOBase):
    """The blob's beginning, and then an error."""

    def __init__(self, size: int, error: BaseException, data: bytes = DATA) -> None:
        super().__init__()
        self._stream = io.BytesIO(data[:size])
        self._error = error

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._stream.read(size)
        if not data:
            raise self._error
        return data


def break_off(store: Store, size: int, error: BaseException, data: bytes = DATA) -> None:
    with pytest.raises(type(error)):
        store.put(BLOB, cast("BinaryIO", Broken(size, error, data)))


def left(store: Store) -> list[int]:
    return sorted(path.stat().st_size for path in (store.root / "tmp").iterdir())


@pytest.mark.parametrize("error", [RegistryError("the network is gone"), Cancelled(), KeyboardInterrupt()])
def test_what_a_command_was_interrupted_in_can_be_gone_on_from(error: BaseException, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        break_off(store, 3 << 20, error)
        assert not store.has(BLOB)
        partial = store.take_partial(BLOB)
        assert partial is not None
        assert partial.size == 3 << 20
        assert partial.read(5 << 20) == DATA[: 3 << 20]
        assert store.take_partial(BLOB) is None  # somebody has it
        partial.close()
        again = store.take_partial(BLOB)
        assert again is not None
        again.discard()
        again.close()
        assert left(store) == []


@pytest.mark.parametrize("error", [DigestMismatch("wrong"), ContentError("the disk is full"), OSError(28, "full")])
def test_what_is_wrong_or_in_the_way_is_not_kept(error: Exception, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        with pytest.raises((type(error), ContentError)):
            store.put(BLOB, cast("BinaryIO", Broken(3 << 20, error)))
        assert left(store) == []
        assert store.take_partial(BLOB) is None


def test_a_little_is_not_kept(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        break_off(store, 100_000, Cancelled())
        assert left(store) == []


def test_of_several_the_longest_is_given_and_the_others_go(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for size in (2 << 20, 4 << 20, 3 << 20):
            break_off(store, size, Cancelled())
        assert left(store) == [2 << 20, 3 << 20, 4 << 20]
        partial = store.take_partial(BLOB)
        assert partial is not None
        assert partial.size == 4 << 20
        partial.close()
        assert left(store) == [4 << 20]


def test_one_that_is_longer_than_the_blob_is_of_no_use(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        break_off(store, 4 << 20, Cancelled())
        (path,) = (tmp_path / "tmp").iterdir()
        with path.open("ab") as file:
            file.write(bytes(2 << 20))
        assert store.take_partial(BLOB) is None
        assert left(store) == []


def test_what_is_being_written_is_nobody_elses(tmp_path: Path) -> None:
    with Store(tmp_path) as store, Store(tmp_path) as other:
        seen: list[object] = []

        class Watched(Broken):
            def read(self, size: int | None = -1, /) -> bytes:
                seen.append(other.take_partial(BLOB))
                return super().read(size)

        with pytest.raises(Cancelled):
            store.put(BLOB, cast("BinaryIO", Watched(4 << 20, Cancelled())))
        assert len(seen) >= 4
        assert set(seen) == {None}


def test_a_blob_that_arrives_leaves_nothing(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.put(BLOB, io.BytesIO(DATA))
        assert store.has(BLOB)
        assert left(store) == []
