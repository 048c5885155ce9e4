"""How owners and devices that the disk cannot hold are written beside a file.

An owner is the value of `user.rootlesscontainers`, as umoci and PRoot use it: a protobuf message with uid as field 1
and gid as field 2. Zeros are written out, so that "belongs to root" differs from "nothing is known".
"""

from __future__ import annotations

from typing import Literal

from pyoci.errors import LayerError

__all__ = [
    "DEVICE_XATTR",
    "OWNER_XATTR",
    "RESERVED_XATTRS",
    "decode_device",
    "decode_owner",
    "encode_device",
    "encode_owner",
]

OWNER_XATTR = "user.rootlesscontainers"
DEVICE_XATTR = "user.pyoci.device"
"""On an empty file: it stands for a device node. The value is `c 1 3`: c or b, major and minor number."""
RESERVED_XATTRS = ("trusted.overlay.", "user.overlay.", OWNER_XATTR, DEVICE_XATTR)
"""Beginnings of names that mean something to pyoci or to overlayfs: neither taken from a layer nor put into one."""
_UNSET = 0xFFFFFFFF


def encode_owner(uid: int, gid: int) -> bytes:
    """The attribute's value for an owner."""
    return b"\x08" + _varint(uid) + b"\x10" + _varint(gid)


def decode_owner(value: bytes) -> tuple[int, int]:
    """Uid and gid; 0 for what the message leaves out or marks as unset.

    Raises:
        LayerError: the value is no such message.
    """
    fields = {8: 0, 16: 0}
    position = 0
    while position < len(value):
        key = value[position]
        number, position = _read_varint(value, position + 1)
        if key not in fields or number > _UNSET:
            raise LayerError(f"{value!r} records no owner")
        fields[key] = 0 if number == _UNSET else number
    return fields[8], fields[16]


def encode_device(kind: Literal["char", "block"], major: int, minor: int) -> bytes:
    """The attribute's value for a device."""
    return f"{kind[0]} {major} {minor}".encode()


def decode_device(value: bytes) -> tuple[Literal["char", "block"], int, int]:
    """Kind, major and minor number.

    Raises:
        LayerError: the value is of another form.
    """
    kinds: dict[bytes, Literal["char", "block"]] = {b"c": "char", b"b": "block"}
    parts = value.split(b" ")
    if len(parts) != 3 or parts[0] not in kinds or not (parts[1].isdigit() and parts[2].isdigit()):
        raise LayerError(f"{value!r} records no device")
    return kinds[parts[0]], int(parts[1]), int(parts[2])


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(value: bytes, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 35, 7):
        if position >= len(value):
            break
        byte = value[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise LayerError(f"{value!r} records no owner")
