"""Sizes, limits and hosts on the command line, as docker writes them."""

from __future__ import annotations

import re

from pyoci.errors import UsageError
from pyoci.regex import regex

__all__ = ["parse_host", "parse_size", "parse_ulimit"]

_SIZE = regex(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_HOST_GATEWAY = "host-gateway"


def parse_size(text: str, flag: str) -> int:
    """Bytes of `512m`, `2g`, `64k` or a plain number; units are powers of 1024 (docker's RAMInBytes).

    Raises:
        UsageError: it is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f'invalid size "{text}" for {flag}', hint="write a number with b, k, m or g behind it")
    return int(float(match[1]) * 1024 ** "_kmgt".index(match[2].lower() or "_"))


def parse_ulimit(text: str) -> tuple[str, tuple[int, int]]:
    """Name, soft and hard limit of `nofile=1024:2048`; one number is both, -1 or `unlimited` no limit.

    Raises:
        UsageError: it is malformed.
    """
    name, equals, value = text.partition("=")
    soft, colon, hard = value.partition(":")
    try:
        limits = [-1 if part in ("-1", "unlimited") else int(part) for part in (soft, hard if colon else soft)]
    except ValueError:
        limits = []
    if not name or not equals or not limits or min(limits) < -1:
        raise UsageError(f'invalid ulimit "{text}"', hint="write --ulimit nofile=1024:2048")
    return name, (limits[0], limits[1])


def parse_host(text: str) -> tuple[str, str]:
    """Name and address of `name:address` or `name=address`.

    Raises:
        UsageError: it is malformed, or the address is none.
    """
    import ipaddress

    name, _, address = text.partition("=") if "=" in text else text.partition(":")
    address = address.removeprefix("[").removesuffix("]")
    if address == _HOST_GATEWAY:
        address = "127.0.0.1"  # RUN shares the network of this machine
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise UsageError(f'invalid host "{text}"', hint="write --add-host name:192.0.2.1") from None
    if not name:
        raise UsageError(f'invalid host "{text}"', hint="write --add-host name:192.0.2.1")
    return name, address
