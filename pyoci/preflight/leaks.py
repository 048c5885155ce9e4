"""Secrets of a build that ended up in its image: searched for in files, names, links and attributes of layers, and in
every string of the documents.

Only exact values are known here, so a hit is certain. A value is in no message and no record. Memory is bounded by the
longest secret and a mebibyte.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

from pyoci.image.config import JSON
from pyoci.layer.entry import Change, Entry, Upsert
from pyoci.layer.indexed import IndexedLayer
from pyoci.layer.protocols import ChangeSet
from pyoci.preflight.findings import Finding, finding
from pyoci.preflight.leak_forms import Form, forms_of, is_searchable
from pyoci.values import dataclass

__all__ = ["find_leaks"]

_CHUNK = 1 << 20
_MOST_FINDINGS = 100
_HINT = (
    "mount it where it is needed with RUN --mount=type=secret, do not copy it, and keep it out of ARG and ENV; "
    "if the image was pushed before, replace the secret"
)


@dataclass(frozen=True, slots=True)
class _Secret:
    label: str
    forms: list[Form]


@dataclass(frozen=True, slots=True)
class _Hit:
    label: str
    form: str


class _Search:
    """All forms of all secrets."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._secrets = [_Secret(label, forms_of(value)) for label, value in values.items() if is_searchable(value)]
        lengths = [len(form.pattern) for secret in self._secrets for form in secret.forms]
        self.overlap = max(lengths, default=1) - 1

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def hits(self, data: bytes) -> Iterator[_Hit]:
        """Each secret that is in some bytes, once."""
        for secret in self._secrets:
            form = next((form for form in secret.forms if form.pattern in data), None)
            if form is not None:
                yield _Hit(secret.label, form.name)

    def stream_hits(self, stream: BinaryIO | io.FileIO) -> Iterator[_Hit]:
        """Each secret that is in a stream, once; the stream is read to its end."""
        seen: set[str] = set()
        window = b""
        while data := stream.read(_CHUNK):
            window = window[-self.overlap :] + data if self.overlap else data
            for hit in self.hits(window):
                if hit.label not in seen:
                    seen.add(hit.label)
                    yield hit


def find_leaks(
    values: Mapping[str, bytes],
    layers: Iterable[tuple[str, ChangeSet]],
    documents: Mapping[str, bytes],
) -> list[Finding]:
    """Where these secrets are in an image.

    `values` are named by what messages call them (`secret "token"`), `layers` by their cause (`layer 3`), `documents`
    (JSON) by a word (`config`). Values that are too short to mean anything are passed over: see `is_searchable`. Cost:
    every layer is read once.

    Raises:
        LayerError, ContentError: a layer's bytes cannot be had.
    """
    search = _Search(values)
    found: list[Finding] = []
    if not search:
        return found
    for name, raw in documents.items():
        for hit in sorted(_document_hits(search, raw), key=lambda hit: (hit.label, hit.form)):
            found.append(_leak(hit, f"in the {name} of the image", "", ("from",)))
    for cause, changes in layers:
        for entry, place, hit in _layer_hits(search, changes):
            found.append(_leak(hit, f"in {place}/{entry.path}", f"/{entry.path}", (cause,)))
            if len(found) >= _MOST_FINDINGS:
                return found
    return list(dict.fromkeys(found))


def _leak(hit: _Hit, place: str, path: str, causes: tuple[str, ...]) -> Finding:
    form = f" {hit.form}" if hit.form else ""
    return finding("SecretLeaked", f"{hit.label} is{form} {place}", _HINT, path=path, causes=causes)


def _document_hits(search: _Search, raw: bytes) -> set[_Hit]:
    """Hits in the bytes of a document and in each of its strings, unquoted."""
    found = set(search.hits(raw))
    waiting: list[JSON] = [json.loads(raw)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.update(search.hits(value.encode("utf-8", "surrogatepass")))
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend([*value, *value.values()])
    return found


def _layer_hits(search: _Search, changes: ChangeSet) -> Iterator[tuple[Entry, str, _Hit]]:
    for entry in _entries(changes.changes):
        names = "\n".join((entry.path, entry.link)).encode("utf-8", "surrogateescape")
        for hit in search.hits(names):
            yield entry, "the name or link of ", hit
        for name, value in entry.xattrs.items():
            for hit in search.hits(value):
                yield entry, f"the extended attribute {name} of ", hit
    for entry, stream in _files(changes):
        for hit in search.stream_hits(stream):
            yield entry, "", hit


def _entries(changes: Iterable[Change]) -> Iterator[Entry]:
    return (change.entry for change in changes if isinstance(change, Upsert))


def _files(changes: ChangeSet) -> Iterator[tuple[Entry, BinaryIO | io.FileIO]]:
    """The files of a layer; a stored layer is read in one pass."""
    entries = [entry for entry in _entries(changes.changes) if entry.type == "file" and entry.size]
    if isinstance(changes, IndexedLayer):
        yield from changes.read_files(entry.path for entry in entries)
        return
    for entry in entries:
        opened = changes.open(entry)
        with io.FileIO(opened) if isinstance(opened, int) else opened as stream:
            yield entry, stream
