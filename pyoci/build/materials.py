"""What from elsewhere went into an image, as provenance names it."""

from __future__ import annotations

from collections.abc import Mapping

from pyoci.values import dataclass

__all__ = ["Material"]


@dataclass(frozen=True, slots=True)
class Material:
    """One source: a URI, and the digests by which it is what it is (in-toto: ResourceDescriptor)."""

    uri: str
    digest: Mapping[str, str]
    """By algorithm, in hex."""
