"""Numbers as Go reads and writes them: durations (`1m30s`), sizes (`64m`), booleans.

A HEALTHCHECK's intervals and a tmpfs's size mean in a Dockerfile what `time.ParseDuration` and docker's `RAMInBytes`
say.
"""

from __future__ import annotations

import re

from pyoci.regex import regex

__all__ = ["format_duration", "parse_boolean", "parse_duration", "parse_size"]

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION_PART = regex(r"([0-9]*)(\.[0-9]*)?(ns|us|µs|μs|ms|s|m|h)")
_LARGEST = 2**63 - 1
_SIZE = regex(r"((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]{1,3})?) ?(?:([kmgtp])?(i?b)?|b)", re.IGNORECASE)
_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def parse_duration(text: str) -> int:
    """Nanoseconds in a text like `300ms`, `1.5h` or `2h45m`.

    Raises:
        ValueError: it is no duration, or longer than 290 years.
    """
    body = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if body == "0":
        return 0
    total = position = 0
    while position < len(body):
        part = _DURATION_PART.match(body, position)
        if part is None or not (part[1] or (part[2] or ".") != "."):
            raise ValueError(text)
        unit = _UNITS[part[3]]
        fraction = (part[2] or "")[1:][:18]
        if len(part[1]) > 20:
            raise ValueError(text)
        total += int(part[1] or "0") * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        position = part.end()
    if not body or total > _LARGEST:
        raise ValueError(text)
    return -total if text.startswith("-") else total


def format_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: `1m30s`, `1.5s`, `0s`."""
    if nanoseconds < 0:
        return "-" + format_duration(-nanoseconds)
    if nanoseconds < 10**9:
        for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
            if 0 < nanoseconds < size * 1000:
                return _decimal(nanoseconds, size) + unit
        return "0s"
    minutes, rest = divmod(nanoseconds, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    seconds = _decimal(rest, 10**9) + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def parse_size(text: str) -> int:
    """Bytes in a text like `64m`, `1.5GiB` or `512`; units are powers of 1024.

    Raises:
        ValueError: it is no size.
    """
    match = _SIZE.fullmatch(text)
    if match is None or len(match[1]) > 40 or (match[3] and not match[2] and match[3].lower() == "ib"):
        raise ValueError(text)
    size = float(match[1]) * _BINARY[(match[2] or "").lower()]
    if size > _LARGEST:
        raise ValueError(text)
    return int(size)


def parse_boolean(text: str) -> bool:
    """The truth value in a text, in any of the spellings that Go's `strconv.ParseBool` takes.

    Raises:
        ValueError: it is none of them.
    """
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError(text)
