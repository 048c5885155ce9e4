"""One entry as tar blocks: a ustar header, and a pax header before it only where ustar cannot say it.

Nothing but the entry enters the bytes: no user or group names, no access or change times. Spec: POSIX.1-2001 pax; the
`SCHILY.xattr.` records are image-spec layer.md's.
"""

from __future__ import annotations

import zlib

from pyoci.errors import LayerError
from pyoci.layer.entry import Entry, EntryType

__all__ = ["BLOCK", "END_OF_ARCHIVE", "encode_header", "padding"]

BLOCK = 512
END_OF_ARCHIVE = bytes(2 * BLOCK)
_ZEROS = bytes(BLOCK)
_TYPE_FLAGS: dict[EntryType, bytes] = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "dir": b"5",
    "fifo": b"6",
}
_ID_LIMIT = 0o7777777
_SIZE_LIMIT = 0o77777777777
_TAIL = b"ustar\x0000" + bytes(64)
_NO_DEVICE = b"0000000\x000000000\x00"


def padding(size: int) -> bytes:
    """The zeros that fill up the last block of a body."""
    rest = size % BLOCK
    return _ZEROS[rest:] if rest else b""


def encode_header(entry: Entry) -> bytes:
    """The blocks that come before the entry's content.

    Raises:
        LayerError: something of the entry has no representation in a tar that all readers understand.
    """
    name = entry.path.encode("utf-8", "surrogateescape")
    if entry.type == "dir":
        name += b"/" if name else b"./"
    link = entry.link.encode("utf-8", "surrogateescape") if entry.link else b""
    records: list[bytes] = []
    prefix = b""
    if len(name) > 100 or not name.isascii():
        split = _split(name) if name.isascii() else None
        if split:
            prefix, name = split
        else:
            records.append(_record(b"path", name))
            name = _ascii(name)
    if len(link) > 100 or not link.isascii():
        records.append(_record(b"linkpath", link))
        link = _ascii(link)
    uid, gid, size, mtime = entry.uid, entry.gid, entry.size if entry.type == "file" else 0, entry.mtime
    if uid > _ID_LIMIT or gid > _ID_LIMIT or size > _SIZE_LIMIT or not 0 <= mtime <= _SIZE_LIMIT:
        uid, gid, size, mtime = _large_numbers(uid, gid, size, mtime, records)
    for key in sorted(entry.xattrs):
        records.append(_xattr(entry, key))
    flag = _TYPE_FLAGS[entry.type]
    device = _NO_DEVICE
    if flag in b"34":
        device = _device(entry)
    header = _header(name, entry.mode & 0o7777, uid, gid, size, mtime, flag, link, device, prefix)
    if not records:
        return header
    records.sort()
    body = b"".join(records)
    base = name.rstrip(b"/").rpartition(b"/")[2]
    pax = _header(b"PaxHeaders.0/" + base[:80], 0o644, 0, 0, len(body), 0, b"x", b"", _NO_DEVICE, b"")
    return pax + body + padding(len(body)) + header


def _header(
    name: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    flag: bytes,
    link: bytes,
    device: bytes,
    prefix: bytes,
) -> bytes:
    front = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), mode, uid, gid, size, mtime)
    back = flag + link.ljust(100, b"\0") + _TAIL + device + prefix.ljust(167, b"\0")
    # The low half of adler32 is a sum of bytes, exact for so few of them; the checksum field counts as eight spaces.
    total = (zlib.adler32(front) & 0xFFFF) + (zlib.adler32(back[:256]) & 0xFFFF) + (zlib.adler32(back[256:]) & 0xFFFF)
    return b"%b%06o\0 %b" % (front, total - 3 + 256, back)


def _record(key: bytes, value: bytes) -> bytes:
    """One pax record, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Prefix and name of ustar, if a slash is where both fit."""
    if len(name) > 256:
        return None
    slash = name.rfind(b"/", 1, min(156, len(name) - 1))
    if slash < 1 or len(name) - slash - 1 > 100:
        return None
    return name[:slash], name[slash + 1 :]


def _ascii(name: bytes) -> bytes:
    """What readers that know no pax show."""
    return name.decode("ascii", "replace").encode("ascii", "replace")[:100]


def _large_numbers(uid: int, gid: int, size: int, mtime: int, records: list[bytes]) -> tuple[int, int, int, int]:
    fields = []
    for key, value, limit in ((b"uid", uid, _ID_LIMIT), (b"gid", gid, _ID_LIMIT), (b"size", size, _SIZE_LIMIT)):
        if value > limit:
            records.append(_record(key, b"%d" % value))
            value = 0
        fields.append(value)
    if not 0 <= mtime <= _SIZE_LIMIT:
        records.append(_record(b"mtime", b"%d" % mtime))
        mtime = 0
    return fields[0], fields[1], fields[2], mtime


def _xattr(entry: Entry, key: str) -> bytes:
    name = key.encode("utf-8", "surrogateescape")
    if not name or b"=" in name or b"\0" in name:
        raise LayerError(f'the extended attribute "{key}" of "{entry.path}" cannot be stored in a layer')
    return _record(b"SCHILY.xattr." + name, entry.xattrs[key])


def _device(entry: Entry) -> bytes:
    major, minor = entry.device
    if not (0 <= major <= _ID_LIMIT and 0 <= minor <= _ID_LIMIT):
        raise LayerError(f'the device number {major}:{minor} of "{entry.path}" cannot be stored in a layer')
    return b"%07o\0%07o\0" % (major, minor)
