"""URLs as Go's net/url reads them, so that a string means to us what it means to BuildKit.

Pure. What has no place in a message (passwords, queries with signatures in them) is left out by `public`.
Spec: RFC 3986; where it leaves a choice, net/url of Go 1.26.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, unquote_to_bytes

from pyoci.regex import regex
from pyoci.values import dataclass, field

__all__ = ["Query", "Url", "file_name", "is_http_url", "parse_query", "parse_url", "public", "redacted"]

Query = dict[str, list[str]]

_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")
_PATH = _UNRESERVED | frozenset("$&+,/:;=@")
"""What Go leaves as it is when it writes a path."""
_WRITTEN_PATH = _PATH | frozenset("!'()*[]%")
"""What Go accepts in a path that somebody else wrote."""
_HOST = _UNRESERVED | frozenset("!$&'()*+,;=:[]<>\"")
_USER = _UNRESERVED | frozenset(":!$&'()*+,;=%@")
_SCHEME = regex(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_BAD_ESCAPE = regex(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)
_CONTROL = regex(r"[\x00-\x1f\x7f]")
_CREDENTIALS = regex(r"([a-zA-Z][a-zA-Z0-9+.-]*://)([^/?#]*)@")
_HTTP = regex(r"https?://")


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of an absolute URL."""

    scheme: str
    """Lower case."""
    user: str | None = field(repr=False)
    """Decoded; None where there is no user part."""
    password: str | None = field(repr=False)
    host: str
    """With the port, as written."""
    path: str
    """Decoded."""
    raw_path: str
    """As a request sends it."""
    query: str = field(default="", repr=False)
    """As written, without the question mark."""
    fragment: str = ""
    """Decoded."""

    @property
    def hostname(self) -> str:
        """The host without port and brackets."""
        host = self.host
        if host.startswith("["):
            return host[1:].partition("]")[0]
        return host.partition(":")[0]

    @property
    def without_credentials(self) -> str:
        """The URL to send a request to: no user part, no fragment."""
        return f"{self.scheme}://{self.host}{self.raw_path}" + (f"?{self.query}" if self.query else "")

    @property
    def base_name(self) -> str:
        """The last component of the path; empty where there is none."""
        return self.path.rstrip("/").rpartition("/")[2]


def is_http_url(text: str) -> bool:
    """Whether the text begins as an HTTP URL; case matters, as in docker."""
    return _HTTP.match(text) is not None


def parse_url(text: str) -> Url:
    """The parts of a URL that has a scheme and a host part (`scheme://…`).

    Raises:
        ValueError: it is none, with the reason.
    """
    rest, _, fragment = text.partition("#")
    if _CONTROL.search(rest):
        raise ValueError("invalid control character in URL")
    match = _SCHEME.match(rest)
    if match is None:
        raise ValueError("missing protocol scheme")
    scheme = match[0][:-1].lower()
    rest, _, query = rest[match.end() :].partition("?")
    if not rest.startswith("//"):
        raise ValueError("the host is missing")
    authority, slash, path = rest[2:].partition("/")
    path = slash + path
    user_part, at, host = authority.rpartition("@")
    user = password = None
    if at:
        if not _USER.issuperset(user_part):
            raise ValueError("invalid userinfo")
        name, colon, secret = user_part.partition(":")
        user, password = _decoded(name), _decoded(secret) if colon else None
    _check_host(host)
    return Url(scheme, user, password, host, _decoded(path), _escaped_path(path), query, _decoded(fragment))


def _check_host(host: str) -> None:
    if host.startswith("["):
        address, bracket, port = host.rpartition("]")
        if not bracket:
            raise ValueError("missing ']' in host")
        if not re.fullmatch(r"\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(%25[a-zA-Z0-9._~-]+)?", address):
            raise ValueError(f'invalid host "{host}"')
    else:
        name, colon, number = host.partition(":")
        port = colon + number
        if "[" in name or not all(sign in _HOST or ord(sign) > 0x7F for sign in name):
            raise ValueError(f'invalid character in host name "{name}"')
    if port and not (port.startswith(":") and (port == ":" or (port[1:].isascii() and port[1:].isdigit()))):
        raise ValueError(f'invalid port "{port}" after host')


def _decoded(text: str) -> str:
    bad = _BAD_ESCAPE.search(text)
    if bad:
        raise ValueError(f'invalid URL escape "{bad[0]}"')
    return unquote(text, errors="surrogateescape")


def _escaped_path(path: str) -> str:
    if _WRITTEN_PATH.issuperset(path):
        return path
    data = unquote_to_bytes(path.encode("utf-8", "surrogateescape"))
    return "".join(chr(byte) if chr(byte) in _PATH else f"%{byte:02X}" for byte in data)


def file_name(url: str) -> str:
    """What ADD calls the file of a URL: the last component of the path, or `__unnamed__`, as BuildKit.

    A name that no file may have becomes `download`.
    """
    try:
        name = parse_url(url).base_name
    except ValueError:
        return "__unnamed__"
    if not name:
        return "__unnamed__"
    if name in (".", "..") or not name.strip() or any(unicodedata.category(sign) == "Cc" for sign in name):
        return "download"
    return name


def parse_query(query: str, *, strict: bool = False) -> Query:
    """The values of each key, in order. Malformed pairs are left out, as Go's URL.Query leaves them.

    Raises:
        ValueError: `strict`, and a pair is malformed.
    """
    values: Query = {}
    for pair in query.split("&"):
        try:
            if ";" in pair:
                raise ValueError("invalid semicolon separator in query")
            if pair:
                key, _, value = map(_decoded, pair.replace("+", " ").partition("="))
                values.setdefault(key, []).append(value)
        except ValueError:
            if strict:
                raise
    return values


def public(url: str) -> str:
    """The URL without credentials, query and fragment: what a message may show."""
    match = _SCHEME.match(url)
    if match is None:
        return url.partition("#")[0].partition("?")[0]
    rest = url[match.end() :].partition("#")[0].partition("?")[0]
    authority, slash, path = rest.removeprefix("//").partition("/")
    return f"{match[0]}//{authority.rpartition('@')[2]}{slash}{path}"


def redacted(url: str) -> str:
    """The URL with user and password masked, as BuildKit shows it; what has none stays as it is."""
    match = _CREDENTIALS.match(url)
    if match is None:
        return url
    user, colon, password = match[2].partition(":")
    mask = ("xxxxx" if user else "") + (f"{colon}xxxxx" if colon else "")
    return f"{match[1]}{mask}@{url[match.end() :]}" if user or password else url
