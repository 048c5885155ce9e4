"""Tars for the reader's tests: made by Python's tarfile where it can make them, by hand where they are to be wrong."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

__all__ = ["block", "member", "padded", "pax", "tar_of"]

END = bytes(1024)


def member(name: str, kind: bytes = tarfile.REGTYPE, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def tar_of(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for item in members:
            info, content = item if isinstance(item, tuple) else (item, b"")
            if content:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def block(
    name: bytes = b"a",
    *,
    flag: bytes = b"0",
    mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0",
    gid: bytes = b"0000000\0",
    size: bytes = b"00000000000\0",
    mtime: bytes = b"00000000000\0",
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    device: bytes = b"0000000\x000000000\x00",
    tail: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """A header block with the fields as given and, unless told otherwise, the right checksum."""
    head = name.ljust(100, b"\0") + mode + uid + gid + size + mtime
    rest = (flag + link.ljust(100, b"\0") + magic + bytes(64) + device + tail).ljust(356, b"\0")
    if checksum is None:
        checksum = b"%06o\0 " % (sum(head) + 8 * 32 + sum(rest))
    return head + checksum + rest


def pax(records: Iterable[tuple[str, bytes]] | bytes, flag: bytes = b"x") -> bytes:
    """An extended header and its body."""
    if isinstance(records, bytes):
        body = records
    else:
        body = b""
        for key, value in records:
            rest = len(key.encode()) + len(value) + 3
            length = next(n for n in range(rest, rest + 10) if n == rest + len(str(n)))
            body += b"%d %b=%b\n" % (length, key.encode(), value)
    return block(b"PaxHeaders/x", flag=flag, size=b"%011o\0" % len(body)) + padded(body)
