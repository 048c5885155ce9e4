"""How the packages of two images differ: dpkg, apk, rpm, Python, and the modules in Go programs.

Only what differs is read: databases whose bytes are the same in both images, and programs that are, have nothing to
say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from pyoci.errors import ContentError
from pyoci.inspection.files_diff import FileChange
from pyoci.inspection.package_lists import apk_packages, dpkg_packages, python_package
from pyoci.inspection.paths import follow
from pyoci.inspection.rpm_database import rpm_packages
from pyoci.layer.entry import Entry
from pyoci.layer.tree import Tree
from pyoci.preflight.go_build import GoBuild
from pyoci.preflight.reading import Files
from pyoci.values import dataclass

__all__ = ["PackageChange", "System", "package_changes"]

System = Literal["dpkg", "apk", "rpm", "python", "go"]

_DATABASE_LIMIT = 256 << 20
_DPKG = ("/var/lib/dpkg/status",)
_DPKG_PARTS = "/var/lib/dpkg/status.d"
_APK = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
_RPM_DIRECTORIES = ("/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm")
_RPM = tuple(f"{directory}/rpmdb.sqlite" for directory in _RPM_DIRECTORIES)
_RPM_OLDER = tuple(f"{directory}/{name}" for directory in _RPM_DIRECTORIES for name in ("Packages", "Packages.db"))
"""Berkeley DB and NDB, which are not read."""


@dataclass(frozen=True, slots=True)
class PackageChange:
    """One package that is not the same in both images."""

    system: System
    name: str
    before: str | None
    """Its version; None where it was not there."""
    after: str | None
    place: str = ""
    """Where it is installed, for what may be there several times: a directory of Python's, a Go program."""


def package_changes(
    before: Files, after: Files, changes: Sequence[FileChange], *, warn: Callable[[str], None] = lambda _: None
) -> list[PackageChange]:
    """The differences by system, place and name; `changes` are those of the files.

    A database that cannot be read is told to `warn`, and counts as empty.

    Raises:
        LayerError, ContentError, RegistryError: a layer's bytes cannot be had.
    """
    found: list[PackageChange] = []
    databases: tuple[tuple[System, _Reader], ...] = (("dpkg", _dpkg), ("apk", _apk), ("rpm", _rpm))
    for system, read in databases:
        if _touches(changes, system):
            found += _changed(system, read(before.tree, warn), read(after.tree, warn))
    found += _python(changes)
    found += _go(before, after, changes)
    return found


_Reader = Callable[[Tree, Callable[[str], None]], dict[str, str]]
_PLACES: Mapping[str, tuple[str, ...]] = {"dpkg": (*_DPKG, _DPKG_PARTS), "apk": _APK, "rpm": (*_RPM, *_RPM_OLDER)}


def _touches(changes: Sequence[FileChange], system: System) -> bool:
    """Whether a database may have changed: itself, or a link or directory on the way to it."""
    names = _PLACES[system]
    return any(
        change.path == name or name.startswith(f"{change.path}/") or change.path.startswith(f"{name}/")
        for change in changes
        if change.changed != ("mtime",)
        for name in names
    )


def _changed(
    system: System, before: Mapping[str, str], after: Mapping[str, str], place: str = ""
) -> Iterator[PackageChange]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield PackageChange(system, name, before.get(name), after.get(name), place)


def _read(tree: Tree, path: str) -> bytes | None:
    entry = follow(tree, path).entry
    return _content(tree, entry, path) if entry is not None and entry.type == "file" else None


def _content(tree: Tree, entry: Entry, path: str) -> bytes:
    if entry.size > _DATABASE_LIMIT:
        raise ContentError(f"{path} has more than {_DATABASE_LIMIT} bytes")
    parts = []
    with tree.open(entry) as stream:
        while piece := stream.read(1 << 20):
            parts.append(piece)
    return b"".join(parts)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _dpkg(tree: Tree, warn: Callable[[str], None]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in _DPKG:
        found |= dpkg_packages(_text(_read(tree, path) or b""))
    directory = follow(tree, _DPKG_PARTS).entry
    for entry in tree.children(directory.path) if directory is not None else ():
        if entry.type == "file" and not entry.path.endswith(".md5sums"):
            found |= dpkg_packages(_text(_content(tree, entry, entry.path)))
    return found


def _apk(tree: Tree, warn: Callable[[str], None]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in _APK:
        found |= apk_packages(_text(_read(tree, path) or b""))
    return found


def _rpm(tree: Tree, warn: Callable[[str], None]) -> dict[str, str]:
    for path in _RPM:
        raw = _read(tree, path)
        if raw:
            try:
                return rpm_packages(raw)
            except ContentError as error:
                warn(f"{path}: {error.message}")
                return {}
    for path in _RPM_OLDER:
        if follow(tree, path).entry is not None:
            warn(f"{path}: rpm's older databases are not read, so its packages are not compared")
            break
    return {}


def _python(changes: Sequence[FileChange]) -> Iterator[PackageChange]:
    """Python's packages by the names of their metadata, of which there is one for each version."""
    places: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    for change in changes:
        if change.kind == "changed":
            continue
        place, _, name = change.path.rpartition("/")
        package = python_package(name)
        if package is not None:
            sides = places.setdefault(place, ({}, {}))
            sides[change.kind == "added"][package[0]] = package[1]
    for place, (old, new) in sorted(places.items()):
        yield from _changed("python", old, new, place)


def _go(before: Files, after: Files, changes: Sequence[FileChange]) -> Iterator[PackageChange]:
    """Modules of Go programs that differ; the version of Go counts as one of them."""
    suspects = [
        change
        for change in changes
        if (change.kind != "changed" or {"content", "type"} & set(change.changed))
        and any(
            side is not None and side.type == "file" and side.mode & 0o111 for side in (change.before, change.after)
        )
    ]
    old = _builds(before, [change.path for change in suspects if change.before is not None])
    new = _builds(after, [change.path for change in suspects if change.after is not None])
    for path in sorted(old.keys() | new.keys()):
        yield from _changed("go", _modules(old.get(path)), _modules(new.get(path)), path)


def _builds(files: Files, paths: Sequence[str]) -> dict[str, GoBuild]:
    entries = [entry for path in paths if (entry := files.tree.lookup_nofollow(path)) and entry.type == "file"]
    facts = files.all_facts(entries)
    return {f"/{entry.path}": each.go for entry, each in zip(entries, facts, strict=True) if each.go is not None}


def _modules(build: GoBuild | None) -> dict[str, str]:
    if build is None:
        return {}
    modules = [*([build.main] if build.main else []), *build.dependencies]
    return {"go": build.version, **{module.path: module.version or "(unknown)" for module in modules}}
