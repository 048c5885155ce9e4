"""How to get at a remote: what may be shown of it, which protocol it is, and the credentials that go to it alone.

Secrets are BuildKit's: `GIT_AUTH_HEADER` and `GIT_AUTH_TOKEN`, each also with `.HOST`; ssh takes the agent or key of
`--ssh default`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress

from pyoci.errors import BuildError
from pyoci.fetch.protocols import ExchangeFailed, Get, Secret, Ssh
from pyoci.fetch.redirects import follow
from pyoci.fetch.url import Url, parse_url, redacted
from pyoci.values import dataclass, field

__all__ = ["Access", "access_to", "without_credentials"]

_GITHUB = ("https://github.com/", "https://www.github.com/")
_REFERENCES = "/info/refs"


@dataclass(frozen=True, slots=True)
class Access:
    """A remote without what must not be shown, and how to get in."""

    remote: str
    shown: str
    protocol: str
    config: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """For git."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What must not be shown."""
    ssh: Ssh | None = None


def access_to(remote: str, secret: Secret, ssh: Callable[[], Ssh | None], get: Get | None) -> Access:
    """How to get at a remote. Where credentials go to a server, `get` finds out whether the repository has moved.

    Raises:
        BuildError: ssh is needed and there is no agent, a secret is malformed, or a redirect would leave TLS.
    """
    url = _http_url(remote)
    if url is None:
        if remote.lower().startswith("git://"):
            return Access(remote, redacted(remote), "git")
        found = ssh()
        if found is None:
            raise BuildError(
                f'cannot fetch {redacted(remote)}: no SSH key "default" forwarded from the client',
                hint="give an agent or a key: --ssh default, or use the https address",
            )
        return Access(remote, redacted(remote), "ssh", ssh=found)
    header, secrets = _authorization(url, secret)
    clean = url.without_credentials
    if not header:
        return Access(clean, redacted(remote), url.scheme)
    scope = next((prefix for prefix in _GITHUB if clean.startswith(prefix)), "")
    config: tuple[tuple[str, str], ...] = ()
    if not scope:
        # git would send the header to wherever the repository has moved.
        moved, header = _moved(url, header, get) if get is not None else (url, header)
        clean = scope = moved.without_credentials
        config = ((f"http.{scope}.followRedirects", "false"),)
    if header:
        config = (*config, (f"http.{scope}.extraHeader", f"Authorization: {header}"))
    return Access(clean, redacted(remote), parse_url(clean).scheme, config, secrets)


def without_credentials(remote: str) -> str:
    """The remote without the user and password of an HTTP URL."""
    url = _http_url(remote)
    return url.without_credentials if url else remote


def _http_url(remote: str) -> Url | None:
    try:
        url = parse_url(remote)
    except ValueError:
        return None
    return url if url.scheme in ("http", "https") else None


def _moved(url: Url, header: str, get: Get) -> tuple[Url, str]:
    """Where the repository is now, and the header that may be sent there. A server that says nothing is left to git."""
    asked = parse_url(f"{url.without_credentials}{_REFERENCES}?service=git-upload-pack")
    with suppress(ExchangeFailed):
        answer, found, header = follow(get, asked, {}, header)
        answer.close()
        base, marker, _ = found.without_credentials.rpartition(_REFERENCES)
        if marker:
            return parse_url(base), header
    return url, header


def _authorization(url: Url, secret: Secret) -> tuple[str, tuple[str, ...]]:
    """The value of the header, empty for none, and what of it must not be shown."""
    if url.user is not None:
        return _basic(url.user, url.password or "")
    for suffix in (f".{url.host}", ""):
        header = secret(f"GIT_AUTH_HEADER{suffix}")
        if header is not None:
            value = _one_line(header, f"GIT_AUTH_HEADER{suffix}")
            return value, tuple({value, value.rpartition(" ")[2]} - {""})
        token = secret(f"GIT_AUTH_TOKEN{suffix}")
        if token is not None:
            return _basic("x-access-token", _one_line(token, f"GIT_AUTH_TOKEN{suffix}"))
    return "", ()


def _basic(user: str, password: str) -> tuple[str, tuple[str, ...]]:
    encoded = base64.b64encode(f"{user}:{password}".encode("utf-8", "surrogateescape")).decode("ascii")
    return f"Basic {encoded}", tuple(value for value in (encoded, password) if value)


def _one_line(secret: bytes, name: str) -> str:
    value = secret.decode("utf-8", "surrogateescape").strip()
    if not value.isprintable():
        raise BuildError(f'secret "{name}" has a line break or control character inside')
    return value
