"""Ranges of bytes: those that a client wants of a blob (RFC 9110, section 14), and those of an upload's chunks.

The two are written differently: `Range: bytes=0-99` counts from a blob's ends, `Content-Range: 0-99` of a chunk is
distribution-spec's own.
"""

from __future__ import annotations

import re

from pyoci.regex import regex
from pyoci.serve.refusals import Refused
from pyoci.values import dataclass

__all__ = ["Span", "chunk_span", "content_range", "received_range", "wanted_span"]

_ONE_RANGE = regex(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.ASCII | re.IGNORECASE)
_CHUNK = regex(r"(\d{1,19})-(\d{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `start` up to, and without, `end`."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def wanted_span(header: str, size: int) -> Span | None:
    """The part of `size` bytes that a `Range` header asks for; None for all of them.

    What is no range, another unit or several ranges at once are answered with the whole, as RFC 9110 allows.

    Raises:
        Refused: the range lies outside, or ends before it begins (416).
    """
    found = _ONE_RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
        satisfiable = int(found[2]) > 0 and size > 0
    else:
        start = int(found[1])
        end = min(int(found[2]) + 1, size) if found[2] else size
        satisfiable = start < end
    if not satisfiable:
        whole = {"Content-Range": f"bytes */{size}"}
        raise Refused(416, "SIZE_INVALID", f"the blob has {size} bytes, not {header[:80]}", headers=whole)
    return Span(start, end)


def content_range(span: Span, size: int) -> str:
    """The `Content-Range` of an answer with a part of `size` bytes."""
    return f"bytes {span.start}-{span.end - 1}/{size}"


def chunk_span(header: str) -> Span | None:
    """What a chunk's `Content-Range` says; None if it is not of the form `START-END`."""
    found = _CHUNK.fullmatch(header)
    if found is None or int(found[2]) < int(found[1]):
        return None
    return Span(int(found[1]), int(found[2]) + 1)


def received_range(size: int) -> str:
    """The `Range` that tells how many bytes of an upload have arrived: `0-0` for none, as docker's registry says it."""
    return f"0-{max(size - 1, 0)}"
