"""Which proxy a request goes through, from the variables that curl and Go read."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from pyoci.regex import regex
from pyoci.values import dataclass, field

__all__ = ["Proxies", "is_loopback", "proxies_from_environment"]

_WITH_PORT = regex(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Proxies:
    """Proxy URLs by the scheme of the request; an empty one means a direct connection."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    exceptions: tuple[str, ...] = ()
    """What `NO_PROXY` lists: `*`, names (which cover their subdomains), addresses, networks; each with an optional
    port.
    """

    def of(self, url: str) -> str:
        """The proxy for a request to `url`; empty for none. Loopback never goes through one, as in Go."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = self.https if parts.scheme == "https" else self.http
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not proxy or is_loopback(host) or any(_covers(entry, host, port) for entry in self.exceptions):
            return ""
        return proxy


def proxies_from_environment(environment: Mapping[str, str]) -> Proxies:
    """The proxies that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name; lower case wins, as in curl."""

    def value(name: str) -> str:
        return environment.get(name.lower(), "") or environment.get(name, "")

    every = value("ALL_PROXY")
    return Proxies(
        http=_with_scheme(value("HTTP_PROXY") or every),
        https=_with_scheme(value("HTTPS_PROXY") or every),
        exceptions=tuple(entry.strip().lower() for entry in value("NO_PROXY").split(",") if entry.strip()),
    )


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, without port) is this machine by its spelling; nothing is resolved."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _with_scheme(proxy: str) -> str:
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, wanted_port = _split_port(entry)
    if wanted_port and wanted_port != port:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        bare = name.removeprefix("*").removeprefix(".")
        return host == bare or host.endswith(f".{bare}")
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def _split_port(entry: str) -> tuple[str, int]:
    match = _WITH_PORT.fullmatch(entry)
    if match is None:
        return entry, 0  # an address of version 6 without brackets
    return match[1].strip("[]"), int(match[2] or 0)
