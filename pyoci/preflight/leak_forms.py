"""The forms in which a secret turns up: as it is, in base64 at each of three alignments, quoted for URLs and for JSON.

A value that is short or an ordinary word is in every image by chance, so it is not searched for.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator

from pyoci.values import dataclass

__all__ = ["LEAST_BYTES", "Form", "forms_of", "is_searchable"]

LEAST_BYTES = 8
"""Bytes below which a value is not searched for."""
_WORD_BYTES = 16
"""Bytes below which a value of letters alone counts as an ordinary word."""


@dataclass(frozen=True, slots=True)
class Form:
    """One spelling of a secret."""

    name: str
    """For messages: empty for the value itself, else `in base64` and so on."""
    pattern: bytes


def is_searchable(value: bytes) -> bool:
    """Whether finding the value would mean something."""
    bare = value.strip()
    return len(bare) >= LEAST_BYTES and not (len(bare) < _WORD_BYTES and bare.isalpha())


def forms_of(value: bytes) -> list[Form]:
    """Every form of a secret, each pattern once; blanks and line ends around it do not count."""
    found: dict[bytes, Form] = {}
    for form in _forms(value.strip()):
        if len(form.pattern) >= LEAST_BYTES:
            found.setdefault(form.pattern, form)
    return list(found.values())


def _forms(value: bytes) -> Iterator[Form]:
    from urllib.parse import quote, quote_plus

    yield Form("", value)
    for alphabet in (None, b"-_"):
        for shift in range(3):
            yield Form("in base64", _base64(value, shift, alphabet))
    for text in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield Form("quoted for a URL", text.encode())
        yield Form("quoted for a URL", _lower_escapes(text).encode())
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    for ascii_only in (True, False):
        yield Form("quoted for JSON", json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode())


def _base64(value: bytes, shift: int, alphabet: bytes | None) -> bytes:
    """What is in the base64 of anything that holds the value at a distance of `shift` bytes from a group of three.

    Signs that depend on bytes before or behind the value are left out.
    """
    encoded = b64encode(b"\0" * shift + value, alphabet)
    first = (0, 2, 3)[shift]
    whole, rest = divmod(shift + len(value), 3)
    return encoded[first : 4 * whole + (0, 1, 2)[rest]]


def _lower_escapes(text: str) -> str:
    """The text with its escapes in lower case, as some libraries write them."""
    head, *rest = text.split("%")
    return head + "".join("%" + piece[:2].lower() + piece[2:] for piece in rest)
