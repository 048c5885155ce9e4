"""Where pyoci differs from BuildKit on purpose: by case, with the reason. A difference that vanishes fails the test."""

from __future__ import annotations

__all__ = ["KNOWN"]

KNOWN: dict[str, str] = {
    "dockerignore-everything": "of a file that its two matchers disagree about, BuildKit takes the name and no bytes",
    "named-context": "BuildKit names the layer of FROM DIRECTORY after the last step of the stage, and puts it last",
}
