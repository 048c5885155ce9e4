"""What one call of the API works with, made when it is first needed: a cached build opens no connection and no worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pyoci.environment import Environment, current_environment
from pyoci.progress import Reporter
from pyoci.resolver import Origins, Resolver
from pyoci.store import Store

if TYPE_CHECKING:
    from pyoci.api.web import Web
    from pyoci.registry.client import RegistryClient
    from pyoci.registry.hosts import HostsConfig
    from pyoci.sandbox.protocols import Sandbox
    from pyoci.sandbox.worker import Worker
    from pyoci.snapshot.protocols import Snapshotter

__all__ = ["Options", "Services", "opened"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to work, whatever is asked for."""

    environment: Environment = field(default_factory=current_environment)
    reporter: Reporter = field(default_factory=Reporter)
    insecure_registries: tuple[str, ...] = ()
    """Hosts that may speak plain HTTP, or TLS that cannot be verified."""
    ca_files: tuple[Path, ...] = ()
    """Certificate authorities to trust beside the system's."""
    config: Path | None = None
    """A configuration file instead of the user's."""
    offline: bool = False
    """Any use of the network is an error."""
    isolation: str = ""
    """A rung of the sandbox's ladder; empty takes the best that works here."""


class Services:
    """Made by `opened`; closed with everything that it started."""

    def __init__(self, options: Options, *, pull: bool = False) -> None:
        self.options = options
        self.environment = options.environment
        self.reporter = options.reporter
        self.cancelled = threading.Event()
        self.store = Store(options.environment.store)
        self.origins = Origins(self.store, lambda: self.client, offline=options.offline)
        self.resolver = Resolver(
            self.store,
            self.origins,
            lambda: self.client,
            pull=pull,
            offline=options.offline,
            reporter=options.reporter,
        )

    @cached_property
    def hosts(self) -> HostsConfig:
        """Where registries are and whom to trust."""
        from pyoci.api.settings import hosts_config

        return hosts_config(self.options)

    @cached_property
    def client(self) -> RegistryClient:
        """The registry client. Using it imports the HTTP library."""
        from pyoci.api.settings import credential_source
        from pyoci.registry.client import RegistryClient

        return RegistryClient(
            self.hosts, credential_source(self.environment), reporter=self.reporter, cancelled=self.cancelled
        )

    @cached_property
    def web(self) -> Web:
        """Requests that go to no registry. Using it imports the HTTP library."""
        from pyoci.api.web import Web

        return Web(lambda: self.hosts)

    @cached_property
    def worker(self) -> Worker:
        """The process in which everything that needs a namespace happens. Started by its first request."""
        from pyoci.api.isolation import make_worker

        return make_worker(self.options)

    @cached_property
    def sandbox(self) -> Sandbox:
        """Runs processes."""
        from pyoci.api.isolation import make_sandbox

        return make_sandbox(self.worker, self.options)

    @cached_property
    def snapshotter(self) -> Snapshotter:
        """Root file systems over layers, and what changed in them."""
        from pyoci.snapshot.snapshotter import StoreSnapshotter

        return StoreSnapshotter(self.store, self.resolver.content, lambda: self.worker)

    def close(self) -> None:
        """Ends the worker, closes connections, gives the store up."""
        made: Mapping[str, object] = self.__dict__
        if "worker" in made:
            self.worker.close()
        if "client" in made:
            self.client.close()
        if "web" in made:
            self.web.close()
        self.store.close()


@contextmanager
def opened(options: Options | None, *, pull: bool = False) -> Iterator[Services]:
    """Services for one call."""
    services = Services(options or Options(), pull=pull)
    try:
        yield services
    finally:
        services.close()
