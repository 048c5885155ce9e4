"""`list_files` and `read_file`: the files of an image, wherever the image is, with nothing unpacked."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack

from pyoci.api.anywhere import see
from pyoci.api.services import Options, Services, opened
from pyoci.digest import digest_hex
from pyoci.errors import UsageError
from pyoci.image import Image
from pyoci.inspection.listing import ListedFile, list_tree
from pyoci.inspection.paths import Followed, follow, not_there
from pyoci.layer.entry import Entry
from pyoci.layer.protocols import ChangeSet
from pyoci.layer.tree import Tree

__all__ = ["ListedFile", "list_files", "read_file"]

_CHUNK = 1 << 20
_KINDS = {
    "dir": "a directory",
    "char": "a device",
    "block": "a device",
    "fifo": "a named pipe",
}


def list_files(
    name: str,
    path: str = "/",
    *,
    recursive: bool = False,
    follow_last: bool = True,
    platform: str = "",
    options: Options | None = None,
) -> list[ListedFile]:
    """What an image has in a directory, sorted by name, or the one thing at a path.

    `name` is written as `pyoci.api.anywhere` says. Symbolic links on the way are followed inside the image, one at the
    end if `follow_last`. Layers that are not here are fetched, since each may have something in the directory.

    Raises:
        UsageError: the name or platform is none.
        ContentNotFound, RegistryError: there is no such image, or no such path; the hint has paths like it.
        LayerError, ContentError: the path leads in a circle, or a layer is not what its digests say.
    """
    with opened(options) as services, ExitStack() as stack:
        image = see(name, platform, services, stack).image
        tree = services.trees.of_stack(image.layers)
        return list(list_tree(tree, path, name=name, recursive=recursive, follow_last=follow_last))


def read_file(name: str, *paths: str, platform: str = "", options: Options | None = None) -> Iterator[bytes]:
    """The bytes of files of an image in pieces, one file after the other; symbolic links are followed inside the image.

    `name` is written as `pyoci.api.anywhere` says. All paths are looked up before the first byte comes. Layers are
    fetched from the top down as far as it takes to find the files. The bytes of a file are held against its digest when
    it has been read: an error after the last piece means that they must not be used.

    Raises:
        UsageError: the name, the platform or a path is none of a file.
        ContentNotFound, RegistryError: there is no such image, or no such path; the hint has paths like it.
        LayerError, ContentError: a path leads in a circle, or a layer is not what its digests say.
    """
    with opened(options) as services, ExitStack() as stack:
        image = see(name, platform, services, stack).image
        upper = _UpperLayers(image, services)
        found = [_file(upper, path, name) for path in paths]
        tree = upper.tree
        with tree.one_pass(found, services.store.root / "tmp") as open_content:
            for entry in found:
                content = open_content(entry)
                assert not isinstance(content, int), "a layer gives streams"
                with content as stream:
                    while piece := stream.read(_CHUNK):
                        yield piece


class _UpperLayers:
    """The tree of as many layers, counted from the top, as were needed so far.

    What an upper layer says of a path is not changed by those below, so a file that is found is the file.
    """

    def __init__(self, image: Image, services: Services) -> None:
        self._services = services
        self._below = list(image.layers)
        self._changes: list[ChangeSet] = []
        self.tree = Tree()
        self._take_known()

    def take_more(self) -> bool:
        """Adds the next layer, and those below it that cost no download; False if there was none."""
        if not self._below:
            return False
        self._changes.insert(0, self._services.trees.changes(self._below.pop()))
        self._take_known()
        return True

    def _take_known(self) -> None:
        store, origins = self._services.store, self._services.origins
        while self._below:
            layer = self._below[-1]
            is_read = (store.root / "indexes" / digest_hex(layer.diff_id)).exists()
            if not is_read and not store.has(layer.descriptor) and not origins.has_here(layer.descriptor):
                break
            self._changes.insert(0, self._services.trees.changes(self._below.pop()))
        self.tree = Tree(self._changes)


def _file(upper: _UpperLayers, path: str, name: str) -> Entry:
    found = follow(upper.tree, path)
    while _may_change(found) and upper.take_more():
        found = follow(upper.tree, path)
    if found.entry is None:
        raise not_there(upper.tree, path, found, name)
    if found.entry.type != "file":
        raise UsageError(
            f'"{path}" is {_KINDS.get(found.entry.type, found.entry.type)}',
            hint=f"pyoci ls {name} {path} lists it" if found.entry.type == "dir" else "only files have contents",
        )
    return found.entry


def _may_change(found: Followed) -> bool:
    """Whether layers further down may lead the path elsewhere: what is not there yet may be there in one of them."""
    return found.error == errno.ENOENT
