"""Changes as plain values, to be sent by the worker and kept beside a snapshot."""

from __future__ import annotations

import marshal
from collections.abc import Iterable
from typing import TypeAlias

from pyoci.errors import ContentError
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert

__all__ = ["PlainChange", "changes_of", "dump_changes", "load_changes", "plain_changes"]

PlainChange: TypeAlias = "tuple[object, ...]"
_VERSION = 1


def plain_changes(changes: Iterable[Change]) -> list[PlainChange]:
    """Changes as tuples of plain values."""
    plain: list[PlainChange] = []
    for change in changes:
        if isinstance(change, Upsert):
            e = change.entry
            xattrs = tuple(sorted(e.xattrs.items()))
            plain.append((e.path, e.type, e.mode, e.uid, e.gid, e.size, e.mtime, e.link, tuple(e.device), xattrs))
        else:
            plain.append((change.path, isinstance(change, Opaque)))
    return plain


def changes_of(plain: Iterable[PlainChange]) -> tuple[Change, ...]:
    """The opposite of `plain_changes`."""
    changes: list[Change] = []
    for item in plain:
        if len(item) == 2:
            path, opaque = item
            changes.append(Opaque(LayerPath(str(path))) if opaque else Remove(LayerPath(str(path))))
        else:
            *fields, xattrs = item
            changes.append(Upsert(Entry(*fields, dict(xattrs))))  # type: ignore[arg-type, call-arg, call-overload]
    return tuple(changes)


def dump_changes(plain: Iterable[PlainChange]) -> bytes:
    """Plain changes as the bytes of a file."""
    return marshal.dumps((_VERSION, list(plain)))


def load_changes(data: bytes, name: str) -> tuple[Change, ...]:
    """The changes in such a file.

    Raises:
        ContentError: it is damaged, or of another version.
    """
    try:
        version, plain = marshal.loads(data)
        if version == _VERSION:
            return changes_of(plain)
    except (ValueError, EOFError, TypeError):
        pass
    raise ContentError(f"the record of step {name} is damaged", hint="build with --no-cache")
