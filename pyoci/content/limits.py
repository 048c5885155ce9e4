"""How much an image that came from anywhere may be, before any of it is believed. Users can set every limit."""

from __future__ import annotations

from collections.abc import Callable

from pyoci.values import dataclass

__all__ = [
    "DEFAULT_CONTENT_LIMITS",
    "LARGEST_DOCUMENT_BYTES",
    "SMALL_DOCUMENT_BYTES",
    "ContentLimits",
    "ContentLimitsOf",
    "default_limits",
    "how_to_raise",
    "stored_limits",
]

SMALL_DOCUMENT_BYTES = 64 << 10
"""No limit may be lower, so that it need not be known to read what is no larger."""
LARGEST_DOCUMENT_BYTES = 256 << 20
"""No limit may be higher: documents are kept in memory."""


@dataclass(frozen=True, slots=True)
class ContentLimits:
    """Bounds on one image, index or artifact with all that is below it."""

    document_bytes: int = 4 << 20
    """Of a manifest, index or config: what registries accept (distribution-spec: at least 4 MiB)."""
    image_bytes: int = 1 << 40
    """Of all pieces together, as they are stored."""
    pieces: int = 10_000
    """Manifests, configs and layers."""
    index_depth: int = 8
    """How far below the root a document may be."""
    referrers: int = 1_000
    """Manifests that refer to one root or to something below it."""
    referrer_depth: int = 8
    """How often a referrer may have referrers."""


DEFAULT_CONTENT_LIMITS = ContentLimits()

ContentLimitsOf = Callable[[], ContentLimits]
"""Asked when there is something to hold against a limit, so that no configuration is read for what is small."""


def default_limits() -> ContentLimits:
    """What holds where nothing was said."""
    return DEFAULT_CONTENT_LIMITS


_STORED = ContentLimits(document_bytes=LARGEST_DOCUMENT_BYTES)


def stored_limits() -> ContentLimits:
    """What holds for documents of the store, which were within the limits of their day when they came in."""
    return _STORED


def how_to_raise(setting: str) -> str:
    """The hint of an error about a limit."""
    return f"if an image may be so, raise {setting} in the table [limits] of config.toml"
