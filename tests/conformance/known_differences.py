"""Where pyoci differs from BuildKit on purpose: by case, with the reason. A difference that vanishes fails the test."""

from __future__ import annotations

__all__ = ["KNOWN"]

KNOWN: dict[str, str] = {
    "named-context": "BuildKit names the layer of FROM DIRECTORY after the last step of the stage, and puts it last",
}
