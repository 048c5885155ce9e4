"""From a challenge to an `Authorization` header: Basic, and Bearer tokens with their cache.

Spec: distribution's token authentication documents (token and OAuth 2 flows). The rules about where credentials may
go: a token server on another host gets them over HTTPS only, a registry reached over TLS never sends them to a plain
one, and nothing here is ever put into a message.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlencode

from pyoci.errors import RegistryError, Unauthorized
from pyoci.registry.challenge import Challenge
from pyoci.registry.credentials import Credential, CredentialSource
from pyoci.registry.failure import Redactor
from pyoci.registry.proxies import is_loopback
from pyoci.registry.scopes import merge_scopes, split_scopes
from pyoci.registry.urls import split_web_url, with_query
from pyoci.values import dataclass, field

__all__ = ["Authorizer", "Site", "TokenFetcher", "TokenRequest", "check_realm"]

_CLIENT_ID = "pyoci"
_DEFAULT_SECONDS = 60.0
"""A token's life when the server says nothing (distribution's token specification)."""
_TOKEN_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Site:
    """Who asks to be known: one repository at one origin."""

    origin: str
    """`https://host:port`."""
    registry: str
    repository: str


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request to a token server."""

    url: str = field(repr=False)
    site: Site
    basic: str | None = field(default=None, repr=False)
    """`Authorization` header, for the GET form."""
    form: bytes | None = field(default=None, repr=False)
    """Body of the POST form; None makes it a GET."""


class TokenFetcher(Protocol):
    """Sends a TokenRequest and returns the body of a 200 answer."""

    def __call__(self, request: TokenRequest, /) -> bytes:
        """The body. Raises RegistryError otherwise."""


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    expires: float


_TokenKey = tuple[str, str, str, tuple[str, ...], Credential | None]


