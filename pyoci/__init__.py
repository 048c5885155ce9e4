"""pyoci builds container images from Dockerfiles with no daemon, no root and no helper program.

    import pyoci

    result = pyoci.build(".", tags=("app:1.0",))
    pyoci.save(["app:1.0"], "app.tar")
    pyoci.push("registry.example.com/team/app:1.0")

Everything here is imported when it is first used.
"""

from __future__ import annotations

import sys as _sys

TYPE_CHECKING = False  # as typing has it, whose import would be most of the start of a sandbox's worker
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
    from pyoci.environment import Environment, current_environment

if TYPE_CHECKING:
    from types import ModuleType as _ModuleType
else:
    _ModuleType = type(_sys)

__version__ = "0.1.0"

__all__ = [
    "BuildResult",
    "CheckedImage",
    "Environment",
    "ImageDiff",
    "ImageHistory",
    "ImageSummary",
    "ListedFile",
    "Options",
    "PlatformChange",
    "Served",
    "SizeReport",
    "__version__",
    "annotate_index",
    "build",
    "check",
    "copy",
    "create_index",
    "current_environment",
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


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in ("Environment", "current_environment"):
        return getattr(import_module("pyoci.environment"), name)
    if name in __all__:
        return import_module("pyoci.api").__getattr__(name)  # some of its modules have the name of a function too
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Package(_ModuleType):
    """Keeps `pyoci.build` the function: importing the package of that name would put itself in its place."""

    @property
    def build(self) -> object:
        return __getattr__("build")

    @build.setter
    def build(self, package: object) -> None:
        """What the import system does; `sys.modules` has the package as well."""


_sys.modules[__name__].__class__ = _Package
