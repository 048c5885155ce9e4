"""Images given out by a registry of our own: `pyoci serve`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pyoci.api.options import Options
from pyoci.api.services import Services, opened
from pyoci.errors import UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from pyoci.serve.access import Users
    from pyoci.serve.inventory import Inventory, WritableInventory
    from pyoci.serve.server import Address, Server
    from pyoci.serve.uploads import Limits, Uploads

__all__ = ["Served", "serve"]

_SHOWN = 5


class Served:
    """A running registry, from `serve`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.url = server.url
        """`http://127.0.0.1:5000`, with the port that was taken."""
        self.address = str(server.address)
        """`127.0.0.1:5000`: what names of images begin with."""

    def wait(self) -> None:
        """Blocks for as long as the server runs: until it is interrupted.

        Raises:
            PyociError: the server ended because of an error.
        """
        self._server.wait()


@contextmanager
def serve(
    source: str = "",
    *,
    listen: str = "127.0.0.1:5000",
    write: bool = False,
    delete: bool = False,
    certificate: str | Path = "",
    key: str | Path = "",
    htpasswd: str | Path = "",
    user: str = "",
    password: str = "",
    limits: Limits | None = None,
    options: Options | None = None,
) -> Iterator[Served]:
    """A registry of distribution-spec 1.1 that runs until the block ends; needs the packages of the extra `serve`.

    `source` is empty for the store, or `oci-layout:DIR`, which cannot be written. `HOST:PORT/NAME` at the server is the
    image that pyoci calls NAME; port 0 takes a free one. Layers of the store's images that were never fetched are
    fetched when somebody asks for them, unless `options.offline`.

    Raises:
        UsageError: a package is missing, the address cannot be listened on, a file cannot be used, or what is asked for
            contradicts itself.
        ContentError: the store or layout cannot be used.
    """
    _check_packages()
    from pyoci.serve.server import Server, parse_address, server_context
    from pyoci.serve.uploads import Limits, Uploads

    if delete and not write:
        raise UsageError("deleting needs writing", hint="add --write")
    if bool(certificate) != bool(key):
        raise UsageError("TLS needs a certificate and its key", hint="give both --tls-cert and --tls-key")
    with opened(options) as services, ExitStack() as ending:
        limits = limits or Limits(manifest_bytes=services.limits().document_bytes)
        environment = services.environment
        users = _users(environment.path(htpasswd) if htpasswd else None, user, password)
        inventory, writable = _inventory(source, services, write=write)
        context = server_context(environment.path(certificate), environment.path(key)) if certificate else None
        server = Server(parse_address(listen), context)
        uploads = Uploads(writable.scratch, limits) if writable is not None else None
        # Called in the opposite order: who writes to an upload is ended before its file is removed.
        if uploads is not None:
            ending.callback(uploads.close)
        ending.callback(server.stop)
        ending.callback(services.cancelled.set)
        _warn(services, server.address, open_to_all=users is None, write=write, plain=context is None)
        app = _application(services, server, inventory, writable, uploads, limits, users, delete=delete)
        tick = uploads.expire if uploads is not None else _nothing
        server.start(app, connections=limits.connections, idle_seconds=limits.stall_seconds, tick=tick)
        yield Served(server)


def _application(
    services: Services,
    server: Server,
    inventory: Inventory,
    writable: WritableInventory | None,
    uploads: Uploads | None,
    limits: Limits,
    users: Users | None,
    *,
    delete: bool,
) -> ASGIApp:
    """What the server answers; tells of images that nobody can ask it for."""
    from pyoci.serve.application import application
    from pyoci.serve.endpoints import PullEndpoints, PushEndpoints
    from pyoci.serve.pushes import Pushes
    from pyoci.serve.repositories import Repositories
    from pyoci.serve.server import own_addresses

    shown = Repositories(inventory, addresses=own_addresses(server.address))
    unnamed = [reference.familiar for reference in shown.unnamed()]
    if unnamed:
        more = f" and {len(unnamed) - _SHOWN} more" if len(unnamed) > _SHOWN else ""
        services.reporter.warning(
            f"{', '.join(unnamed[:_SHOWN])}{more}: found only by clients that reach this server under such a "
            "name; pyoci tag gives another"
        )
    push = None
    if writable is not None and uploads is not None:
        push = PushEndpoints(shown, Pushes(shown, writable, services.reporter), uploads, limits)
    return application(PullEndpoints(shown, limits), push, delete=delete, users=users, reporter=services.reporter)


def _nothing() -> None:
    return


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"pyoci serve needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint="pip install '.[serve]' in a checkout of pyoci, or pip install starlette uvicorn bcrypt",
        )


def _inventory(source: str, services: Services, *, write: bool) -> tuple[Inventory, WritableInventory | None]:
    """What is served, and the same again if clients may change it."""
    from pyoci.serve.inventory import LayoutInventory, StoreInventory

    if source in ("", "store"):
        content = services.store if services.options.offline else services.resolver.located
        found = StoreInventory(services.store, content, services.cancelled)
        return found, found if write else None
    from pyoci.api.places import LayoutPlace, parse_place
    from pyoci.content.layout import DirectoryLayout

    place = parse_place(source, services.environment)
    if not isinstance(place, LayoutPlace) or place.name:
        raise UsageError(f'"{source}" cannot be served', hint="name nothing for the store, or oci-layout:DIR")
    if write:
        raise UsageError(
            "a layout is served for reading",
            hint="serve the store with --write, then pyoci copy store:NAME oci-layout:DIR:NAME",
        )
    layout = DirectoryLayout(place.path, limits=services.limits)
    layout.index()
    return LayoutInventory(layout), None


def _users(htpasswd: Path | None, user: str, password: str) -> Users | None:
    from pyoci.serve.access import PlainPassword, Users, read_htpasswd

    if bool(user) != bool(password):
        raise UsageError("a user needs a password" if user else "a password needs a user", hint="give both")
    if htpasswd is None and not user:
        return None
    known = read_htpasswd(htpasswd) if htpasswd is not None else {}
    return Users({**known, user: PlainPassword(password)} if user else known)


def _warn(services: Services, address: Address, *, open_to_all: bool, write: bool, plain: bool) -> None:
    """Tells what others on the network may do or see."""
    if address.is_loopback:
        return
    if open_to_all:
        what = "pull from and push to" if write else "pull from"
        services.reporter.warning(f"everybody who reaches {address} may {what} it; --htpasswd asks for a password")
    elif plain:
        services.reporter.warning(f"passwords travel to {address} unencrypted; --tls-cert and --tls-key encrypt them")
