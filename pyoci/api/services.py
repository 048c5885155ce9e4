"""What one call of the API works with, made when it is needed: a cached build opens no connection and no worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from pyoci.api.options import Options
from pyoci.environment import epoch_seconds
from pyoci.store import Store

if TYPE_CHECKING:
    from pyoci.api.isolation import Isolation
    from pyoci.api.settings import GivenCredentials
    from pyoci.api.web import Web
    from pyoci.build.trees import Trees
    from pyoci.content.limits import ContentLimits
    from pyoci.registry.client import RegistryClient
    from pyoci.registry.hosts import HostsConfig
    from pyoci.resolver import Origins, Resolver
    from pyoci.sandbox.protocols import Sandbox
    from pyoci.sandbox.worker import Worker
    from pyoci.snapshot.snapshotter import StoreSnapshotter

__all__ = ["Options", "Services", "opened"]

T = TypeVar("T")


class _once(Generic[T]):  # noqa: N801 (used like `property`)
    """A property that is computed when it is first read, by one thread whoever else asks."""

    def __init__(self, compute: Callable[[Services], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> _once[T]: ...

    @overload
    def __get__(self, instance: Services, owner: type) -> T: ...

    def __get__(self, instance: Services | None, owner: type) -> T | _once[T]:
        if instance is None:
            return self
        if self._name not in instance.made:
            with instance.alone_with(self._name):
                if self._name not in instance.made:
                    instance.made[self._name] = self._compute(instance)
        value: T = instance.made[self._name]
        return value


class Services:
    """Made by `opened`; closed with everything that it started."""

    def __init__(self, options: Options, *, pull: bool = False) -> None:
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._beginning: threading.Thread | None = None
        self.made: dict[str, Any] = {}
        """What was needed so far, by name."""
        self.options = options
        self.environment = options.environment
        self.reporter = options.reporter
        self.cancelled = threading.Event()
        self.store = Store(options.environment.store)
        self._pull = pull

    @_once
    def origins(self) -> Origins:
        """Where content is that the store does not have."""
        from pyoci.resolver import Origins

        return Origins(self.store, lambda: self.client, offline=self.options.offline)

    @_once
    def resolver(self) -> Resolver:
        """What names of images mean."""
        from pyoci.resolver import Resolver

        return Resolver(
            self.store,
            self.origins,
            lambda: self.client,
            pull=self._pull,
            offline=self.options.offline,
            reporter=self.reporter,
            limits=self.limits,
        )

    def limits(self) -> ContentLimits:
        """How much an image that comes from anywhere may be. Asking reads the configuration."""
        return self.hosts.content_limits

    @_once
    def hosts(self) -> HostsConfig:
        """Where registries are and whom to trust."""
        from pyoci.api.settings import hosts_config

        return hosts_config(self.options)

    @_once
    def credentials(self) -> GivenCredentials:
        """Who the user is at registries, and what was told to them."""
        from pyoci.api.settings import GivenCredentials, credential_source

        return GivenCredentials(credential_source(self.environment, self.reporter.warning))

    @_once
    def client(self) -> RegistryClient:
        """The registry client. Using it imports the HTTP library."""
        from pyoci.registry.client import RegistryClient

        return RegistryClient(
            self.hosts,
            self.credentials,
            reporter=self.reporter,
            cancelled=self.cancelled,
            leftovers=self.store,
        )

    @_once
    def web(self) -> Web:
        """Requests that go to no registry. Using it imports the HTTP library."""
        from pyoci.api.web import Web

        return Web(lambda: self.hosts)

    @_once
    def isolation(self) -> Isolation:
        """How steps are isolated on this machine: probed when the first one runs."""
        from pyoci.api.isolation import find_isolation

        return find_isolation(self.options, self.store)

    @_once
    def worker(self) -> Worker:
        """The process in which everything that needs a namespace happens. Started by its first request."""
        return self.isolation.worker()

    @_once
    def sandbox(self) -> Sandbox:
        """Runs processes."""
        return self.isolation.sandbox(self.worker, self.reporter.warning)

    @_once
    def snapshotter(self) -> StoreSnapshotter:
        """Root file systems over layers, and what changed in them."""
        from pyoci.build.layers import layer_of_snapshot, write_changes
        from pyoci.snapshot.snapshotter import StoreSnapshotter

        epoch = epoch_seconds(self.environment.source_date_epoch) or 0
        return StoreSnapshotter(
            self.store.root,
            self.resolver.content,
            lambda: self.worker,
            lambda: self.isolation,
            stacks=lambda: self.trees,
            write_layer=lambda changes, opener: write_changes(changes, opener, self.store, epoch=epoch),
            as_layer=lambda snapshot: layer_of_snapshot(snapshot, self.store, self.snapshotter, epoch=epoch),
            warn=self.reporter.warning,
            limits=lambda: self.hosts.limits,
        )

    @_once
    def trees(self) -> Trees:
        """Merged metadata of file systems."""
        from pyoci.build.trees import Trees

        return Trees(self.store, self.resolver.content, self.snapshotter, lambda: self.hosts.limits)

    def alone_with(self, name: str) -> threading.Lock:
        """Held by the thread that makes the thing of that name; things that do not need each other are made at once."""
        with self._lock:
            return self._making.setdefault(name, threading.Lock())

    def begin_worker(self) -> None:
        """Begins to start the worker and returns: a step will need it, and waits for something else before that. What
        goes wrong is told to whoever needs the worker then.
        """
        with self._lock:
            if self._beginning is not None:
                return
            self._beginning = threading.Thread(target=self._prepare_worker, name="worker", daemon=True)
            self._beginning.start()

    def _prepare_worker(self) -> None:
        from pyoci.errors import PyociError
        from pyoci.snapshot.snapshotter import READ_BACK

        with suppress(PyociError):
            self.worker.prepare(READ_BACK)

    def close(self) -> None:
        """Ends the worker, closes connections, gives the store up."""
        if self._beginning is not None:
            self._beginning.join()
        if "worker" in self.made:
            self.worker.close()
        if "client" in self.made:
            self.client.close()
        if "web" in self.made:
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
