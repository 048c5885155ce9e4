"""Uploads that a command leaves for the next one: one line in a file, locked while somebody sends."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from pyoci.digest import Digest
from pyoci.image import Descriptor, media_types
from pyoci.store import Store

BLOB = Descriptor(media_types.LAYER, Digest("sha256:" + "a" * 64), 1 << 20)
PLACE = "registry.example/team/app"
URL = "https://registry.example/v2/team/app/blobs/uploads/1?_state=x"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def files(store: Store) -> list[Path]:
    return [path for path in (store.root / "tmp").iterdir() if path.name.startswith("upload")]


def test_what_was_kept_is_there_for_the_next_and_gone_when_it_is_done(store: Store) -> None:
    first = store.take_upload(PLACE, BLOB)
    assert first is not None and first.location == ""
    first.keep("https://registry.example/an/earlier/and/longer/address?than=the&one=after")
    first.keep(URL)
    first.close()
    (path,) = files(store)
    assert path.stat().st_mode & 0o777 == 0o600
    second = store.take_upload(PLACE, BLOB)
    assert second is not None and second.location == URL
    second.discard()
    second.close()
    assert files(store) == []


def test_where_nothing_was_kept_nothing_is_left(store: Store) -> None:
    for kept in ((), (URL, "")):
        taken = store.take_upload(PLACE, BLOB)
        assert taken is not None
        for location in kept:
            taken.keep(location)
        taken.close()
        assert files(store) == []


def test_nobody_gets_what_somebody_has(store: Store) -> None:
    first = store.take_upload(PLACE, BLOB)
    second = store.take_upload(PLACE, BLOB)
    assert first is not None and second is not None
    first.keep(URL)
    third = store.take_upload(PLACE, BLOB)
    assert third is not None and (second.location, third.location) == ("", "")
    assert len(files(store)) == 3
    for taken in (first, second, third):
        taken.close()
    assert len(files(store)) == 1


def test_another_repository_or_blob_has_one_of_its_own(store: Store) -> None:
    taken = store.take_upload(PLACE, BLOB)
    assert taken is not None
    taken.keep(URL)
    taken.close()
    other_blob = Descriptor(BLOB.media_type, Digest("sha256:" + "b" * 64), BLOB.size)
    for place, blob in (("registry.example/other", BLOB), (PLACE, other_blob)):
        other = store.take_upload(place, blob)
        assert other is not None and other.location == ""
        other.close()


def test_a_small_blob_is_not_worth_it(store: Store) -> None:
    assert store.take_upload(PLACE, Descriptor(BLOB.media_type, BLOB.digest, (1 << 20) - 1)) is None


@pytest.mark.parametrize("text", [b"", b"https://registry.example/cut-off", b"x" * 20_000 + b"\n"])
def test_a_line_that_is_not_whole_is_nothing(text: bytes, store: Store) -> None:
    taken = store.take_upload(PLACE, BLOB)
    assert taken is not None
    taken.keep(URL)
    taken.close()
    (path,) = files(store)
    path.write_bytes(text)
    again = store.take_upload(PLACE, BLOB)
    assert again is not None and again.location == ""
    again.close()


def test_an_address_without_end_is_not_kept(store: Store) -> None:
    taken = store.take_upload(PLACE, BLOB)
    assert taken is not None
    taken.keep("https://registry.example/" + "x" * 20_000)
    taken.close()
    assert files(store) == []


def test_a_link_in_its_place_is_not_followed(store: Store, tmp_path: Path) -> None:
    taken = store.take_upload(PLACE, BLOB)
    assert taken is not None
    taken.keep(URL)
    taken.close()
    (path,) = files(store)
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    again = store.take_upload(PLACE, BLOB)
    assert again is not None and again.location == ""
    again.keep("https://registry.example/other")
    again.close()
    assert outside.read_text() == URL + "\n"


def full_disk(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["open", "ftruncate", "pwrite"])
def test_a_full_disk_remembers_nothing_and_hinders_nobody(
    call: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"pyoci.store.uploading.os.{call}", full_disk)
    taken = store.take_upload(PLACE, BLOB)
    if call == "open":
        assert taken is None
    else:
        assert taken is not None
        taken.keep(URL)
        assert taken.location == ""
        taken.close()
    monkeypatch.undo()
    assert files(store) == []


def test_the_lock_dies_with_its_holder(store: Store) -> None:
    taken = store.take_upload(PLACE, BLOB)
    assert taken is not None
    taken.keep(URL)
    (path,) = files(store)
    descriptor = os.open(path, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    taken.close()
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
