"""The one place that sends requests: retries, redirects, authentication and errors around a Transport.

A redirect never carries `Authorization` to another origin and never leads from TLS to plain HTTP. Errors are decoded
from bounded bodies, name the host in the user's spelling and hold no secret. May be used from several threads.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from random import random as _random
from urllib.parse import urljoin

from pyoci.errors import Cancelled, RegistryError, Unauthorized
from pyoci.progress import Reporter
from pyoci.regex import regex
from pyoci.registry.auth import Authorizer, Site, TokenRequest
from pyoci.registry.challenge import parse_challenges
from pyoci.registry.credentials import CredentialSource
from pyoci.registry.failure import (
    ERROR_BODY_LIMIT,
    Redactor,
    TransportFailure,
    decode_error_body,
    elsewhere_error,
    one_line,
    response_error,
    transport_error,
)
from pyoci.registry.hosts import Endpoint, HostsConfig
from pyoci.registry.mirrors import FailedMirrors
from pyoci.registry.retry import RETRY_STATUSES, Backoff, retry_after_seconds
from pyoci.registry.transport import Answer, Body, Transport
from pyoci.registry.urls import followed, host_of, origin_of, public_url
from pyoci.values import dataclass, field, replace

__all__ = ["Request", "Session"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECT_LIMIT = 5
_TOKEN_BODY_LIMIT = 256 * 1024
_PROBE_SECONDS = 5.0
_RENEWALS = 3
_FEW_ATTEMPTS = 3
"""For what is mostly a typing error: a name that does not resolve, a port where nothing listens."""
_WARNING = regex(r'299\s+\S+\s+"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a registry."""

    method: str
    url: str
    """A path below the endpoint (`/v2/…`), or a whole URL that the registry gave."""
    endpoint: Endpoint
    purpose: str
    """What it is for, after "cannot": `push layer sha256:… to localhost:5000/app`."""
    expect: frozenset[int]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | bytes | None = None
    scopes: tuple[str, ...] = ()
    once: bool = False
    """Not tried again here: the caller knows better how to go on."""
    patient: bool = False
    """The server may be silent for as long as committing a blob takes."""
    cleanup: bool = False
    """Tidies up after the command, and is sent although it was interrupted."""
    answer_bytes: int = 0
    """How much will come back, where that may be much."""
    hurried: bool = False
    """Somebody else can be asked: one more attempt for what passes at once, and no waiting for what takes time."""


