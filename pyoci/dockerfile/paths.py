"""Paths as Go's `path` package cleans them; no file is looked at."""

from __future__ import annotations

import posixpath

__all__ = ["base_name", "clean"]


def clean(path: str) -> str:
    """The shortest equal path: no `.`, no `//`, `..` resolved, no slash at the end; `.` for the empty path."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def base_name(path: str) -> str:
    """The last element, whatever slashes follow it; `/` for slashes alone, `.` for the empty path."""
    stripped = path.rstrip("/")
    if not stripped:
        return "/" if path else "."
    return stripped.rpartition("/")[2]
