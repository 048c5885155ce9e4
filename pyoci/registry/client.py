"""The client that one command makes: repositories that share connections, tokens and what was learnt about hosts.

Imports the HTTP library, so it is imported inside the function that needs the network.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import random as _random
from types import TracebackType
from typing import TYPE_CHECKING

from pyoci.progress import Reporter
from pyoci.reference import Reference
from pyoci.registry.credentials import Credential, CredentialFiles, CredentialSource, FixedCredentials
from pyoci.registry.hosts import HostsConfig
from pyoci.registry.leftovers import NOTHING_LEFT, Leftovers
from pyoci.registry.repository import Repository
from pyoci.registry.session import Request, Session
from pyoci.registry.spare_uploads import SpareUploads

if TYPE_CHECKING:
    from pyoci.registry.blob_sink import MountFrom

__all__ = ["RegistryClient", "check_login", "connect"]


class RegistryClient:
    """Speaks to registries as one user. May be used from several threads; closing it gives up uploads that were opened
    in vain, and frees idle connections.
    """

    def __init__(
        self,
        hosts: HostsConfig | None = None,
        credentials: CredentialSource | None = None,
        *,
        reporter: Reporter | None = None,
        cancelled: threading.Event | None = None,
        sleep: Callable[[float], None] | None = None,
        random: Callable[[], float] = _random,
        clock: Callable[[], float] = time.monotonic,
        leftovers: Leftovers = NOTHING_LEFT,
    ) -> None:
        self._leftovers = leftovers
        self._spares = SpareUploads(clock)
        event = cancelled or threading.Event()
        self._session = Session(
            hosts or HostsConfig(),
            credentials or CredentialFiles(()),
            reporter=reporter,
            sleep=sleep or _sleep_until(event),
            random=random,
            clock=clock,
            cancelled=event,
        )

    def repository(
        self, reference: Reference, *, mount_from: MountFrom | None = None, direct: bool = False
    ) -> Repository:
        """The repository of a reference; opens no connection. With `direct`, no mirror is asked for it.

        Raises:
            UsageError: the configuration blocks the name.
        """
        return Repository(
            self._session,
            reference,
            self._spares,
            mount_from=mount_from,
            leftovers=self._leftovers,
            direct=direct,
        )

    def ping(self, registry: str) -> None:
        """Proves that a registry answers to this user, as `docker login` does.

        Raises:
            Unauthorized: not with these credentials.
            RegistryError: it does not answer.
        """
        endpoint = self._session.hosts.endpoints(Reference(registry, "ping/ping"), push=True)[0]
        purpose = f"log in to {registry}"
        self._session.send(Request("GET", "/v2/", endpoint, purpose, frozenset({200}))).finish()

    def close(self) -> None:
        self._spares.close()
        self._session.close()

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def connect(
    reference: Reference,
    hosts: HostsConfig | None = None,
    credentials: CredentialSource | None = None,
    *,
    reporter: Reporter | None = None,
    mount_from: MountFrom | None = None,
) -> Repository:
    """The repository of one reference, with a client of its own.

    Raises:
        UsageError: the configuration blocks the name.
    """
    return RegistryClient(hosts, credentials, reporter=reporter).repository(reference, mount_from=mount_from)


def check_login(registry: str, credential: Credential, hosts: HostsConfig | None = None) -> None:
    """Proves that a registry accepts a credential, before it is written to a file. `registry` may have a path.

    Raises:
        Unauthorized: it does not.
        RegistryError: it does not answer.
    """
    host = registry.partition("/")[0]
    with RegistryClient(hosts, FixedCredentials({host: credential})) as client:
        client.ping(host)


def _sleep_until(cancelled: threading.Event) -> Callable[[float], None]:
    """Sleeping that an interrupt ends."""

    def sleep(seconds: float) -> None:
        cancelled.wait(seconds)

    return sleep
