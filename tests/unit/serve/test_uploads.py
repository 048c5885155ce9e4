"""Uploads without HTTP: what counts, who writes, and when they end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from pyoci.digest import Digest
from pyoci.errors import ContentError
from pyoci.serve.refusals import Refused
from pyoci.serve.uploads import Limits, Uploads
from tests.unit.serve.world import digest_as

LIMITS = Limits(blob_bytes=100, uploads=3, idle_seconds=60)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads(tmp_path: Path, clock: Clock) -> Iterator[Uploads]:
    numbers = count()
    found = Uploads(lambda: tmp_path / f"upload.{next(numbers)}", LIMITS, clock=clock)
    yield found
    found.close()
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_taken_when_it_has_its_digest(uploads: Uploads, tmp_path: Path) -> None:
    upload = uploads.begin("app")
    turn = upload.begin()
    upload.append(turn, b"hello ")
    upload.append(turn, b"world")
    path, descriptor = upload.finish(turn, digest_as(b"hello world"))
    assert path.read_bytes() == b"hello world"
    assert (descriptor.digest, descriptor.size) == (digest_as(b"hello world"), 11)
    path.rename(tmp_path / "taken")
    uploads.remove(upload)
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]
    (tmp_path / "taken").unlink()


def test_sha512_is_known_too(uploads: Uploads) -> None:
    upload = uploads.begin("app")
    turn = upload.begin()
    upload.append(turn, b"x")
    path, _ = upload.finish(turn, Digest("sha512:" + hashlib.sha512(b"x").hexdigest()))
    path.unlink()


def test_a_lie_about_the_digest_ends_the_upload(uploads: Uploads, tmp_path: Path) -> None:
    upload = uploads.begin("app")
    turn = upload.begin()
    upload.append(turn, b"something else")
    with pytest.raises(Refused) as caught:
        upload.finish(turn, digest_as(b"hello"))
    assert (caught.value.status, caught.value.faults[0].code) == (400, "DIGEST_INVALID")
    assert list(tmp_path.iterdir()) == []


def test_the_later_request_has_the_upload(uploads: Uploads) -> None:
    upload = uploads.begin("app")
    first = upload.begin()
    upload.append(first, b"1")
    second = upload.begin()
    with pytest.raises(Refused) as caught:
        upload.append(first, b"x")
    assert caught.value.status == 409
    assert caught.value.headers["Range"] == "0-0"
    upload.append(second, b"2")
    path, _ = upload.finish(second, digest_as(b"12"))
    path.unlink()


def test_a_blob_has_a_limit(uploads: Uploads, tmp_path: Path) -> None:
    upload = uploads.begin("app")
    turn = upload.begin()
    upload.append(turn, bytes(100))
    with pytest.raises(Refused) as caught:
        upload.append(turn, b"x")
    assert caught.value.status == 413
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_the_upload(uploads: Uploads, tmp_path: Path) -> None:
    upload = uploads.begin("app")
    turn = upload.begin()
    upload._file.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        upload._file = full
        with pytest.raises(ContentError, match="No space left on device"):
            upload.append(turn, b"x")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Refused):
        upload.append(turn, b"x")


def test_there_are_only_so_many(uploads: Uploads) -> None:
    begun = [uploads.begin("app") for _ in range(3)]
    with pytest.raises(Refused) as caught:
        uploads.begin("app")
    assert (caught.value.status, caught.value.faults[0].code) == (429, "TOOMANYREQUESTS")
    uploads.remove(begun[0])
    uploads.begin("app")


def test_an_upload_belongs_to_its_repository(uploads: Uploads) -> None:
    upload = uploads.begin("app")
    assert uploads.find("app", upload.identity) is upload
    for repository, identity in (("other", upload.identity), ("app", "x"), ("app", "../../etc/passwd")):
        with pytest.raises(Refused) as caught:
            uploads.find(repository, identity)
        assert caught.value.faults[0].code == "BLOB_UPLOAD_UNKNOWN"


def test_an_abandoned_upload_is_forgotten(uploads: Uploads, clock: Clock, tmp_path: Path) -> None:
    abandoned = uploads.begin("app")
    clock.now += 40
    used = uploads.begin("app")
    clock.now += 40
    used.append(used.begin(), b"x")
    uploads.expire()
    assert len(uploads) == 1
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(Refused):
        uploads.find("app", abandoned.identity)
    clock.now += 61
    with pytest.raises(Refused):
        uploads.find("app", used.identity)


def test_the_end_leaves_no_file_and_lets_none_begin(uploads: Uploads, tmp_path: Path) -> None:
    upload = uploads.begin("app")
    turn = upload.begin()
    uploads.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Refused):
        upload.append(turn, b"x")
    with pytest.raises(Refused):
        uploads.begin("app")
