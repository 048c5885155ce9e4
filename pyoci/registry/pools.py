"""Requests sent by `requests`, over pools of connections that are kept: what moves bytes.

`requests` is driven at the level of its adapters, whose pools are safe to share between threads; a `requests.Session`
is not, and would add redirects, cookies and `.netrc` of its own.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pyoci.registry.failure import TransportFailure, transport_failure
from pyoci.registry.hosts import Network, Tls
from pyoci.registry.measured import timed_answers
from pyoci.registry.pace import Pace, paced
from pyoci.registry.transport import Answer, Body, Message
from pyoci.registry.trust import make_context
from pyoci.registry.urls import host_of

__all__ = ["Pools"]

_POOL_SIZE = 64


class Pools:
    """Connection pools, one set per way of trusting. May be used from several threads."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lock = threading.Lock()
        self._adapters: dict[Tls, _Adapter] = {}

    def send(self, message: Message) -> Answer:
        """The answer to one request.

        Raises:
            TransportFailure: there was none.
            UsageError: a CA or certificate file cannot be used.
        """
        host, proxy, body = host_of(message.url), message.proxy, message.body
        data = body if body is None or isinstance(body, bytes) else _Pieces(body, Pace(self._network, host))
        try:
            prepared = requests.Request(message.method, message.url, headers=message.headers, data=data).prepare()
            response = self._adapter(message.tls).send(
                prepared,
                stream=True,
                timeout=(message.connect_seconds, message.read_seconds),
                verify=message.tls.verify,
                proxies={message.url.partition("://")[0]: proxy} if proxy else {},
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise transport_failure(error, host, proxied=bool(proxy)) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(
            response.status_code,
            headers,
            message.url,
            message.headers.get("Authorization"),
            _Stream(response.raw, host),
        )

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


class _Stream:
    """A body as it is read from a pool's connection."""

    def __init__(self, raw: Any, host: str) -> None:
        self._raw = raw
        self._host = host

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self._raw.read(size, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.close()
            raise transport_failure(error, self._host) from error
        except TransportFailure:
            self.close()
            raise
        return data

    def release(self) -> None:
        self._raw.release_conn()

    def close(self) -> None:
        self._raw.close()


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
        return paced(self._body, self._pace)


class _Adapter(HTTPAdapter):
    """An adapter with a TLS context of its own: system store, configured CAs, client certificates.

    The context is made with the first TLS connection, for loading the system's CAs takes tens of milliseconds.
    """

    def __init__(self, tls: Tls, network: Network) -> None:
        self._tls = tls
        self._pools = _pool_classes(network, verify=tls.verify)
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
                self._context = make_context(self._tls)
            return self._context


class _QuietConnection(HTTPSConnection):
    """A connection that was asked not to verify: the library's warning to the developer is not for our user."""

    def connect(self) -> None:
        super().connect()
        self.is_verified = True


def _pool_classes(network: Network, *, verify: bool) -> dict[str, Any]:
    """Classes of connection pools by scheme, for a manager of pools."""

    class Pool(HTTPConnectionPool):
        def _new_conn(self) -> Any:
            made: Any = super()._new_conn()
            made.response_class = timed_answers(network, f"{self.host}:{self.port}" if self.port else self.host)
            return made

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = HTTPSConnection if verify else _QuietConnection

        def _new_conn(self) -> Any:
            made: Any = super()._new_conn()
            host = f"{self.host}:{self.port}" if self.port not in (None, 443) else self.host
            made.response_class = timed_answers(network, host)
            return made

    return {"http": Pool, "https": SecurePool}
