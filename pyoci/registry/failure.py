"""What went wrong, in words that name the host and hold no secret.

Two kinds: no answer (TransportFailure, made from whatever the HTTP library raised) and an answer that is an error
(error bodies of distribution-spec, section "Error Codes", turned into RegistryError with a hint).
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Literal, TypeAlias

from pyoci.errors import RegistryError, Unauthorized
from pyoci.regex import regex
from pyoci.registry.proxies import is_loopback
from pyoci.registry.urls import host_of, public_url
from pyoci.values import dataclass

__all__ = [
    "ERROR_BODY_LIMIT",
    "FailureKind",
    "Problem",
    "Redactor",
    "TransportFailure",
    "decode_error_body",
    "elsewhere_error",
    "one_line",
    "response_error",
    "transport_error",
    "transport_failure",
]

ERROR_BODY_LIMIT = 64 * 1024

FailureKind: TypeAlias = Literal[
    "refused", "name", "connect-timeout", "stall", "slow", "broken", "tls", "certificate", "plain", "proxy", "request"
]
_PROXY_NAMES = frozenset({"InvalidProxyURL", "ProxySchemeUnknown", "InvalidSchema", "LocationParseError"})
_LASTING = frozenset({"certificate", "plain", "tls", "request"})


class TransportFailure(Exception):
    """There was no whole answer. The text is one line, names the host and holds no secret."""

    def __init__(self, text: str, kind: FailureKind, *, host: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.host = host

    @property
    def may_pass(self) -> bool:
        """Whether trying again can help."""
        return self.kind not in _LASTING


def transport_failure(error: BaseException, host: str, *, proxied: bool = False) -> TransportFailure:
    """The failure that an exception of the HTTP library stands for."""
    chain = list(_chain(error))
    names = {type(link).__name__ for link in chain}

    def first(kind: type[BaseException]) -> BaseException | None:
        return next((link for link in chain if isinstance(link, kind)), None)

    certificate = first(ssl.SSLCertVerificationError)
    if isinstance(certificate, ssl.SSLCertVerificationError):
        reason = one_line(getattr(certificate, "verify_message", "") or "it cannot be verified").rstrip(".")
        return TransportFailure(f"the certificate of {host} is not trusted: {reason}", "certificate", host=host)
    tls = first(ssl.SSLError)
    if isinstance(tls, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return TransportFailure(f"{host} closed the connection", "broken", host=host)
    if isinstance(tls, ssl.SSLError):
        reason = getattr(tls, "reason", None) or "handshake failed"
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
            return TransportFailure(f"{host} does not speak TLS", "plain", host=host)
        return TransportFailure(f"TLS with {host} failed: {reason.lower().replace('_', ' ')}", "tls", host=host)
    if "ProxyError" in names or (proxied and names & _PROXY_NAMES):
        return TransportFailure(f"the proxy for {host} cannot be used or refused", "proxy", host=host)
    if isinstance(first(socket.gaierror), socket.gaierror) or "NameResolutionError" in names:
        return TransportFailure(f"the name of {host} cannot be resolved", "name", host=host)
    if first(ConnectionRefusedError):
        return TransportFailure(f"connection refused by {host}", "refused", host=host)
    if names & {"ConnectTimeout", "ConnectTimeoutError"} and "NewConnectionError" not in names:
        return TransportFailure(f"no connection to {host} in time", "connect-timeout", host=host)
    if names & {"ReadTimeout", "ReadTimeoutError", "TimeoutError"}:
        return TransportFailure(f"{host} stopped answering", "stall", host=host)
    if names & {"InvalidURL", "InvalidHeader", "MissingSchema", "InvalidSchema", "LocationParseError"}:
        return TransportFailure(f"the request to {host} cannot be formed", "request", host=host)
    system = next((link.strerror for link in chain if isinstance(link, OSError) and link.errno and link.strerror), None)
    reason = system.lower() if isinstance(system, str) else "it closed the connection"
    return TransportFailure(f"the connection to {host} broke: {reason}", "broken", host=host)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and every one that it was made from, however the library wrapped them."""
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        link = todo.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        todo += [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of an error body."""

    code: str
    message: str


class Redactor:
    """Replaces every secret that this process has sent or received. May be used from several threads."""

    _PATTERNS = regex(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9._-]+")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: set[str] = set()

    def add(self, *secrets: str) -> None:
        """Notes secrets; those too short to be told from words are left out."""
        with self._lock:
            self._secrets.update(secret for secret in secrets if len(secret) >= 4)

    def clean(self, text: str) -> str:
        """The text without secrets."""
        with self._lock:
            secrets = sorted(self._secrets, key=len, reverse=True)
        for secret in secrets:
            text = text.replace(secret, "***")
        return self._PATTERNS.sub("***", text)


def one_line(text: str, limit: int = 300) -> str:
    """Foreign text made safe to print: one line, no control characters, not too long."""
    flat = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def decode_error_body(body: bytes, redactor: Redactor) -> tuple[Problem, ...]:
    """What an error body says, made safe to print; nothing when it is not of the form that distribution-spec gives."""
    try:
        document = json.loads(body[:ERROR_BODY_LIMIT])
        entries = document["errors"] if isinstance(document, dict) else None
    except (ValueError, KeyError, RecursionError):
        return ()
    problems = []
    for entry in entries[:8] if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            code, message = entry.get("code"), entry.get("message")
            problems.append(
                Problem(
                    one_line(redactor.clean(code), 64) if isinstance(code, str) else "",
                    one_line(redactor.clean(message)) if isinstance(message, str) else "",
                )
            )
    return tuple(problem for problem in problems if problem.code or problem.message)


def response_error(
    purpose: str,
    *,
    method: str,
    url: str,
    status: int,
    problems: tuple[Problem, ...],
    registry: str,
    authenticated: bool,
    retry_after_seconds: float | None = None,
) -> RegistryError:
    """The error for an answer that refuses what was asked; `purpose` goes after "cannot"."""
    code = problems[0].code if problems else ""
    said = "; ".join(problem.message or problem.code.lower().replace("_", " ") for problem in problems)
    denied = status == 401 or (status == 403 and code in ("", "DENIED", "UNAUTHORIZED"))
    if said:
        reason = said if status == 404 else f"{said} (HTTP {status} from {registry})"
    elif status == 404:
        reason = f"{registry} does not have it"
    else:
        reason = f"{registry} answered {status}{_STATUS_WORDS.get(status, '')}"
    kind = Unauthorized if denied else RegistryError
    return kind(
        f"cannot {purpose}: {reason}",
        method=method,
        url=public_url(url),
        status=status,
        code=code,
        detail=said,
        retry_after_seconds=retry_after_seconds,
        hint=_response_hint(status, code, registry, method, authenticated),
    )


def elsewhere_error(
    purpose: str, *, method: str, url: str, status: int, registry: str, retry_after_seconds: float | None = None
) -> RegistryError:
    """The error for an answer of a host that the registry sent us to: whom it knows is not told by our credentials."""
    words = _STATUS_WORDS.get(status, "")
    return RegistryError(
        f"cannot {purpose}: {host_of(url)}, where {registry} sent us, answered {status}{words}",
        method=method,
        url=public_url(url),
        status=status,
        retry_after_seconds=retry_after_seconds,
        hint=f"try again; if it stays so, it is {registry} that sends to the wrong place",
    )


_STATUS_WORDS = {
    400: " (bad request)",
    401: " (unauthorized)",
    403: " (forbidden)",
    405: " (not allowed)",
    413: " (too large)",
    416: " (range not satisfiable)",
    429: " (too many requests)",
    500: " (internal error)",
    502: " (bad gateway)",
    503: " (unavailable)",
    504: " (gateway timeout)",
}


def _response_hint(status: int, code: str, registry: str, method: str, authenticated: bool) -> str | None:
    if status == 401:
        if authenticated:
            return f"{registry} did not accept the credentials; log in again: pyoci login {registry}"
        return f"log in first: pyoci login {registry}"
    if status == 403:
        return f"your account at {registry} may not do this" if authenticated else f"log in: pyoci login {registry}"
    if code == "NAME_UNKNOWN":
        return "check the repository's name" + (
            "" if authenticated else f"; a private one needs pyoci login {registry}"
        )
    if code == "MANIFEST_UNKNOWN" or (status == 404 and not code):
        return "check the name and the tag; pyoci ls REPOSITORY lists the tags that are there"
    if status == 405 and method == "DELETE":
        return f"{registry} does not allow deletion"
    if status == 413:
        return f'a server before {registry} limits request bodies; set chunk-size for host."{registry}" in config.toml'
    if status == 429:
        return "wait a while" + ("" if authenticated else f", or log in for a higher limit: pyoci login {registry}")
    if status >= 500:
        return f"{registry} is in trouble; try again later"
    return None


def transport_error(purpose: str, failure: TransportFailure, *, method: str, url: str, registry: str) -> RegistryError:
    """The error for a request that got no answer."""
    hints: dict[FailureKind, str | None] = {
        "refused": f"check that a registry listens at {failure.host}",
        "name": "check the spelling, and that this machine has a network",
        "connect-timeout": "check the network; HTTPS_PROXY and NO_PROXY are honoured",
        "stall": "try again; what was already sent or fetched is not lost",
        "slow": "try again later; low-speed-limit in config.toml says how slow is too slow",
        "broken": "try again; what was already sent or fetched is not lost",
        "certificate": "name the certificate of its CA with --ca-file or as ca-files in config.toml, or put it into "
        f"certs.d/{registry}/ca.crt",
        "plain": f"if it really is a registry without TLS, allow it: --insecure-registry {registry}",
        "tls": f"check the TLS configuration of {failure.host}",
        "proxy": "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
        "request": None,
    }
    hint = hints[failure.kind]
    if failure.kind == "refused" and is_loopback(failure.host.rpartition(":")[0] or failure.host):
        hint = f"start the registry, or check the port in {failure.host}"
    return RegistryError(f"cannot {purpose}: {failure}", method=method, url=public_url(url), hint=hint)
