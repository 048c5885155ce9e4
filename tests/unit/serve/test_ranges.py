"""Ranges of blobs by the examples of RFC 9110, and of chunks by distribution-spec."""

from __future__ import annotations

import pytest

from pyoci.serve.ranges import Span, chunk_span, content_range, received_range, wanted_span
from pyoci.serve.refusals import Refused

SIZE = 10_000
"""Of the representation in the examples of RFC 9110, 14.1.2."""


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-499", Span(0, 500)),
        ("bytes=500-999", Span(500, 1000)),
        ("bytes=-500", Span(9500, 10000)),
        ("bytes=9500-", Span(9500, 10000)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=9999-", Span(9999, 10000)),
        ("bytes=0-", Span(0, 10000)),
        ("bytes=0-99999999999999", Span(0, 10000)),
        ("bytes=-20000", Span(0, 10000)),
        ("Bytes=1-2", Span(1, 3)),
        ("bytes= 0-999, 4500-5499, -1000", None),
        ("bytes=0-0,-1", None),
        ("pages=1-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes 0-1", None),
        ("bytes=1-2-3", None),
        ("bytes=٣-٤", None),
        ("", None),
    ],
)
def test_a_range_of_a_blob(header: str, span: Span | None) -> None:
    assert wanted_span(header, SIZE) == span


@pytest.mark.parametrize("header", ["bytes=10000-", "bytes=10000-10001", "bytes=-0", "bytes=500-499"])
def test_a_range_that_cannot_be(header: str) -> None:
    with pytest.raises(Refused) as caught:
        wanted_span(header, SIZE)
    assert caught.value.status == 416
    assert caught.value.headers["Content-Range"] == "bytes */10000"


def test_nothing_of_an_empty_blob_can_be_a_range() -> None:
    for header in ("bytes=0-", "bytes=-1", "bytes=0-0"):
        with pytest.raises(Refused):
            wanted_span(header, 0)


def test_how_a_part_is_told() -> None:
    assert content_range(Span(500, 1000), SIZE) == "bytes 500-999/10000"


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("0-0", Span(0, 1)),
        ("1000-1999", Span(1000, 2000)),
        ("1-0", None),
        ("bytes=0-9", None),
        ("bytes 0-9/10", None),
        ("0-", None),
        ("-9", None),
        ("0-9 ", None),
        ("0x1-0x2", None),
        ("", None),
        ("1" * 30 + "-2", None),
    ],
)
def test_the_place_of_a_chunk(header: str, span: Span | None) -> None:
    assert chunk_span(header) == span


def test_what_has_arrived() -> None:
    assert received_range(1000) == "0-999"
    assert received_range(1) == "0-0"
    assert received_range(0) == "0-0"
