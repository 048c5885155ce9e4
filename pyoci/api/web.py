"""Requests to the web for `pyoci.fetch`: over the registry client's transport, with its CA files and proxies.

What is allowed for registries alone (plain HTTP in the place of TLS, certificates that nobody vouches for) is not here.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pyoci.fetch.protocols import Answer, ExchangeFailed

if TYPE_CHECKING:
    from pyoci.registry.failure import TransportFailure
    from pyoci.registry.hosts import HostsConfig
    from pyoci.registry.transport import Answer as RegistryAnswer
    from pyoci.registry.transport import Transport

__all__ = ["Web"]

_HINTS = {
    "refused": "check the host and the port",
    "name": "check the spelling, and that this machine has a network",
    "connect-timeout": "check the network; HTTPS_PROXY, HTTP_PROXY and NO_PROXY are honoured",
    "stall": "try again later",
    "slow": "try again later",
    "broken": "try again later",
    "certificate": "trust the certificate authority with --ca-file",
    "plain": "write http:// if it really is a server without TLS",
    "proxy": "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
}


class Web:
    """Sends single GET requests; an implementation of `fetch.protocols.Get`. Imports the HTTP library when first used.

    May be used from several threads.
    """

    def __init__(self, hosts: Callable[[], HostsConfig]) -> None:
        self._hosts = hosts
        self._transport: Transport | None = None
        self._lock = threading.Lock()

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """The answer to one request.

        Raises:
            ExchangeFailed: there was none.
            UsageError: a CA file cannot be used.
        """
        from pyoci.registry.failure import TransportFailure
        from pyoci.registry.hosts import Tls

        hosts = self._hosts()
        try:
            answer = self._opened(hosts).send(
                "GET",
                url,
                headers=headers,
                body=None,
                tls=Tls(ca_files=hosts.ca_files),
                proxy=hosts.proxies.of(url),
                read_seconds=hosts.network.stall_seconds,
                answer_bytes=sys.maxsize,
            )
        except TransportFailure as failure:
            raise _failed(failure) from failure
        return _WebAnswer(answer)

    def close(self) -> None:
        """Closes idle connections."""
        if self._transport is not None:
            self._transport.close()

    def _opened(self, hosts: HostsConfig) -> Transport:
        from pyoci.registry.transport import Transport

        with self._lock:
            if self._transport is None:
                self._transport = Transport(hosts.network)
            return self._transport


class _WebAnswer:
    """A registry client's answer whose failures are those of fetching."""

    def __init__(self, answer: RegistryAnswer) -> None:
        self._answer = answer
        self.status = answer.status
        self.header = answer.header
        self.length = answer.length
        self.finish = answer.finish
        self.close = answer.close

    def read(self, size: int) -> bytes:
        from pyoci.registry.failure import TransportFailure

        try:
            return self._answer.read(size)
        except TransportFailure as failure:
            raise _failed(failure) from failure


def _failed(failure: TransportFailure) -> ExchangeFailed:
    return ExchangeFailed(str(failure), may_pass=failure.may_pass, hint=_HINTS.get(failure.kind))
