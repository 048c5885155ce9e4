"""Unpacking a layer on disk: the one place where names of a layer become files of the host.

Works through directory descriptors alone, so that nothing outside the root is touched whatever the layer says. What
this disk or this user cannot hold is recorded beside the file or reported, never dropped. Modes and times of
directories come last.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import BinaryIO, Literal, TypeAlias

from pyoci.errors import LayerError
from pyoci.layer.attributes import Attributes, Skipped
from pyoci.layer.changes import implied_directory
from pyoci.layer.directories import Directories, remove_tree
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.file_content import write_content
from pyoci.layer.index import IndexPayload
from pyoci.layer.limits import DEFAULT_LIMITS, Limits
from pyoci.layer.links import OwnLinks
from pyoci.layer.paths import ROOT, join, parent_of, tree_key
from pyoci.layer.recorded import DEVICE_XATTR, encode_device
from pyoci.layer.tar_reader import TarReader
from pyoci.layer.whiteout import LINK_DIRECTORY, interpret
from pyoci.values import dataclass, field

__all__ = ["Applied", "ApplyPolicy", "Seen", "apply_layer"]

Seen: TypeAlias = Callable[[Change, IndexPayload | None], None]
"""Hears each change in stored order; of a file, where its bytes are and what they are."""

_OPAQUE_XATTRS = {"overlay-trusted": "trusted.overlay.opaque", "overlay-user": "user.overlay.opaque"}
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class ApplyPolicy:
    """How a layer is put on this disk by this user."""

    whiteouts: Literal["overlay-trusted", "overlay-user", "merge"]
    """As overlayfs keeps them, with attributes of root or of a user namespace, in a directory that holds one layer
    alone; or carried out on the layers below, which are in the same directory."""
    ownership: Literal["chown", "record"]
    """`record` keeps owners in the attribute of `recorded.py`."""
    devices: Literal["make", "record"]
    implied: Mapping[LayerPath, Entry] = field(default_factory=dict)
    """What directories are that the layer has something in but no entry for, as far as it is known; else root's,
    0755."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a layer."""

    entries: int
    owners: Mapping[str, tuple[int, int]]
    """With recorded ownership: uid and gid of what can hold no attribute, such as symbolic links, by path."""
    skipped: tuple[Skipped, ...]
    opaque_root: bool
    """The layer hides all layers below it. Overlayfs cannot be told so by a directory: leave them out."""
    undescribed: tuple[LayerPath, ...] = field(default=(), compare=False)
    """Directories that the layer has something in but no entry for, and that `ApplyPolicy.implied` did not know either.
    When merging there are none: they are what they were."""


