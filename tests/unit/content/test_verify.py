"""Nothing that is read counts before the end was reached and proven."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.content.limits import DEFAULT_CONTENT_LIMITS, SMALL_DOCUMENT_BYTES, ContentLimits
from pyoci.content.observed import ObservedReader
from pyoci.content.verify import VerifyingReader, read_document, verified, verifies
from pyoci.digest import Digest
from pyoci.errors import DigestMismatch, InvalidDocument
from pyoci.image.descriptor import Descriptor
from tests.content_laws import descriptor_of

DATA = b"0123456789"
WANTED = descriptor_of(DATA)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"", f"{WANTED.digest} ends after 0 of 10 bytes"),
        (DATA[:-1], f"{WANTED.digest} ends after 9 of 10 bytes"),
        (DATA + b"x", f"{WANTED.digest} is longer than the 10 bytes of its descriptor"),
        (DATA * 1000, f"{WANTED.digest} is longer than the 10 bytes of its descriptor"),
        (DATA[::-1], f"expected {WANTED.digest}, got {descriptor_of(DATA[::-1]).digest}"),
    ],
)
@pytest.mark.parametrize("size", [-1, 1, 3, 10, 11, 4096])
def test_other_content_is_told_and_its_last_piece_withheld(stream: bytes, message: str, size: int) -> None:
    reader = VerifyingReader(io.BytesIO(stream), WANTED)
    seen = bytearray()
    with pytest.raises(DigestMismatch) as caught:
        while piece := reader.read(size):
            seen += piece
    assert caught.value.message == message
    assert len(seen) < len(DATA)
    assert not reader.verified
    with pytest.raises(DigestMismatch):
        reader.read()


@pytest.mark.parametrize("stream", [b"", DATA[:-1], DATA + b"x", DATA * 1000, DATA[::-1]])
@pytest.mark.parametrize("size", [1, 3, 10, 11, 4096])
def test_a_buffer_that_is_filled_is_no_way_around(stream: bytes, size: int) -> None:
    reader = VerifyingReader(io.BytesIO(stream), WANTED)
    buffer, count = bytearray(size), 0
    with pytest.raises(DigestMismatch):
        while got := reader.readinto(buffer):
            count += got
    assert count < len(DATA)
    with pytest.raises(DigestMismatch):
        reader.readinto(buffer)
    with pytest.raises(DigestMismatch):
        reader.read()


@given(st.binary(max_size=64), st.lists(st.integers(-1, 9), max_size=12), st.integers(1, 70))
def test_right_content_fills_a_buffer(data: bytes, sizes: list[int], room: int) -> None:
    reader = VerifyingReader(io.BytesIO(data), descriptor_of(data))
    seen = b"".join(reader.read(size) for size in sizes)
    buffer = bytearray(room)
    while got := reader.readinto(buffer):
        seen += buffer[:got]
    assert seen == data
    assert reader.verified
    assert reader.readinto(buffer) == 0


@given(st.binary(max_size=64), st.lists(st.integers(-1, 9), max_size=12))
def test_right_content_passes_however_it_is_read(data: bytes, sizes: list[int]) -> None:
    reader = VerifyingReader(io.BytesIO(data), descriptor_of(data))
    seen = b"".join(reader.read(size) for size in sizes) + reader.read()
    assert seen == data
    assert reader.verified
    assert reader.read(5) == b""


def test_the_end_is_proven_with_the_last_byte_and_not_one_read_later() -> None:
    reader = VerifyingReader(io.BytesIO(DATA), WANTED)
    assert reader.read(len(DATA)) == DATA
    assert reader.verified


def test_an_endless_stream_is_not_read_to_its_end() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1, /) -> bytes:
            assert size >= 0
            self.given += size
            return b"x" * size

    endless = Endless()
    with pytest.raises(DigestMismatch):
        VerifyingReader(cast("BinaryIO", endless), WANTED).readall()
    assert endless.given == WANTED.size + 1


def test_it_works_below_a_buffer() -> None:
    with io.BufferedReader(VerifyingReader(io.BytesIO(DATA), WANTED), 4) as stream:
        assert stream.read(3) + stream.read() == DATA
    with io.BufferedReader(VerifyingReader(io.BytesIO(b"x" * 10), WANTED), 4) as stream, pytest.raises(DigestMismatch):
        stream.read()


def test_closing_it_closes_what_it_reads() -> None:
    stream = io.BytesIO(DATA)
    VerifyingReader(stream, WANTED).close()
    assert stream.closed


def test_a_document_is_read_whole_and_its_stream_closed() -> None:
    stream = io.BytesIO(DATA)
    assert read_document(stream, WANTED) == DATA
    assert stream.closed


def test_a_document_that_is_promised_too_large_is_not_read() -> None:
    stream = io.BytesIO(DATA)
    with pytest.raises(InvalidDocument) as caught:
        read_document(stream, replace(WANTED, size=DEFAULT_CONTENT_LIMITS.document_bytes + 1))
    assert caught.value.message == f"{WANTED.digest} is 4194305 bytes, more than the 4194304 that a document may have"
    assert caught.value.hint == "if an image may be so, raise document-size in the table [limits] of config.toml"
    assert stream.closed


def test_a_limit_can_be_set_and_is_not_asked_for_what_is_small() -> None:
    def asked() -> ContentLimits:
        raise AssertionError

    small, large = b" " * SMALL_DOCUMENT_BYTES, b" " * (SMALL_DOCUMENT_BYTES + 1)
    assert read_document(io.BytesIO(small), descriptor_of(small), limits=asked) == small
    lowest = ContentLimits(document_bytes=SMALL_DOCUMENT_BYTES)
    with pytest.raises(InvalidDocument, match="65537 bytes, more than the 65536"):
        read_document(io.BytesIO(large), descriptor_of(large), limits=lambda: lowest)
    higher = ContentLimits(document_bytes=len(large))
    assert read_document(io.BytesIO(large), descriptor_of(large), limits=lambda: higher) == large


def test_a_document_of_just_the_limit_is_read() -> None:
    data = b" " * DEFAULT_CONTENT_LIMITS.document_bytes
    assert read_document(io.BytesIO(data), descriptor_of(data)) == data


def test_a_document_that_lies_about_its_size_is_refused() -> None:
    stream = io.BytesIO(b" " * (DEFAULT_CONTENT_LIMITS.document_bytes + 1))
    with pytest.raises(DigestMismatch):
        read_document(stream, replace(WANTED, digest=Digest(WANTED.digest)))


LONG = DATA * 10
BLOB = descriptor_of(LONG)


def verifying(data: bytes = LONG) -> BinaryIO:
    return io.BufferedReader(VerifyingReader(io.BytesIO(data), BLOB))


def test_what_proves_itself_is_hashed_once() -> None:
    for stream in (verifying(), cast("BinaryIO", ObservedReader(verifying(), lambda _: None))):
        assert verifies(stream, BLOB)
        assert verified(stream, BLOB) is stream


@pytest.mark.parametrize(
    "wanted",
    [replace(BLOB, digest=WANTED.digest), replace(BLOB, size=99)],
    ids=["digest", "size"],
)
def test_what_proves_something_else_proves_nothing(wanted: Descriptor) -> None:
    stream = verifying()
    assert not verifies(stream, wanted)
    with pytest.raises(DigestMismatch):
        verified(stream, wanted).read()


def test_what_was_read_in_part_proves_nothing() -> None:
    buffered = verifying()
    buffered.read(1)
    assert not verifies(buffered, BLOB)
    observed = ObservedReader(verifying(), lambda _: None)
    observed.read(1)
    assert not verifies(observed, BLOB)
    assert not verifies(io.BytesIO(LONG), BLOB)


def test_an_observed_stream_that_is_begun_again_proves_itself_again() -> None:
    observed = ObservedReader(verifying(), lambda _: None, reopen=verifying)
    observed.read(10)
    observed.seek(0)
    assert verifies(observed, BLOB)


@pytest.mark.parametrize("size", [7, 100, 1000])
@pytest.mark.parametrize("data", [LONG[:-1], LONG + b"x", LONG[:-1] + b"x"], ids=["short", "long", "changed"])
def test_no_last_byte_of_what_is_wrong_is_given_out(data: bytes, size: int) -> None:
    stream = verified(verifying(data), BLOB)
    seen = b""
    with pytest.raises(DigestMismatch):
        while piece := stream.read(size):
            seen += piece
    assert len(seen) < len(LONG)
