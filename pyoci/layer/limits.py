"""How much an untrusted layer may ask for. Every limit can be raised by whoever calls."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one layer or archive."""

    uncompressed_bytes: int = 128 << 30
    """Of the tar, and of all its files with the holes of sparse ones filled."""
    ratio: int = 500
    """How often larger the uncompressed bytes may be than the compressed ones, beyond `always_allowed_bytes`."""
    always_allowed_bytes: int = 1 << 30
    """Uncompressed bytes that are never too many."""
    entries: int = 2_000_000
    header_bytes: int = 1 << 20
    """Of one pax header, one GNU long name or one map of a sparse file (as in Go's archive/tar)."""


DEFAULT_LIMITS = Limits()
