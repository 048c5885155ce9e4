"""Owners and devices as attributes."""

from __future__ import annotations

import pytest

from pyoci.sandbox.ownership import decode_device, decode_owner, encode_device, encode_owner


@pytest.mark.parametrize(
    ("owner", "value"),
    [
        ((0, 0), "08001000"),
        ((1000, 1001), "08e80710e907"),
        ((33, 0), "08211000"),
        ((65534, 65534), "08feff0310feff03"),
        ((4294967294, 1), "08feffffff0f1001"),
    ],
)
def test_owners(owner: tuple[int, int], value: str) -> None:
    """The bytes are what protoc makes of rootlesscontainers.proto with both fields present."""
    assert encode_owner(*owner) == bytes.fromhex(value)
    assert decode_owner(bytes.fromhex(value)) == owner


@pytest.mark.parametrize(
    ("value", "owner"),
    [
        ("", (0, 0)),  # both zero, as proto3 leaves out what is zero
        ("08e807", (1000, 0)),
        ("10e907", (0, 1001)),
        ("10e90708e807", (1000, 1001)),
        ("08ffffffff0f1005", (0, 5)),  # -1: explicitly unset
    ],
)
def test_owners_that_others_wrote(value: str, owner: tuple[int, int]) -> None:
    assert decode_owner(bytes.fromhex(value)) == owner


@pytest.mark.parametrize("value", ["08", "0880", "ff", "0a0161", "08ffffffffffffffffff7f", "08e8071", "616263"])
def test_what_is_no_owner(value: str) -> None:
    assert decode_owner(bytes.fromhex(value.ljust(len(value) + len(value) % 2, "0"))) in (None, (1000, 0))
    assert decode_owner(b"abc") is None


def test_devices() -> None:
    assert encode_device("c", 1, 3) == b"c 1 3"
    assert decode_device(b"b 254 65535") == ("b", 254, 65535)
    for value in (b"", b"c 1", b"x 1 2", b"c -1 2", b"c 1 2 3", b"c a b"):
        assert decode_device(value) is None
