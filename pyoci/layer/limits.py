"""How much an untrusted layer may ask for. Every limit can be raised by whoever calls."""

from __future__ import annotations

from pyoci.values import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits", "how_to_raise"]


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
    """Of the extended headers of one entry, of all global ones, or of one map of a sparse file."""
    metadata_bytes: int = 512 << 20
    """Of all names, link targets, extended attributes and maps of sparse files, since those are kept in memory."""


DEFAULT_LIMITS = Limits()


def how_to_raise(setting: str) -> str:
    """The hint of an error about a limit that users can set."""
    return f"if a layer may be so, raise {setting} in the table [limits] of config.toml"