class Session:
    """Sends requests for a whole command: connections, tokens and what was learnt about hosts are shared."""

    def __init__(
        self,
        hosts: HostsConfig,
        credentials: CredentialSource,
        *,
        reporter: Reporter | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = _random,
        clock: Callable[[], float] = time.monotonic,
        cancelled: threading.Event | None = None,
    ) -> None:
        self.hosts = hosts
        self.reporter = reporter or Reporter()
        self.cancelled = cancelled or threading.Event()
        self._sleep = sleep
        self._transport = Transport(hosts.network)
        self._backoff = Backoff(hosts.network, random)
        self.redactor = Redactor()
        self._authorizer = Authorizer(credentials, self._token, redactor=self.redactor, clock=clock)
        self._lock = threading.Lock()
        self._bases: dict[Endpoint, str] = {}
        self._probing: dict[Endpoint, threading.Lock] = {}
        self._warned: set[tuple[str, str]] = set()
        self.failed_mirrors = FailedMirrors(self.reporter)

    def close(self) -> None:
        """Closes idle connections."""
        self._transport.close()

    def send(self, request: Request) -> Answer:
        """The answer, whose status is one that the request expects. The caller finishes or closes it.

        Raises:
            RegistryError: no answer after all attempts, or one with another status.
            Unauthorized: credentials are missing or were refused.
            Cancelled: the command was interrupted.
        """
        failed = 0
        while True:
            if not request.cleanup:
                self.check_cancelled()
            try:
                answer = self._exchange(request)
            except TransportFailure as failure:
                failed += 1
                error = self.error_of(failure, request)
                few = failure.kind in ("refused", "name") and failed >= _FEW_ATTEMPTS
                late = request.hurried and (failed > 1 or failure.kind in ("stall", "slow", "connect-timeout"))
                if request.once or not failure.may_pass or few or late:
                    raise error from failure
                self.wait(failed, error, reason=str(failure))
                continue
            if answer.status in request.expect:
                return answer
            failed += 1
            error = self._refusal(request, answer)
            late = request.hurried and (failed > 1 or answer.status == 429 or error.retry_after_seconds is not None)
            if request.once or answer.status not in RETRY_STATUSES or late:
                raise error
            self.wait(failed, error, reason=f"{host_of(answer.url)} answered {answer.status}")

    def wait(self, failed: int, error: RegistryError, *, reason: str) -> None:
        """Sleeps before the next attempt.

        Raises:
            RegistryError: `error`, when it is time to give up.
            Cancelled: the command was interrupted meanwhile.
        """
        asked = error.retry_after_seconds
        seconds = self._backoff.seconds(failed, asked)
        if seconds is None:
            if asked is not None and asked > self.hosts.network.longest_wait_seconds:
                error.hint = f"the registry asks to wait {asked:.0f} s before the next attempt"
            raise error
        import logging  # which costs more than asking once

        logging.getLogger(__name__).debug("attempt %d failed: %s; waiting %.1f s", failed, reason, seconds)
        if seconds >= 1:
            self.reporter.message(f"{reason}; trying again in {seconds:.0f} s")
        self.check_cancelled()
        self._sleep(seconds)
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Raises Cancelled once the command is interrupted."""
        if self.cancelled.is_set():
            raise Cancelled

    def error_of(self, failure: TransportFailure, request: Request) -> RegistryError:
        """The error for a request that got no whole answer."""
        return transport_error(
            request.purpose, failure, method=request.method, url=request.url, registry=request.endpoint.registry
        )

    def base_of(self, endpoint: Endpoint) -> str:
        """`https://host`, or `http://host` where that is allowed and all that the host speaks. Found out once.

        Raises:
            TransportFailure: it speaks none of them.
        """
        if len(endpoint.schemes) == 1:
            return origin_of(f"{endpoint.schemes[0]}://{endpoint.host}")
        key = replace(endpoint, repository="", registry="", chunk_bytes=0, mirror=False)
        with self._lock:
            if key in self._bases:
                return self._bases[key]
            lock = self._probing.setdefault(key, threading.Lock())
        with lock:
            if key not in self._bases:
                self._bases[key] = self._probe(endpoint)
            return self._bases[key]

    def _probe(self, endpoint: Endpoint) -> str:
        failures: list[TransportFailure] = []
        for scheme in endpoint.schemes:
            base = f"{scheme}://{endpoint.host}"
            try:
                answer = self._transport.send(
                    "GET",
                    f"{base}/v2/",
                    headers={},
                    body=None,
                    tls=endpoint.tls,
                    proxy=self.hosts.proxies.of(base),
                    read_seconds=min(self.hosts.network.stall_seconds, 4 * _PROBE_SECONDS),
                    connect_seconds=min(self.hosts.network.connect_seconds, _PROBE_SECONDS),
                )
            except TransportFailure as failure:
                failures.append(failure)
                continue
            answer.finish()
            return origin_of(base)
        # A bad certificate says more than the refusal of plain HTTP after it.
        raise failures[0] if failures[0].kind == "certificate" else failures[-1]

    def _exchange(self, request: Request) -> Answer:
        """One attempt: authenticates, and again when a token turned out to have run out or been used up meanwhile."""
        base = self.base_of(request.endpoint)
        url = urljoin(base, request.url)
        site = Site(base, request.endpoint.registry, request.endpoint.repository)
        header = self._authorizer.header(site, request.scopes) if origin_of(url) == base else None
        answer = self._follow(request, base, url, header)
        for _ in range(_RENEWALS):
            if answer.status != 401 or origin_of(answer.url) != base:
                break
            challenges = parse_challenges(answer.header("WWW-Authenticate"))
            try:
                better = self._authorizer.answer(site, request.scopes, challenges, rejected=answer.authorization)
            except BaseException:
                answer.close()
                raise
            if better is None:
                break
            answer.finish()
            answer = self._follow(request, base, url, better)
        self._surface_warnings(answer, request.endpoint.registry)
        return answer

    def _follow(self, request: Request, base: str, url: str, authorization: str | None) -> Answer:
        """Sends, and follows redirects by the rules of the module's docstring."""
        endpoint, network = request.endpoint, self.hosts.network
        method, body = request.method, request.body
        for _ in range(_REDIRECT_LIMIT + 1):
            if origin_of(url) != base:
                authorization = None  # for good: the way back would be led by a stranger
            answer = self._transport.send(
                method,
                url,
                headers={**request.headers, **({"Authorization": authorization} if authorization else {})},
                body=body,
                tls=endpoint.tls if origin_of(url) == base else self.hosts.tls_of(host_of(url)),
                proxy=self.hosts.proxies.of(url),
                read_seconds=network.commit_seconds if request.patient else network.stall_seconds,
                answer_bytes=request.answer_bytes,
            )
            location = answer.header("Location")
            if answer.status not in _REDIRECTS or answer.status in request.expect or not location:
                return answer
            answer.finish()
            target = self.target(url, location, request)
            if answer.status == 303 and method != "HEAD":
                method, body = "GET", None
            url = target
        raise RegistryError(
            f"cannot {request.purpose}: {endpoint.registry} redirects more than {_REDIRECT_LIMIT} times",
            method=request.method,
            url=public_url(url),
        )

    def target(self, url: str, location: str, request: Request) -> str:
        """Where a `Location` leads. Refused: from TLS to plain HTTP, to what is no HTTP URL, or with a password in it.

        Raises:
            RegistryError: with the host that it named.
        """
        target = followed(url, location)
        if target is None:
            problem = "which is not an address to ask"
        elif url.startswith("https:") and target.startswith("http:"):
            problem = "which would leave TLS"
        else:
            return target
        raise RegistryError(
            f"cannot {request.purpose}: {request.endpoint.registry} sends on to {_shown(location)}, {problem}",
            method=request.method,
            url=public_url(url),
            hint="the registry's own external address is probably misconfigured",
        )

    def _refusal(self, request: Request, answer: Answer) -> RegistryError:
        problems = decode_error_body(_error_body(answer), self.redactor)
        if host_of(answer.url) != host_of(f"{answer.url.partition(':')[0]}://{request.endpoint.host}"):
            return elsewhere_error(
                request.purpose,
                method=request.method,
                url=answer.url,
                status=answer.status,
                registry=request.endpoint.registry,
                retry_after_seconds=_asked(answer),
            )
        site = Site("", request.endpoint.registry, request.endpoint.repository)
        return response_error(
            request.purpose,
            method=request.method,
            url=answer.url,
            status=answer.status,
            problems=problems,
            registry=request.endpoint.registry,
            authenticated=self._authorizer.authenticated(site),
            retry_after_seconds=_asked(answer),
        )

    def _surface_warnings(self, answer: Answer, registry: str) -> None:
        """`Warning: 299` (distribution-spec, section "Warnings"): shown once per text."""
        for match in _WARNING.finditer(answer.header("Warning")):
            text = one_line(self.redactor.clean(re.sub(r"\\(.)", r"\1", match[1])))
            with self._lock:
                new = (registry, text) not in self._warned
                self._warned.add((registry, text))
            if new:
                self.reporter.warning(f"{registry} says: {text}")

    def _token(self, token: TokenRequest) -> bytes:
        """The body of a token server's answer; retried like any request, never redirected with what it carries."""
        host, registry = host_of(token.url), token.site.registry
        purpose = f"log in to {registry}"
        headers = {"Accept": "application/json"}
        if token.basic is not None:
            headers["Authorization"] = token.basic
        if token.form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        method = "GET" if token.form is None else "POST"
        failed = 0
        while True:
            self.check_cancelled()
            try:
                answer = self._transport.send(
                    method,
                    token.url,
                    headers=headers,
                    body=token.form,
                    tls=self.hosts.tls_of(host),
                    proxy=self.hosts.proxies.of(token.url),
                    read_seconds=self.hosts.network.stall_seconds,
                )
                if answer.status == 200:
                    return answer.read_upto(_TOKEN_BODY_LIMIT)
            except TransportFailure as failure:
                error = transport_error(purpose, failure, method=method, url=token.url, registry=registry)
                reason = str(failure)
                if not failure.may_pass:
                    raise error from failure
            else:
                error = self._token_refusal(purpose, method, answer, token)
                reason = f"{host} answered {answer.status}"
                if answer.status not in RETRY_STATUSES:
                    raise error
            failed += 1
            self.wait(failed, error, reason=reason)

    def _token_refusal(self, purpose: str, method: str, answer: Answer, token: TokenRequest) -> RegistryError:
        registry = token.site.registry
        known = token.basic is not None or token.form is not None
        error = response_error(
            purpose,
            method=method,
            url=answer.url,
            status=answer.status,
            problems=decode_error_body(_error_body(answer), self.redactor),
            registry=host_of(answer.url),
            authenticated=known,
            retry_after_seconds=_asked(answer),
        )
        if answer.status in (400, 401, 403):
            hint = f"log in {'again' if known else 'first'}: pyoci login {registry}"
            refused = Unauthorized(error.message, method=method, url=error.url, status=error.status, hint=hint)
            refused.code, refused.detail = error.code, error.detail
            return refused
        return error


def _shown(location: str) -> str:
    """A `Location` that cannot be followed, without what it may hold of secrets."""
    return one_line(public_url(location), 120) or "nowhere"


def _asked(answer: Answer) -> float | None:
    return retry_after_seconds(answer.header("Retry-After"), answer.header("Date"))


def _error_body(answer: Answer) -> bytes:
    """The beginning of an error body, as far as it arrives: the status has said the main thing already."""
    try:
        return answer.read_upto(ERROR_BODY_LIMIT)
    except TransportFailure:
        return b""
