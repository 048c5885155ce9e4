"""One file on disk as an Entry: what of it belongs into a layer, and who really owns it. Runs in the worker.

Of extended attributes, `user.*` and `security.capability` are content. The rest is the host's: labels of its security
module, access control lists that its directories hand down, and what overlayfs and pyoci itself write.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from pyoci.errors import LayerError
from pyoci.layer.directories import Directories
from pyoci.layer.entry import Entry, EntryType, LayerPath
from pyoci.layer.recorded import (
    DEVICE_XATTR,
    OWNER_XATTR,
    RESERVED_XATTRS,
    decode_device,
    decode_owner,
    encode_owner,
)
from pyoci.values import dataclass, field

__all__ = [
    "FileOnDisk",
    "Owner",
    "OwnerRules",
    "Ownership",
    "entry_of",
    "open_file",
    "read_file",
    "read_owner_table",
    "settle_owner",
]

Owner: TypeAlias = tuple[int, int]
"""uid and gid."""
Ownership: TypeAlias = Literal["chown", "record"]
_CAPABILITY = "security.capability"
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TYPES: dict[int, EntryType] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}


@dataclass(frozen=True, slots=True)
class FileOnDisk:
    """A file as it is stored, before anybody asks who owns it."""

    status: os.stat_result
    type: EntryType
    link: str
    device: tuple[int, int]
    xattrs: Mapping[str, bytes]
    recorded: Owner | None
    """The owner that its attribute tells."""

    @property
    def mode(self) -> int:
        return stat.S_IMODE(self.status.st_mode)


@dataclass(frozen=True, slots=True)
class OwnerRules:
    """How the owner of a file follows from what is on the disk."""

    ownership: Ownership
    """`chown`: the file has it. `record`: it is in an attribute, in a table, in what the file replaced, or a
    default."""
    by_inode: Mapping[int, Owner] = field(default_factory=dict)
    """What the recorder noted of files that can hold no attribute."""
    default: Owner = (0, 0)
    """Of what the step has made and nobody gave away."""
    exact: bool = False
    """Whether the step saw owners as they are recorded, so that a file which replaces another has the owner that it was
    given. Else who replaces a file (sed -i, passwd) meant to give it the owner of the old one, and saw root."""

    def before(self, owner: Owner | None, *, replaced: bool) -> Owner | None:
        """The owner that a file takes over from what was at its path; `replaced` is whether it is another file."""
        return None if self.exact and replaced else owner

    def owner(self, found: FileOnDisk, before: Owner | None, parent: FileOnDisk | None, parent_gid: int) -> Owner:
        """The owner, given what it was of the file of the same type that was at this path before the step."""
        if self.ownership == "chown":
            return found.status.st_uid, found.status.st_gid
        if found.recorded is not None:
            return found.recorded
        noted = self.by_inode.get(found.status.st_ino)
        if noted is not None:
            return noted
        if before is not None:
            return before
        uid, gid = self.default
        return uid, parent_gid if parent is not None and parent.mode & stat.S_ISGID else gid


def read_file(name: str, dir_fd: int, status: os.stat_result) -> FileOnDisk | None:
    """The file at a name in a directory; None for a socket, which no layer can hold.

    Raises:
        LayerError: an attribute of pyoci's own is malformed, or overlayfs has moved the content elsewhere.
        OSError: it cannot be opened.
    """
    kind = _TYPES.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    link = os.readlink(name, dir_fd=dir_fd) if kind == "symlink" else ""
    device = (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in ("char", "block") else (0, 0)
    if kind not in ("file", "dir"):
        return FileOnDisk(status, kind, link, device, {}, None)
    descriptor = os.open(name or ".", _OPEN, dir_fd=dir_fd)
    try:
        return _with_attributes(descriptor, name, status, kind)
    finally:
        os.close(descriptor)


def _with_attributes(descriptor: int, name: str, status: os.stat_result, kind: EntryType) -> FileOnDisk:
    xattrs: dict[str, bytes] = {}
    recorded: Owner | None = None
    device = (0, 0)
    for key in sorted(os.listxattr(descriptor)):
        if key == OWNER_XATTR:
            recorded = decode_owner(os.getxattr(descriptor, key))
        elif key == DEVICE_XATTR and kind == "file":
            kind, *numbers = decode_device(os.getxattr(descriptor, key))
            device = (numbers[0], numbers[1])
        elif key.endswith((".overlay.redirect", ".overlay.metacopy")):
            raise LayerError(
                f'overlayfs keeps the content of "{name}" in another file', hint="unset redirect_dir and metacopy"
            )
        elif key == _CAPABILITY:
            xattrs[key] = _without_namespace(os.getxattr(descriptor, key))
        elif key.startswith("user.") and not key.startswith(RESERVED_XATTRS):
            xattrs[key] = os.getxattr(descriptor, key)
    return FileOnDisk(status, kind, "", device, xattrs, recorded)


def _without_namespace(capability: bytes) -> bytes:
    """Revision 2 of a capability attribute: revision 3 names the user namespace that it was set in
    (capabilities(7)).
    """
    if len(capability) == 24 and capability[3] == 3:
        return capability[:3] + b"\x02" + capability[4:20]
    return capability


def entry_of(path: LayerPath, found: FileOnDisk, owner: Owner) -> Entry:
    """The entry of a file, with whole seconds as docker writes them."""
    status = found.status
    size = status.st_size if found.type == "file" else 0
    seconds = status.st_mtime_ns // 1_000_000_000
    return Entry(path, found.type, found.mode, *owner, size, seconds, found.link, found.device, dict(found.xattrs))


def settle_owner(name: str, dir_fd: int, found: FileOnDisk, owner: Owner) -> bool:
    """Writes the owner beside a file that does not tell it, for steps that build on it; False if it can hold no
    attribute.

    Raises:
        OSError: the file system refuses.
    """
    if found.recorded == owner or (found.recorded is None and owner == (0, 0)):
        return True
    if not (stat.S_ISREG(found.status.st_mode) or stat.S_ISDIR(found.status.st_mode)):
        return False
    descriptor = os.open(name or ".", _OPEN, dir_fd=dir_fd)
    try:
        os.setxattr(descriptor, OWNER_XATTR, encode_owner(*owner))
    finally:
        os.close(descriptor)
    return True


def read_owner_table(path: Path) -> dict[int, Owner]:
    """What a sandbox in single mode has noted (`OverlayRoot.owners`): a line `inode uid gid` each, the last one counts.

    Raises:
        LayerError: a line is of another form.
    """
    table: dict[int, Owner] = {}
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return table
    try:
        for line in text.splitlines():
            inode, uid, gid = line.split()
            table[int(inode)] = (int(uid), int(gid))
    except ValueError as error:
        raise LayerError(f"{path} is no table of owners") from error
    return table


def open_file(root_fd: int, path: LayerPath) -> int:
    """A descriptor of a regular file below a root, for reading. No component is followed if it is a link.

    Raises:
        LayerError: it is not there or is something else.
    """
    try:
        with Directories(root_fd) as directories:
            directory, _, name = path.rpartition("/")
            descriptor = os.open(name, _OPEN, dir_fd=directories.open(LayerPath(directory)))
    except OSError as error:
        raise LayerError(f'cannot read "{path}": {(error.strerror or str(error)).lower()}') from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LayerError(f'"{path}" is not a file')
    return descriptor
