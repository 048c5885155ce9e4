"""What package managers wrote down about an image: the databases of dpkg and apk, and names of Python's metadata.

Spec: deb-control(5) and dpkg's status file; apk's installed database (apk-package(5), index fields); PyPA's
"Recording installed projects" and setuptools' egg-info.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyoci.regex import regex

__all__ = ["apk_packages", "dpkg_packages", "python_package"]

_METADATA = regex(r"(?P<name>[A-Za-z0-9][\w.]*)-(?P<version>\d[\w.!+]*)(?:-py\d[\d.]*)?\.(?:dist|egg)-info")


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Stanzas of `Field: value`, separated by empty lines; of folded fields the first line."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[0] not in " \t":
            name, colon, value = line.partition(":")
            if colon:
                fields[name.lower()] = value.strip()
    if fields:
        yield fields


def dpkg_packages(text: str) -> dict[str, str]:
    """Versions by `name:architecture` of a status file, or of a file in distroless' status.d.

    What is not installed is left out.
    """
    found = {}
    for fields in _stanzas(text):
        name, version = fields.get("package"), fields.get("version")
        if name and version and fields.get("status", "installed").rpartition(" ")[2] == "installed":
            found[f"{name}:{fields.get('architecture', 'all')}"] = version
    return found


def apk_packages(text: str) -> dict[str, str]:
    """Versions by name of apk's database of what is installed."""
    found: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        if line.startswith("P:"):
            name = line[2:].strip()
        elif line.startswith("V:") and name:
            found[name] = line[2:].strip()
        elif not line:
            name = ""
    return found


def python_package(directory: str) -> tuple[str, str] | None:
    """Name (normalised as PyPI does) and version that a `….dist-info` or `….egg-info` says; None for another name."""
    found = _METADATA.fullmatch(directory)
    return (re.sub(r"[-_.]+", "-", found["name"]).lower(), found["version"]) if found else None
