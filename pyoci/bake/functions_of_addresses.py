"""Functions of the standard library about networks and identifiers."""

from __future__ import annotations

import hashlib
import ipaddress
import uuid
from collections.abc import Callable, Mapping
from typing import TypeAlias

from pyoci.bake.functions_of_text import whole
from pyoci.bake.values import Value, ValueProblem, as_text

__all__ = ["ADDRESSES"]

_Entry = tuple[Callable[..., Value], int, "int | None"]
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAMESPACES = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}


def _network(text: Value) -> _Network:
    word = as_text(text)
    try:
        if "/" in word:
            return ipaddress.ip_network(word, strict=False)
    except ValueError:
        pass
    raise ValueProblem(f'"{word}" is no network as 10.0.0.0/8')


def _host(prefix: Value, number: Value) -> Value:
    network, index = _network(prefix), whole(number)
    if not -network.num_addresses <= index < network.num_addresses:
        raise ValueProblem(f"the network {network} has no host {index}")
    return str(network[index])


def _netmask(prefix: Value) -> Value:
    network = _network(prefix)
    if network.version != 4:
        raise ValueProblem("only networks of IPv4 have a netmask")
    return str(network.netmask)


def _subnet(prefix: Value, bits: Value, number: Value) -> Value:
    network, more, index = _network(prefix), whole(bits), whole(number)
    length = network.prefixlen + more
    if more < 0 or length > network.max_prefixlen or not 0 <= index < 1 << more:
        raise ValueProblem(f"the network {network} has no subnet {index} of {more} further bits")
    start = int(network.network_address) + (index << (network.max_prefixlen - length))
    return f"{_address(network, start)}/{length}"


def _subnets(prefix: Value, *bits: Value) -> Value:
    """Subnets of the given sizes, one behind the other, each where one of its size can begin."""
    network = _network(prefix)
    position, found = int(network.network_address), list[Value]()
    end = position + network.num_addresses
    for one in bits:
        length = network.prefixlen + whole(one)
        if whole(one) < 1 or length > network.max_prefixlen:
            raise ValueProblem(f"the network {network} has no subnet of {as_text(one)} further bits")
        size = 1 << (network.max_prefixlen - length)
        position += -position % size
        if position + size > end:
            raise ValueProblem(f"the network {network} has no room for that many subnets")
        found.append(f"{_address(network, position)}/{length}")
        position += size
    return found


def _address(network: _Network, number: int) -> str:
    if network.version == 4:
        return str(ipaddress.IPv4Address(number))
    return str(ipaddress.IPv6Address(number))


def _named_uuid(namespace: Value, name: Value) -> Value:
    word = as_text(namespace)
    try:
        space = _NAMESPACES.get(word) or uuid.UUID(word)
    except ValueError:
        raise ValueProblem(f'"{word}" is no namespace (they are dns, url, oid, x500, and every UUID)') from None
    hashed = hashlib.sha1(space.bytes + as_text(name).encode("utf-8", "surrogateescape"), usedforsecurity=False)
    return str(uuid.UUID(bytes=hashed.digest()[:16], version=5))


ADDRESSES: Mapping[str, _Entry] = {
    "cidrhost": (_host, 2, 2),
    "cidrnetmask": (_netmask, 1, 1),
    "cidrsubnet": (_subnet, 3, 3),
    "cidrsubnets": (_subnets, 1, None),
    "uuidv4": (lambda: str(uuid.uuid4()), 0, 0),
    "uuidv5": (_named_uuid, 2, 2),
}
