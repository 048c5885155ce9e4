"""URLs that others gave: read without ever failing, compared by what decides where a credential may go."""

from __future__ import annotations

from urllib.parse import SplitResult, urlencode, urljoin, urlsplit, urlunsplit

__all__ = ["followed", "host_of", "origin_of", "public_url", "split_web_url", "with_query"]

_DEFAULT_PORTS = {"https": 443, "http": 80}


def split_web_url(url: str) -> SplitResult | None:
    """The parts of an absolute http or https URL with a host, a sane port and no credentials; None for all else."""
    try:
        parts = urlsplit(url)
        sane = parts.port is None or parts.port > 0
    except ValueError:
        return None
    if not sane or parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts if parts.netloc.isprintable() and " " not in parts.netloc else None


def followed(url: str, location: str) -> str | None:
    """Where a `Location` in the answer from `url` leads; None where that is no address to ask."""
    try:
        target = urljoin(url, location)
    except ValueError:
        return None
    return target if split_web_url(target) is not None else None


def host_of(url: str) -> str:
    """Host and port of a URL as a reference spells them: the default port is left out."""
    parts = split_web_url(url)
    if parts is None or parts.hostname is None:
        return ""
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return name if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{name}:{parts.port}"


def origin_of(url: str) -> str:
    """Scheme, host and port: what must be equal for a credential to be sent."""
    return f"{url.partition('://')[0].lower()}://{host_of(url)}"


def public_url(url: str) -> str:
    """A URL without credentials, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else parts.path


def with_query(url: str, *pairs: tuple[str, str]) -> str:
    """The URL with more parameters behind those that it has."""
    parts = urlsplit(url)
    added = urlencode(pairs)
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query and added else parts.query or added))
