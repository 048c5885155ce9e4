"""Contexts that are written as seen from the file that names them, as BUILDX_BAKE_FILE_RELATIVE_PATHS asks for.

Paths of a target become paths from the working directory: each is put below the directory of its own file, and a target
that says no context has that directory for one.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from pyoci.bake.target import Target
from pyoci.regex import regex
from pyoci.values import replace

__all__ = ["directory_of", "rebased", "rebased_path"]

_ELSEWHERE = regex(r"cwd://|target:|service:|docker-image:|oci-layout://|https?://|git://|ssh://|git@|github\.com/")


def directory_of(file: str) -> str | None:
    """Where a file is, as seen from the working directory; None if it is not of this machine."""
    if file in ("", "-") or _ELSEWHERE.match(file):
        return None
    return posixpath.dirname(file) or "."


def rebased_path(base: str, path: str) -> str:
    """A path as seen from the working directory; what is no relative path stays."""
    if not base or not path or path.startswith("/") or _ELSEWHERE.match(path):
        return path
    return posixpath.normpath(posixpath.join(base, path))


def rebased(target: Target, base: str | None, *, context_base: str | None = None) -> Target:
    """A target of a file in `base`; `context_base` is where its context is written, if that is elsewhere."""
    if base is None:
        return target
    contexts: Mapping[str, str | None] | None = target.contexts
    if contexts is not None:
        contexts = {name: value and rebased_path(base, value) for name, value in contexts.items()}
    context = target.context
    if context is not None:
        context = rebased_path(base if context_base is None else context_base, context)
    return replace(target, context=context, contexts=contexts, base=base)
