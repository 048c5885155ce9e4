"""How an owner that the file system cannot hold is written beside a file, and read back.

The value of `user.rootlesscontainers`, as umoci and PRoot use it (rootlesscontainers.proto): a protobuf message with
uid as field 1 and gid as field 2, both uint32. Zeros are written out, so that "belongs to root" differs from "nothing
known". Part of the worker.
"""

from __future__ import annotations

__all__ = ["decode_device", "decode_owner", "encode_device", "encode_owner"]

_UNSET = 0xFFFF_FFFF


def encode_owner(uid: int, gid: int) -> bytes:
    """The attribute's value for an owner."""
    return b"\x08" + _varint(uid) + b"\x10" + _varint(gid)


def decode_owner(value: bytes) -> tuple[int, int] | None:
    """Uid and gid, 0 for what is missing or explicitly unset; None when the value is no such message."""
    fields = {1: 0, 2: 0}
    position = 0
    while position < len(value):
        key, position = _read_varint(value, position)
        number, position = _read_varint(value, position)
        if key is None or number is None or key & 7 != 0:
            return None
        fields[key >> 3] = 0 if number == _UNSET else number
    uid, gid = fields[1], fields[2]
    return (uid, gid) if max(uid, gid) < 1 << 32 else None


def encode_device(kind: str, major: int, minor: int) -> bytes:
    """The attribute's value of an empty file that stands for a device node: `c 1 3`; `kind` is c or b."""
    return f"{kind} {major} {minor}".encode()


def decode_device(value: bytes) -> tuple[str, int, int] | None:
    """Kind (c or b), major and minor number; None when the value is no such text."""
    parts = value.split(b" ")
    if len(parts) != 3 or parts[0] not in (b"c", b"b") or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    return parts[0].decode(), int(parts[1]), int(parts[2])


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(value: bytes, position: int) -> tuple[int | None, int]:
    number = 0
    for shift in range(0, 64, 7):
        if position >= len(value):
            break
        byte = value[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    return None, len(value)
