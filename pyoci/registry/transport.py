"""One HTTP exchange: no retries, no redirects, no authentication, no cookies, nothing from the environment.

`requests` is driven at the level of its adapters, whose pools are safe to share between threads; a `requests.Session`
is not, and would add redirects, cookies and `.netrc` of its own. Every failure leaves as a TransportFailure whose
text is ours: the library's texts quote URLs, and with them what must not be shown.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter

from pyoci.errors import UsageError
from pyoci.registry.failure import TransportFailure, transport_failure
from pyoci.registry.hosts import Network, Tls
from pyoci.registry.measured import pool_classes
from pyoci.registry.pace import Pace
from pyoci.registry.urls import host_of
from pyoci.values import dataclass, field

__all__ = ["Answer", "Body", "Transport"]

_USER_AGENT = "pyoci"
_POOL_SIZE = 64
_SEND_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024
"""At most, in one piece."""


class Body(Protocol):
    """What a request carries; it can be sent again from the start."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]:
        """The bytes in pieces, from the start; raises where that is no longer possible."""


@dataclass(slots=True)
class Answer:
    """Status, headers and the body still to be read. Must be finished or closed, so that the connection is used
    again.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    url: str = field(repr=False)
    """Where it came from, after redirects."""
    authorization: str | None = field(default=None, repr=False)
    """The header that was sent for it."""
    _raw: Any = field(default=None, repr=False)

    def header(self, name: str) -> str:
        """A header's value, empty when there is none."""
        return self.headers.get(name, "")

    def length(self) -> int | None:
        """`Content-Length`; None when it is missing or no number."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() else None

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of the body as sent; empty at its end.

        Raises:
            TransportFailure: the connection broke, stalled, was too slow, or ended before the promised length.
        """
        try:
            data: bytes = self._raw.read(min(size, _READ_BYTES), decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.close()
            raise transport_failure(error, host_of(self.url)) from error
        except TransportFailure:
            self.close()
            raise
        return data

    def read_upto(self, limit: int) -> bytes:
        """The body, or its first `limit` + 1 bytes when it is longer. Finishes the exchange.

        Raises:
            TransportFailure: as `read`.
        """
        parts: list[bytes] = []
        missing = limit + 1
        while missing and (data := self.read(min(missing, _SEND_BYTES))):
            parts.append(data)
            missing -= len(data)
        if missing:
            self._raw.release_conn()
        else:
            self.close()
        return b"".join(parts)

    def finish(self) -> None:
        """Reads away what is left, if it is little, so that the connection can be used again."""
        try:
            self.read_upto(_SEND_BYTES)
        except TransportFailure:
            self.close()

    def close(self) -> None:
        """Gives the connection up."""
        self._raw.close()


class Transport:
    """Connection pools, one set per way of trusting. May be used from several threads."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lock = threading.Lock()
        self._adapters: dict[Tls, _Adapter] = {}

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body | bytes | None,
        tls: Tls,
        proxy: str,
        read_seconds: float,
        connect_seconds: float | None = None,
    ) -> Answer:
        """The answer to one request.

        Raises:
            TransportFailure: there was none.
            UsageError: a CA or certificate file cannot be used.
        """
        host = host_of(url)
        merged = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", **headers}
        data = body if body is None or isinstance(body, bytes) else _Pieces(body, Pace(self._network, host))
        try:
            prepared = requests.Request(method, url, headers=merged, data=data).prepare()
            response = self._adapter(tls).send(
                prepared,
                stream=True,
                timeout=(connect_seconds or self._network.connect_seconds, read_seconds),
                verify=tls.verify,
                proxies={url.partition("://")[0]: proxy} if proxy else {},
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise transport_failure(error, host, proxied=bool(proxy)) from error
        return Answer(response.status_code, response.headers, url, headers.get("Authorization"), response.raw)

    def close(self) -> None:
        """Closes every idle connection."""
        with self._lock:
            adapters, self._adapters = list(self._adapters.values()), {}
        for adapter in adapters:
            adapter.close()

    def _adapter(self, tls: Tls) -> _Adapter:
        with self._lock:
            adapter = self._adapters.get(tls)
            if adapter is None:
                adapter = self._adapters[tls] = _Adapter(tls, self._network)
            return adapter


class _Pieces:
    """A body as `requests` streams it: an iterable with a length, and no `read`, so that its pieces stay as large as
    they are.
    """

    def __init__(self, body: Body, pace: Pace) -> None:
        self._body = body
        self._pace = pace

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            started = self._pace.clock()
            yield piece
            self._pace.add(len(piece), self._pace.clock() - started)


class _Adapter(HTTPAdapter):
    """An adapter with a TLS context of its own: system store, configured CAs, client certificates.

    The context is made with the first TLS connection, for loading the system's CAs takes tens of milliseconds.
    """

    def __init__(self, tls: Tls, network: Network) -> None:
        self._tls = tls
        self._pools = pool_classes(network, verify=tls.verify)
        self._context: ssl.SSLContext | None = None
        self._context_lock = threading.Lock()
        super().__init__(pool_connections=_POOL_SIZE, pool_maxsize=_POOL_SIZE)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: Any, **proxy_kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            pool["ssl_context"] = self._tls_context()
        return host, pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing: all of it is in the context already."""

    def _tls_context(self) -> ssl.SSLContext:
        with self._context_lock:
            if self._context is None:
                self._context = _make_context(self._tls)
            return self._context


def _make_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.verify:
        _load_system_store(context)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in tls.ca_files if tls.verify else ():
        _load(f"CA file {path}", lambda path=path: context.load_verify_locations(path))  # type: ignore[misc]
    for certificate, key in tls.client_certs:
        _load(
            f"client certificate {certificate}",
            lambda certificate=certificate, key=key: context.load_cert_chain(certificate, key, password=_no_password),  # type: ignore[misc]
        )
    return context


def _load_system_store(context: ssl.SSLContext) -> None:
    """The system's CAs; those that come with `requests` where there is no system store."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        context.load_default_certs()
    if not paths.cafile and not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())


def _no_password() -> str:
    """Stands for OpenSSL's own question on the terminal, which would stop a build."""
    return ""


def _load(what: str, action: Callable[[], object]) -> None:
    try:
        action()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else ""
        raise UsageError(
            f"cannot use {what}: {reason or 'not a certificate or key in PEM, or encrypted'}",
            hint="name a readable PEM file without a pass phrase",
        ) from error
