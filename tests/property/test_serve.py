"""The server against arbitrary names, ranges, chunks, paths and bytes."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyoci.digest import Digest
from pyoci.reference import Reference
from pyoci.serve.names import path_of, read_name
from pyoci.serve.ranges import wanted_span
from pyoci.serve.refusals import Refused
from pyoci.serve.uploads import Limits, Uploads
from tests.registry_world import sample_image
from tests.unit.serve.world import World, digest_of, fill, serving

ADDRESSES = ("localhost:5000", "127.0.0.1:5000")
PART = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+){0,2}", fullmatch=True).filter(lambda part: len(part) < 60)
PATH = st.lists(PART, min_size=1, max_size=4).map("/".join)
"""Names by the grammar of distribution-spec."""


@given(PATH)
def test_every_name_of_the_grammar_is_a_repository(path: str) -> None:
    found = read_name(path, addresses=ADDRESSES)
    assert found.names[-1] == found.name
    for reference in found.references("1"):
        shown = path_of(reference, addresses=ADDRESSES)
        assert shown is not None
        assert reference.name in read_name(shown, addresses=ADDRESSES).names


@given(st.text())
@example("a/../b")
def test_what_is_no_name_is_refused_and_nothing_else_happens(path: str) -> None:
    with contextlib.suppress(Refused):
        found = read_name(path, addresses=ADDRESSES)
        assert ".." not in found.repository
        assert not found.repository.startswith("/")
        assert Reference(found.registry, found.repository).name == found.name


@given(st.binary(max_size=50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_a_slice(data: bytes, first: int, last: int) -> None:
    for header, part in (
        (f"bytes={first}-{last}", data[first : last + 1]),
        (f"bytes={first}-", data[first:]),
        (f"bytes=-{last}", data[-last:] if last else b""),
    ):
        try:
            span = wanted_span(header, len(data))
        except Refused as refused:
            assert refused.status == 416
            assert part == b""
        else:
            assert span is not None
            assert part and data[span.start : span.end] == part


@given(st.text(max_size=30), st.integers(0, 100))
@example("bytes=0-0,-1", 10)
def test_no_header_is_a_range_outside(header: str, size: int) -> None:
    with contextlib.suppress(Refused):
        span = wanted_span(header, size)
        assert span is None or 0 <= span.start < span.end <= size


@given(st.lists(st.binary(max_size=20), max_size=8), st.lists(st.integers(0, 100), max_size=8))
@settings(deadline=None)
def test_chunks_in_order_are_the_blob_whatever_else_is_tried(chunks: list[bytes], wrong: list[int]) -> None:
    with TemporaryDirectory() as directory:
        numbers = count()
        uploads = Uploads(lambda: Path(directory) / str(next(numbers)), Limits())
        upload = uploads.begin("app")
        whole = b""
        for index, chunk in enumerate(chunks):
            if index < len(wrong) and wrong[index] != len(whole):
                assert upload.begin_at(wrong[index]) is None
            turn = upload.begin_at(len(whole))
            assert turn is not None
            upload.append(turn, chunk)
            whole += chunk
        path, descriptor = upload.finish(upload.begin(), Digest("sha256:" + hashlib.sha256(whole).hexdigest()))
        assert path.read_bytes() == whole
        assert descriptor.size == len(whole)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("served")
    fill(directory, "app:1")
    with serving(directory, limits=Limits(stall_seconds=2, uploads=1000)) as running:
        yield running
        assert running("GET", "/v2/app/manifests/1").status == 200
        assert not [line for line in running.heard.lines if "internal error" in line]


SEGMENT = st.one_of(
    st.sampled_from(
        ["v2", "app", "blobs", "uploads", "manifests", "tags", "list", "referrers", "_catalog", "..", ".", "", "1"]
    ),
    st.sampled_from([digest_of(b"x"), "sha256:", "sha512:" + "a" * 128, "../../index.json", "%2e%2e%2f", "library"]),
    st.text(max_size=10),
)
KNOWN = {sample_image(100, 200).manifest, sample_image(100, 200).content.open(sample_image(100, 200).config).read()}


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]),
    st.lists(SEGMENT, max_size=7),
    st.sampled_from(["", "?n=1", "?last=%ff", "?digest=x", "?mount=x&from=..", "?ns=/etc", "?artifactType=%00"]),
)
@settings(deadline=None, max_examples=300)
def test_no_path_is_too_much(world: World, method: str, segments: list[str], query: str) -> None:
    path = "/v2/" + "/".join(quote_from_bytes(segment.encode(), safe="") for segment in segments)
    answer = world(method, path + query)
    assert answer.status < 500
    if answer.status >= 400 and method != "HEAD":
        assert answer.json()["errors"][0]["code"]
    if answer.headers.get("Docker-Content-Digest") and method == "GET":
        assert answer.body in KNOWN  # files of the server's machine are none


LONG = b"the long header"
"""Stands for a header that is longer than the server takes."""
LINE = st.one_of(
    st.sampled_from(
        [
            *(
                b"GET /v2/ HTTP/1.1\r\n",
                b"POST /v2/app/blobs/uploads/ HTTP/1.1\r\n",
                b"PUT /v2/app/manifests/2 HTTP/1.1\r\n",
            ),
            *(b"GET /v2/app/manifests/1 HTTP/1.0\r\n", b"GET http://x/v2/ HTTP/1.1\r\n", b"CONNECT x:1 HTTP/1.1\r\n"),
            *(
                b"Host: x\r\n",
                b"Content-Length: 5\r\n",
                b"Content-Length: -1\r\n",
                b"Content-Length: 99999999999999\r\n",
            ),
            *(
                b"Transfer-Encoding: chunked\r\n",
                b"Content-Range: 0-4\r\n",
                b"Range: bytes=0-4\r\n",
                b"Connection: close\r\n",
            ),
            *(
                b"Upgrade: websocket\r\nConnection: upgrade\r\n",
                b"Expect: 100-continue\r\n",
                b"Authorization: Basic x\r\n",
            ),
            *(
                b"\r\n",
                b"\n",
                b"5\r\nhello\r\n",
                b"0\r\n\r\n",
                b"ffffffffffffffff\r\n",
                b"{}",
                b"hello",
                b"\0",
                b"PRI * HTTP/2.0\r\n",
            ),
            *(
                b"\x16\x03\x01\x02\x00",
                LONG,
                b": \r\n",
                b" folded\r\n",
                b"Host: \xff\xfe\r\n",
            ),
        ]
    ),
    st.binary(max_size=40),
)


@given(st.lists(LINE, min_size=1, max_size=10).map(b"".join))
@settings(deadline=None, max_examples=300)
@example(
    b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\nGET /v2/app/manifests/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)
@example(
    b"POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n"
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET"
)
def test_no_bytes_are_too_much(world: World, data: bytes) -> None:
    host, _, port = world.address.partition(":")
    received = b""
    connection = socket.create_connection((host, int(port)), timeout=20)
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(data.replace(LONG, b"X: " + b"a" * 70_000 + b"\r\n"))
        with contextlib.suppress(OSError):  # the server may have hung up already
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            received += part
    assert received == b"" or received.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 500" not in received
    assert b"Traceback" not in received
