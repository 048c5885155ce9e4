"""What the worker does for snapshots, in its namespaces: unpack, read changes back, open, remove. Plain values in and
out.

Every function takes a request and descriptors and returns a reply, as `pyoci.sandbox` calls operations. Owners and
modes that the builder itself may not touch are no obstacle here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from pyoci.digest import DiffID
from pyoci.errors import ContentError, LayerError, PyociError
from pyoci.layer.apply import ApplyPolicy
from pyoci.layer.directories import remove_tree
from pyoci.layer.entry import Entry, LayerPath
from pyoci.layer.limits import Limits
from pyoci.sandbox.failure import Failure
from pyoci.snapshot.changes import plain_changes
from pyoci.snapshot.compare import Listed, compare_directories, list_tree
from pyoci.snapshot.diff import read_upper
from pyoci.snapshot.lowers import Lower
from pyoci.snapshot.ondisk import OwnerRules
from pyoci.snapshot.unpack import LayerBlob, describe, load_unpacked, unpack_layers

__all__ = [
    "OPERATIONS",
    "Reply",
    "Request",
    "compare",
    "describe_directories",
    "diff",
    "list_files",
    "make_directories",
    "open_file",
    "remove",
    "unpack",
]

OPERATIONS = tuple(
    f"pyoci.snapshot.operations:{name}"
    for name in (
        *("unpack", "describe_directories", "diff", "list_files", "compare", "open_file", "make_directories"),
        "remove",
    )
)
"""For a worker's allow-list."""

Request: TypeAlias = "dict[str, Any]"
Reply: TypeAlias = "dict[str, object]"


@contextmanager
def _told() -> Iterator[None]:
    """Errors of pyoci cross to the builder as what they are."""
    try:
        yield
    except PyociError as error:
        raise Failure(error.message, error.hint or "", type(error).__name__) from error


def _path(text: str) -> Path:
    return Path(os.fsdecode(text.encode("utf-8", "surrogateescape")))


def unpack(request: Request, descriptors: list[int]) -> Reply:
    """Unpacks layers (descriptors of their blobs, lowest first) into `target`, if it is not there already.

    Replies with `opaque_root`; with `skipped`: what could not be kept of the layers' metadata, as text; with the
    `indexes` that were asked for, by diff ID; and with `undescribed`, as `Applied` has it.
    """
    blobs = [
        LayerBlob(descriptor, layer["compression"], DiffID(layer["diff_id"]), layer["size"], layer["indexed"])
        for descriptor, layer in zip(descriptors, request["layers"], strict=True)
    ]
    implied = {entry.path: entry for entry in _directories(request["implied"])}
    policy = ApplyPolicy(request["whiteouts"], request["ownership"], request["devices"], implied)
    with _told():
        unpacked = unpack_layers(blobs, _path(request["target"]), policy, limits=Limits(**request["limits"]))
    skipped = [
        f"{item.what} of {item.path} (and {item.count - 1} more) is not on the disk: {item.reason}"
        for item in unpacked.applied.skipped
    ]
    return {
        "opaque_root": unpacked.applied.opaque_root,
        "skipped": skipped,
        "indexes": {str(diff_id): index for diff_id, index in unpacked.indexes.items()},
        "undescribed": [str(path) for path in unpacked.applied.undescribed],
    }


def describe_directories(request: Request, _: list[int]) -> Reply:
    """Gives `directories` of an unpacked layer at `target` the attributes that other layers say they have."""
    with _told():
        describe(_path(request["target"]), _directories(request["directories"]), request["ownership"])
    return {}


def _directories(rows: list[tuple[str, int, int, int, int]]) -> list[Entry]:
    return [
        Entry(LayerPath(path), "dir", mode=mode, uid=uid, gid=gid, mtime=mtime) for path, mode, uid, gid, mtime in rows
    ]


def diff(request: Request, _: list[int]) -> Reply:
    """The changes in an upper directory over lower ones (uppermost first), and the owners to remember of it."""
    rules = _rules(request)
    with _told(), _opened(_path(request["upper"])) as upper:
        lowers = [_lower(path, recorded) for path, recorded in request["lowers"]]
        found = read_upper(upper, lowers, rules)
    work = _path(request["work"])
    parent = os.open(work.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(work.name, parent)
    finally:
        os.close(parent)
    return {"changes": plain_changes(found.changes), "owners": {str(p): list(o) for p, o in found.owners.items()}}


def list_files(request: Request, _: list[int]) -> Reply:
    """A listing of an unpacked directory, for `compare` to be held against later."""
    path = _path(request["directory"])
    with _told(), _opened(path) as root:
        listing = list_tree(root, load_unpacked(path.parent).applied.owners)
    return {"listing": [(name, tuple(listed)) for name, listed in listing.items()]}


def compare(request: Request, _: list[int]) -> Reply:
    """The changes in a directory since it was listed: for where there is no overlay."""
    rules = _rules(request)
    before = {LayerPath(name): Listed(*listed) for name, listed in request["listing"]}
    with _told(), _opened(_path(request["directory"])) as root:
        found = compare_directories(before, root, rules)
    return {"changes": plain_changes(found.changes)}


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_directories(request: Request, _: list[int]) -> Reply:
    """Makes directories, in order, with the given modes."""
    for text, mode in request["directories"]:
        path = _path(text)
        path.mkdir(mode=0o700)
        path.chmod(mode)
    return {}


def _lower(files: str, recorded: dict[str, list[int]] | None) -> Lower:
    """A lower directory; the owners of an unpacked layer are read from beside it."""
    path = _path(files)
    if recorded is None:
        return Lower(path, load_unpacked(path.parent).applied.owners)
    return Lower(path, {name: (uid, gid) for name, (uid, gid) in recorded.items()})


def _rules(request: Request) -> OwnerRules:
    """What single mode noted (`sandbox.protocols.OverlayRoot.owners`)."""
    owners: dict[int, tuple[int, int]] = {}
    default, exact = (0, 0), False
    try:
        lines = _path(request["owners"]).read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        lines = []
    for line in lines:
        key, uid, gid = line.split()
        if key == "default":
            default = (int(uid), int(gid))
        elif key == "exact":
            exact = True
        else:
            owners[int(key)] = (int(uid), int(gid))
    return OwnerRules(request["ownership"], owners, default, exact)


def open_file(request: Request, _: list[int]) -> tuple[Reply, list[int]]:
    """A descriptor of a file below a directory, by its path in it; no link on the way is followed."""
    current = os.open(_path(request["directory"]), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *parents, name = request["path"].encode("utf-8", "surrogateescape").split(b"/")
    try:
        for part in parents:
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = below
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=current)
    except OSError as error:
        path = request["path"]
        raise Failure(f'cannot read "{path}" of a kept step: {error.strerror}', kind=ContentError.__name__) from error
    finally:
        os.close(current)
    return {}, [found]


def remove(request: Request, _: list[int]) -> Reply:
    """Removes directories with all that is in them."""
    for text in request["paths"]:
        path = _path(text)
        try:
            parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            remove_tree(path.name, parent)
        except OSError as error:
            raise Failure(f"cannot remove {path}: {error.strerror}", kind=LayerError.__name__) from error
        finally:
            os.close(parent)
    return {}
