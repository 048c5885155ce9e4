"""Numbers, records and checksums of tar headers; expected values from POSIX pax and GNU tar's manual."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci.layer.header import checksum_is_right, parse_decimal, parse_number, parse_records, parse_time, text
from tests.unit.layer.tars import block


@pytest.mark.parametrize(
    ("field", "number"),
    [
        (b"0000644\0", 0o644),
        (b"000644 \0", 0o644),
        (b"    644\0", 0o644),
        (b"00000000644", 0o644),
        (b"\0\0\0\0\0\0\0\0", 0),
        (b"        ", 0),
        (b"644\0junk", 0o644),
        (b"77777777777\0", 0o77777777777),
        (b"\x80\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00", 1 << 33),
        (b"\x80\0\0\0\0\x20\0\0", 1 << 21),
        (b"\xff" * 12, -1),
        (b"\xff" * 11 + b"\xfe", -2),
    ],
)
def test_numbers(field: bytes, number: int) -> None:
    assert parse_number(field) == number


@pytest.mark.parametrize(
    "field",
    [b"0000648\0", b"0o00644\0", b"+000644\0", b"00_0644\0", b"-000001\0", b"6 4 4 \0\0", b"\x80" + b"\xff" * 11],
)
def test_what_is_no_number(field: bytes) -> None:
    with pytest.raises(ValueError, match=r"octal number|64 bits|invalid literal"):
        parse_number(field)


def test_records_in_order() -> None:
    assert parse_records(b"12 path=abc\n17 comment=a=b\nc\n") == [("path", b"abc"), ("comment", b"a=b\nc")]


@pytest.mark.parametrize(
    "data",
    [
        b"path=abc\n",
        b"x2 path=abc\n",
        b"+12 path=abc\n",
        b"12  path=abc"[:12],
        b"99 path=abc\n",
        b"11 path=abc\n",
        b"12 path=abcX",
        b"9 patabc\n"[:9],
        b"6 =ab\n",
        b"0 path=abc\n",
        b"1 path=abc\n",
        b"12 path=abc\n\0",
        b"13 pa\0th=abc\n",
        b"99999999999999999999 path=abc\n",
    ],
)
def test_malformed_records(data: bytes) -> None:
    with pytest.raises(ValueError, match="pax record"):
        parse_records(data)


@given(st.lists(st.tuples(st.text("abcPQ.é", min_size=1), st.binary(max_size=200)), max_size=6))
def test_any_values_come_back(records: list[tuple[str, bytes]]) -> None:
    data = b""
    for key, value in records:
        rest = len(key.encode()) + len(value) + 3
        length = next(n for n in range(rest, rest + 10) if n == rest + len(str(n)))
        data += b"%d %b=%b\n" % (length, key.encode(), value)
    assert parse_records(data) == records


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"0", 0), (b"1350244992.023960108", 1350244992), (b"1.", 1), (b"-1", -1), (b"-1.5", -2), (b"-1.000", -1)],
)
def test_times(value: bytes, seconds: int) -> None:
    assert parse_time(value, "mtime") == seconds


@pytest.mark.parametrize("value", [b"", b"-", b".5", b"1e3", b"1.2.3", b" 1", b"9223372036854775808", b"--1"])
def test_what_is_no_time(value: bytes) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_time(value, "mtime")


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1.0", b" 1", b"0x1", b"9223372036854775808", b"1" * 30])
def test_what_is_no_decimal(value: bytes) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        parse_decimal(value, "size")
    assert parse_decimal(b"9223372036854775807", "size") == (1 << 63) - 1


@given(st.binary(min_size=504, max_size=504))
def test_the_checksum_is_the_sum_of_all_bytes(data: bytes) -> None:
    """By the definition, with Python's own sum as the judge."""
    total = sum(data) + 8 * 32
    signed = total - 256 * sum(byte > 127 for byte in data)
    for value in {total, *([signed] if signed >= 0 else [])}:
        field = b"%07o\0" % value
        assert checksum_is_right(data[:148] + field + data[148:], field)
    wrong = b"%07o\0" % (total + 1)
    assert not checksum_is_right(data[:148] + wrong + data[148:], wrong)


def test_a_changed_byte_is_noticed_everywhere() -> None:
    good = block(b"name")
    for position in range(512):
        bad = bytearray(good)
        bad[position] ^= 0x01
        field = bytes(bad[148:156])
        try:
            assert not checksum_is_right(bytes(bad), field) or 154 <= position < 156
        except ValueError:
            assert 148 <= position < 156


def test_bytes_that_are_not_utf_8_survive() -> None:
    assert text(b"caf\xe9").encode("utf-8", "surrogateescape") == b"caf\xe9"