def apply_layer(
    stream: BinaryIO,
    root_fd: int,
    *,
    policy: ApplyPolicy,
    owners: Mapping[str, tuple[int, int]] | None = None,
    seen: Seen | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Applied:
    """Unpacks an uncompressed tar into the directory `root_fd`, reading the stream to its end. Does not close either.

    `owners` is what the layers that are merged below have left of them (`Applied.owners`). With `seen` the content of
    files is hashed on its way, and whoever wants an index need not read the layer again.
    What is below the root may be changed by nobody else meanwhile. After an error the directory is to be thrown away.

    Raises:
        LayerError: the layer is malformed, unsafe or beyond a limit, or the disk refuses something; the message names
        the path.
    """
    with Directories(root_fd) as directories:
        unpacking = _Unpacking(TarReader(stream, limits=limits), root_fd, directories, policy, seen)
        unpacking.attributes.owners.update(owners or {})
        unpacking.run()
    return Applied(
        unpacking.entries,
        unpacking.attributes.owners,
        unpacking.attributes.skipped(),
        unpacking.opaque_root,
        tuple(unpacking.undescribed),
    )


class _Unpacking:
    """One run of `apply_layer`."""

    def __init__(
        self, reader: TarReader, root_fd: int, directories: Directories, policy: ApplyPolicy, seen: Seen | None
    ) -> None:
        self._reader = reader
        self._seen = seen
        self._payload: IndexPayload | None = None
        self._root = root_fd
        self._policy = policy
        self._merge = policy.whiteouts == "merge"
        self._opaque_xattr = _OPAQUE_XATTRS.get(policy.whiteouts, "")
        inherits_group = bool(os.fstat(root_fd).st_mode & stat.S_ISGID)
        self.attributes = Attributes(policy.ownership, always_chown=self._merge or inherits_group)
        self._directories = directories
        directories.on_made = self._note_made
        if self._merge:
            directories.on_opened = self._note_opened
        self._final: dict[LayerPath, Entry] = {}
        """Directories and what they are in the end."""
        self._unknown: set[LayerPath] = set()
        """Those of them that nothing has described so far."""
        self.undescribed: list[LayerPath] = []
        self._modes: dict[LayerPath, int] = {}
        """When merging: directories of layers below that were made writable for the while, with their modes."""
        self._touched: set[str] = set()
        """When merging: what this layer has put somewhere, and the directories above."""
        self.entries = 0
        self.opaque_root = False

    def run(self) -> None:
        if not self._merge:
            self._note_made(ROOT, replaced=False)
        path = ROOT
        links = OwnLinks()
        try:
            while (entry := self._reader.next()) is not None:
                path = entry.path
                change = interpret(entry)
                if change is not None:
                    change = links.followed(change)
                self._payload = None
                if isinstance(change, Upsert):
                    self._put(change.entry)
                elif isinstance(change, Remove):
                    path = change.path
                    self._remove(path)
                elif isinstance(change, Opaque):
                    path = change.path
                    self._make_opaque(path)
                if self._seen is not None and change is not None:
                    self._seen(change, self._payload)
            path = ROOT
            self._directories.forget(LINK_DIRECTORY)
            remove_tree(LINK_DIRECTORY, self._root)
            self._finish_directories()
            self._drop_stale_owners()
        except OSError as error:
            raise _refused(path, error) from error

    def _put(self, entry: Entry) -> None:
        self.entries += 1
        path = entry.path
        if self._merge:
            self._touch(path)
        if entry.type == "dir":
            self._put_directory(entry)
            return
        if not path:
            raise LayerError(f"the root would be a {entry.type} instead of a directory")
        parent, name = self._parent(path)
        if entry.type == "file":
            self._put_file(entry, parent, name)
        elif entry.type == "hardlink":
            self._put_link(entry)
        else:
            self._put_special(entry, parent, name)

    def _parent(self, path: LayerPath) -> tuple[int, str]:
        directory, _, name = path.rpartition("/")
        return self._directories.open(LayerPath(directory), make=True), name

    def _note_made(self, path: LayerPath, replaced: bool) -> None:
        """A directory came to be without an entry of its own (yet)."""
        # What it replaces, a whiteout or a file of this layer, had hidden what the layers below have here: what is in a
        # directory there, and how the directory is.
        known = None if replaced else self._policy.implied.get(path)
        self._final[path] = known or implied_directory(path)
        if known is None and not replaced:
            self._unknown.add(path)
        else:
            self._unknown.discard(path)
        if replaced and not self._merge:
            self._hide_below(path)

    def _note_opened(self, path: LayerPath, descriptor: int, mode: int) -> None:
        """A directory of the layers below is written to: by users for whom its mode counts, too."""
        if mode & 0o700 != 0o700:
            self._modes[path] = mode
            with suppress(PermissionError):  # not ours: then writing to it says what is wrong
                os.fchmod(descriptor, mode | 0o700)

    def _put_directory(self, entry: Entry) -> None:
        self._directories.open(entry.path, make=True)
        self._final[entry.path] = entry
        self._unknown.discard(entry.path)

    def _put_file(self, entry: Entry, parent: int, name: str) -> None:
        try:
            descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        except FileExistsError:
            self._clear(entry.path, parent, name)
            descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        reader, wanted = self._reader, self._seen is not None
        place, regions = reader.body_offset, reader.regions
        try:
            digest = write_content(reader, descriptor, entry.size, hashed=wanted)
            self.attributes.set(descriptor, entry)
        finally:
            os.close(descriptor)
        if digest is not None:
            self._payload = (place, digest, regions)

    def _put_link(self, entry: Entry) -> None:
        target = LayerPath(entry.link)
        if target == entry.path or target.startswith(f"{entry.path}/") or entry.path.startswith(f"{target}/"):
            raise LayerError(f'the hard link "{entry.path}" replaces its own target "{target}"')
        if not target:
            raise LayerError(f'the hard link "{entry.path}" points to the root')
        try:
            source = os.dup(self._directories.open(parent_of(target)))
        except OSError as error:
            raise _dangling(entry) from error
        try:
            target_name = target.rpartition("/")[2]
            found = os.lstat(target_name, dir_fd=source)
            foreign = target not in self._touched if self._merge else _is_whiteout(found)
            if stat.S_ISDIR(found.st_mode) or foreign:
                raise _dangling(entry)
            parent, name = self._parent(entry.path)
            for attempt in (1, 2):
                try:
                    os.link(target_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
                    break
                except FileExistsError:
                    if attempt == 2:
                        raise
                    self._clear(entry.path, parent, name)
        except FileNotFoundError as error:
            raise _dangling(entry) from error
        finally:
            os.close(source)
        self.attributes.set_again(name, parent, entry, found)

    def _put_special(self, entry: Entry, parent: int, name: str) -> None:
        try:
            self._make_special(entry, parent, name)
        except FileExistsError:
            self._clear(entry.path, parent, name)
            self._make_special(entry, parent, name)

    def _make_special(self, entry: Entry, parent: int, name: str) -> None:
        if entry.type == "symlink":
            os.symlink(entry.link, name, dir_fd=parent)
        elif entry.type == "fifo":
            os.mkfifo(name, 0o600, dir_fd=parent)
        elif not self._make_device(entry, parent, name):
            return
        self.attributes.set_by_name(name, parent, entry)

    def _make_device(self, entry: Entry, parent: int, name: str) -> bool:
        """Makes the node, or else an empty file that says what it stands for, complete with its attributes."""
        kind: Literal["char", "block"] = "char" if entry.type == "char" else "block"
        if self._policy.devices == "make":
            flag = stat.S_IFCHR if kind == "char" else stat.S_IFBLK
            try:
                os.mknod(name, flag | 0o600, os.makedev(*entry.device), dir_fd=parent)
                return True
            except PermissionError:
                pass  # a sandbox without CAP_MKNOD: recorded, as where it is known beforehand
        descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        try:
            os.setxattr(descriptor, DEVICE_XATTR, encode_device(kind, *entry.device))
            self.attributes.set(descriptor, entry)
        finally:
            os.close(descriptor)
        return False

    def _clear(self, path: LayerPath, parent: int, name: str) -> None:
        """Removes what is where something else is to be."""
        self._directories.forget(path)
        remove_tree(name, parent)

    def _remove(self, path: LayerPath) -> None:
        """What the layers below have at a path is gone; what this one has stays, wherever in the tar it comes."""
        if self._merge:
            self._touch(parent_of(path))
            parent, name = self._parent(path)
            if path not in self._touched:
                self._clear(path, parent, name)
            elif stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                self._final.setdefault(path, implied_directory(path))
                self._prune(path)
            return
        parent, name = self._parent(path)
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                self._hide_below(path)

    def _make_opaque(self, path: LayerPath) -> None:
        if self._merge:
            self._touch(path)
            self._directories.open(path, make=True)
            self._prune(path)
        elif path:
            self._directories.open(path, make=True)
            self._hide_below(path)
        else:
            self.opaque_root = True

    def _hide_below(self, path: LayerPath) -> None:
        os.setxattr(self._directories.open(path), self._opaque_xattr, b"y")

    def _touch(self, path: LayerPath) -> None:
        while path not in self._touched:
            self._touched.add(path)
            path = parent_of(path)

    def _prune(self, path: LayerPath) -> None:
        """Removes everything below a directory that is not of this layer."""
        waiting = [path]
        while waiting:
            directory = waiting.pop()
            descriptor = self._directories.open(directory)
            with os.scandir(descriptor) as listing:
                entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
            for name, is_directory in entries:
                child = join(directory, name)
                if child not in self._touched:
                    self._directories.forget(child)
                    remove_tree(name, descriptor)
                elif is_directory:
                    waiting.append(child)

    def _finish_directories(self) -> None:
        """Attributes of directories, the deepest first, so that none is closed before what is in it is finished."""
        self._directories.on_opened = None
        for path in sorted(self._final.keys() | self._modes.keys(), key=tree_key, reverse=True):
            try:
                descriptor = self._directories.open(path)
            except (FileNotFoundError, NotADirectoryError):
                continue  # replaced by something else later on
            if path in self._final:
                self.attributes.set(descriptor, self._final[path])
                if path in self._unknown and not self._merge:
                    self.undescribed.append(path)
            else:
                os.fchmod(descriptor, self._modes[path])

    def _drop_stale_owners(self) -> None:
        """Forgets owners of what was removed again."""
        owners = self.attributes.owners
        for path in list(owners) if self._merge else ():
            try:
                parent = self._directories.open(parent_of(LayerPath(path)))
                os.lstat(path.rpartition("/")[2], dir_fd=parent)
            except (FileNotFoundError, NotADirectoryError):
                del owners[path]


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _dangling(entry: Entry) -> LayerError:
    return LayerError(f'the hard link "{entry.path}" points to "{entry.link}", which is no file of its layer')


def _refused(path: LayerPath, error: OSError) -> LayerError:
    hint = None
    if error.errno == errno.ENOSPC:
        hint = "the disk is full"
    return LayerError(f'cannot unpack "{path or "/"}": {(error.strerror or str(error)).lower()}', hint=hint)