class Authorizer:
    """What is known about challenges, credentials and tokens. May be used from several threads."""

    def __init__(
        self,
        credentials: CredentialSource,
        fetch: TokenFetcher,
        *,
        redactor: Redactor,
        clock: Callable[[], float],
    ) -> None:
        self._credentials = credentials
        self._fetch = fetch
        self._redactor = redactor
        self._clock = clock
        self._lock = threading.Lock()
        self._challenges: dict[str, Challenge] = {}
        self._found: dict[tuple[str, str], Credential | None] = {}
        self._widened: dict[tuple[Site, tuple[str, ...]], tuple[str, ...]] = {}
        self._tokens: dict[_TokenKey, _Token] = {}
        self._fetching: dict[_TokenKey, threading.Lock] = {}

    def header(self, site: Site, scopes: tuple[str, ...]) -> str | None:
        """The header to send before being asked, where an earlier challenge of this origin tells it; None to send
        none.

        Raises:
            RegistryError: a token was needed and the token server failed.
        """
        with self._lock:
            challenge = self._challenges.get(site.origin)
            scopes = self._widened.get((site, scopes), scopes)
        if challenge is None:
            return None
        return self._answer(site, challenge, merge_scopes(scopes), rejected=None)

    def answer(
        self, site: Site, scopes: tuple[str, ...], challenges: tuple[Challenge, ...], *, rejected: str | None
    ) -> str | None:
        """The header that answers a 401; None when there is nothing better to offer than what was `rejected`.

        Raises:
            RegistryError: the token server failed, or the challenge asks to send credentials where they must not go.
        """
        challenge = self._choose(site, challenges)
        if challenge is None:
            return None
        wanted = merge_scopes((*scopes, *split_scopes(challenge.parameters.get("scope", ""))))
        with self._lock:
            self._challenges[site.origin] = challenge
            self._widened[(site, scopes)] = wanted
        header = self._answer(site, challenge, wanted, rejected=rejected)
        return None if header == rejected else header

    def authenticated(self, site: Site) -> bool:
        """Whether a credential was found for the site (and not only an anonymous token). Does not look for one."""
        with self._lock:
            return self._found.get((site.registry, site.repository)) is not None

    def _choose(self, site: Site, challenges: tuple[Challenge, ...]) -> Challenge | None:
        """Bearer before Basic: a token is narrower than a password."""
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                return challenge
        return next((challenge for challenge in challenges if challenge.scheme == "basic"), None)

    def _answer(self, site: Site, challenge: Challenge, scopes: tuple[str, ...], *, rejected: str | None) -> str | None:
        credential = self._credential(site)
        if challenge.scheme == "basic":
            return self._basic(credential) if credential is not None and not credential.identity_token else None
        realm, service = challenge.parameters["realm"], challenge.parameters.get("service", "")
        key = (site.origin, realm, service, scopes, credential)
        with self._lock:
            lock = self._fetching.setdefault(key, threading.Lock())
        with lock:  # several threads that need the same token fetch it once
            token = self._tokens.get(key)
            if token is not None and token.header != rejected and token.expires > self._clock():
                return token.header
            self._tokens.pop(key, None)
            token = self._fetch_token(site, realm, service, scopes, credential)
            self._tokens[key] = token
            return token.header

    def _credential(self, site: Site) -> Credential | None:
        key = (site.registry, site.repository)
        with self._lock:
            if key in self._found:
                return self._found[key]
        found = self._credentials.find(site.registry, site.repository)
        if found is not None:
            self._redactor.add(found.password, found.identity_token)
        with self._lock:
            return self._found.setdefault(key, found)

    def _basic(self, credential: Credential) -> str:
        encoded = base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode("ascii")
        self._redactor.add(encoded)
        return f"Basic {encoded}"

    def _fetch_token(
        self, site: Site, realm: str, service: str, scopes: tuple[str, ...], credential: Credential | None
    ) -> _Token:
        check_realm(realm, site)
        started = self._clock()
        if credential is not None and credential.identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": _CLIENT_ID,
                "scope": " ".join(scopes),
                "refresh_token": credential.identity_token,
            }
            request = TokenRequest(realm, site, form=urlencode(form).encode("ascii"))
        else:
            query = [("service", service)] if service else []
            query += [("scope", scope) for scope in scopes]
            basic = None
            if credential is not None:
                query.append(("account", credential.username))
                basic = self._basic(credential)
            request = TokenRequest(with_query(realm, *query), site, basic=basic)
        return self._decode_token(self._fetch(request), site, started)

    def _decode_token(self, body: bytes, site: Site, started: float) -> _Token:
        try:
            answer = json.loads(body)
            token = answer.get("token") or answer.get("access_token") or ""
            seconds = answer.get("expires_in") or _DEFAULT_SECONDS
        except (ValueError, AttributeError, RecursionError):
            raise RegistryError(f"the token server of {site.registry} did not answer with a token") from None
        printable = isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token
        if not token or not printable or len(token) > _TOKEN_LIMIT:
            raise RegistryError(f"the token server of {site.registry} did not answer with a token")
        self._redactor.add(token)
        life = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else _DEFAULT_SECONDS
        # A token that runs out while its request is under way costs a round trip, so it is given up a little early.
        return _Token(f"Bearer {token}", started + life - min(10.0, life / 10))


def check_realm(realm: str, site: Site) -> None:
    """Refuses a token server that credentials must not be sent to.

    Raises:
        Unauthorized: not an HTTP URL, or plain HTTP where that would be less than what the registry itself was
        reached by.
    """
    parts, own = split_web_url(realm), split_web_url(site.origin)
    if parts is not None and parts.scheme == "https":
        return
    if parts is not None and own is not None and own.scheme == "http":
        host, own_host = parts.hostname or "", own.hostname or ""
        if host == own_host or (is_loopback(host) and is_loopback(own_host)):
            return
    where = f"http://{parts.hostname}" if parts is not None else "which is no address"
    raise Unauthorized(
        f"{site.registry} names a token server that credentials cannot be sent to safely: {where}",
        hint="a token server must be reached over HTTPS",
    )
