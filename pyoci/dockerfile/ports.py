"""What EXPOSE says: `80`, `53/udp`, `7000-7010`, and, tolerated as docker does, `[ip:][host:]container[/protocol]`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from pyoci.regex import regex
from pyoci.values import dataclass

__all__ = ["PortRange", "parse_port", "port_names"]

_Protocol = Literal["tcp", "udp", "sctp"]
_PROTOCOLS: tuple[_Protocol, ...] = ("tcp", "udp", "sctp")
_NUMBER = regex(r"\+?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports `first` to `last` of one protocol."""

    first: int
    last: int
    protocol: _Protocol
    odd_casing: bool = False
    """The protocol was not written in lower case."""
    has_host_part: bool = False
    """An address or a host port stood before it, which means nothing in an image."""


def parse_port(text: str) -> PortRange:
    """The ports that one word of EXPOSE stands for, its variables expanded.

    Raises:
        ValueError: they are none; the argument says why, in one line.
    """
    *before, container = text.split(":")
    ports, _, protocol_text = container.partition("/")
    protocol = next((known for known in _PROTOCOLS if known == (protocol_text.lower() or "tcp")), None)
    if not ports:
        raise ValueError("it has no port number")
    if protocol is None:
        raise ValueError(f'"{protocol_text}" is not tcp, udp or sctp')
    address, host = ":".join(before[:-1]), before[-1] if before else ""
    if address and not _is_address(address):
        raise ValueError(f'"{address}" is no IP address')
    first, last = _range(ports)
    if host:
        host_first, host_last = _range(host)
        if last - first not in (0, host_last - host_first):
            raise ValueError(f"the ranges {ports} and {host} have different lengths")
    return PortRange(first, last, protocol, protocol_text != protocol_text.lower(), bool(address or host))


def port_names(ranges: Iterable[PortRange]) -> Iterator[str]:
    """`port/protocol` for every port, in the order written, as often as written."""
    for ports in ranges:
        for number in range(ports.first, ports.last + 1):
            yield f"{number}/{ports.protocol}"


def _range(text: str) -> tuple[int, int]:
    first_text, dash, last_text = text.partition("-")
    first = _number(first_text)
    last = _number(last_text) if dash and last_text != first_text else first
    if last < first:
        raise ValueError(f"the range {text} ends before it begins")
    return first, last


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f'"{text}" is no port number')
    number = int(text)
    if number > 65535:
        raise ValueError(f"{number} is above 65535")
    return number


def _is_address(text: str) -> bool:
    import ipaddress

    if text.startswith("["):
        if not text.endswith("]"):
            return False
        text = text[1:-1]
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
