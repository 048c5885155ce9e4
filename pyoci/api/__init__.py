"""What pyoci can do, as functions: the composition root, where stores, registries, sandboxes and builders are joined.

Every function takes an `Environment` (or that of this process) and returns frozen values; errors are those of
`pyoci.errors`. Printing, flags and exit statuses belong to `cli`. `import pyoci` gives the same names.
"""

from __future__ import annotations

import sys as _sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyoci.api.build import BuildResult, build
    from pyoci.api.check import CheckedImage, check
    from pyoci.api.copying import copy
    from pyoci.api.diff import ImageDiff, diff
    from pyoci.api.files import ListedFile, list_files, read_file
    from pyoci.api.history import ImageHistory, history
    from pyoci.api.images import ImageSummary, images, inspect, remove, tag
    from pyoci.api.indexes import PlatformChange, annotate_index, create_index, read_manifest
    from pyoci.api.logins import login, logout
    from pyoci.api.options import Options
    from pyoci.api.repositories import delete, list_referrers, list_tags
    from pyoci.api.run import run
    from pyoci.api.serving import Served, serve
    from pyoci.api.size import SizeReport, size
    from pyoci.api.transfer import load, pull, push, save

__all__ = [
    "BuildResult",
    "CheckedImage",
    "ImageDiff",
    "ImageHistory",
    "ImageSummary",
    "ListedFile",
    "Options",
    "PlatformChange",
    "Served",
    "SizeReport",
    "annotate_index",
    "build",
    "check",
    "copy",
    "create_index",
    "delete",
    "diff",
    "history",
    "images",
    "inspect",
    "list_files",
    "list_referrers",
    "list_tags",
    "load",
    "login",
    "logout",
    "pull",
    "push",
    "read_file",
    "read_manifest",
    "remove",
    "run",
    "save",
    "serve",
    "size",
    "tag",
]

_HOME = {
    "BuildResult": "build",
    "build": "build",
    "CheckedImage": "check",
    "check": "check",
    "ImageSummary": "images",
    "images": "images",
    "inspect": "images",
    "ImageDiff": "diff",
    "diff": "diff",
    "ImageHistory": "history",
    "history": "history",
    "ListedFile": "files",
    "list_files": "files",
    "read_file": "files",
    "SizeReport": "size",
    "size": "size",
    "remove": "images",
    "tag": "images",
    "run": "run",
    "Options": "options",
    "Served": "serving",
    "serve": "serving",
    "load": "transfer",
    "pull": "transfer",
    "push": "transfer",
    "save": "transfer",
    "login": "logins",
    "logout": "logins",
    "copy": "copying",
    "delete": "repositories",
    "list_referrers": "repositories",
    "list_tags": "repositories",
    "PlatformChange": "indexes",
    "annotate_index": "indexes",
    "create_index": "indexes",
    "read_manifest": "indexes",
}


def __getattr__(name: str) -> object:
    """Imports what a name needs when it is first used: a cached build must not pay for a registry client."""
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)


class _Package(ModuleType):
    """Keeps `pyoci.api.build` and its like the functions: their modules have the same names."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):  # what the import system does with a module
            super().__setattr__(name, value)


_sys.modules[__name__].__class__ = _Package
