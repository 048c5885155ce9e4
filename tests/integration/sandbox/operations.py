"""What the tests have a worker do, beside running: unpack a base, list what a step wrote, remove trees.

Written apart from the product's own unpacking and diffing, which it judges the sandbox without. Runs in the worker.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tarfile

OWNER = "user.rootlesscontainers"
DEVICE = "user.pyoci.device"


def unpack(request: dict[str, object], descriptors: list[int]) -> dict[str, object]:
    """Unpacks a tar; with `record` owners go into the attribute, by an encoder of this module's own."""
    target = str(request["target"])
    with os.fdopen(descriptors[0], "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        archive.extraction_filter = lambda member, path: member  # the tar is our own; older versions have no filters
        for member in archive:
            member.uname = member.gname = ""
            if member.ischr() or member.isblk():
                continue
            path = os.path.join(target, member.name)
            uid, gid = member.uid, member.gid
            if request["record"]:
                member.uid = member.gid = 0
            archive.extract(member, target, numeric_owner=True)
            if request["record"] and (uid or gid) and (member.isreg() or member.isdir()):
                os.setxattr(path, OWNER, b"\x08" + varint(uid) + b"\x10" + varint(gid))
    return {}


def varint(number: int) -> bytes:
    parts = [number & 0x7F]
    while number := number >> 7:
        parts[-1] |= 0x80
        parts.append(number & 0x7F)
    return bytes(parts)


def listing(request: dict[str, object], descriptors: list[int]) -> dict[str, object]:
    """Every path below a directory: type, mode, uid, gid, inode, links, device, link target, attributes."""
    top = str(request["path"])
    entries: dict[str, object] = {}
    for base, directories, files in os.walk(top):
        for name in (".", *directories, *files) if base == top else (*directories, *files):
            path = os.path.join(base, name)
            status = os.lstat(path)
            link = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
            attributes = {key: os.getxattr(path, key, follow_symlinks=False) for key in _names(path)}
            entries[os.path.relpath(path, top)] = {
                "type": stat.S_IFMT(status.st_mode),
                "mode": stat.S_IMODE(status.st_mode),
                "uid": status.st_uid,
                "gid": status.st_gid,
                "inode": status.st_ino,
                "links": status.st_nlink,
                "device": (os.major(status.st_rdev), os.minor(status.st_rdev)),
                "link": link,
                "mtime": status.st_mtime_ns,
                "xattrs": attributes,
            }
    return {"entries": entries}


def _names(path: str) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []


def loaded(request: dict[str, object], descriptors: list[int]) -> dict[str, object]:
    """Whether the worker has a module already, without importing it."""
    return {"loaded": str(request["module"]) in sys.modules}


def read(request: dict[str, object], descriptors: list[int]) -> dict[str, object]:
    with open(str(request["path"]), "rb") as stream:
        return {"content": stream.read()}


def remove(request: dict[str, object], descriptors: list[int]) -> dict[str, object]:
    shutil.rmtree(str(request["path"]))
    return {}


def write(request: dict[str, object], descriptors: list[int]) -> dict[str, object]:
    """Makes a file (bytes), a symlink (str), a whiteout (False) or a directory (None)."""
    path, content = str(request["path"]), request["content"]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    match content:
        case bytes():
            with open(path, "wb") as stream:
                stream.write(content)
        case str():
            os.symlink(content, path)
        case False:
            os.mknod(path, stat.S_IFCHR, 0)
        case _:
            os.makedirs(path, exist_ok=True)
    return {}
