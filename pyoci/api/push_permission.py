"""Whether this user may push where a build is to be pushed: asked while the build is planned and files are copied, and
known before a command runs or anything is sent.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyoci.errors import Cancelled
from pyoci.reference import Reference

if TYPE_CHECKING:
    from pyoci.api.services import Services

__all__ = ["PushPermission", "push_permission"]

_PATIENCE_SECONDS = 5
"""How long a build that failed otherwise waits for a question under way, so that no opened upload stays behind."""


class PushPermission:
    """The answers of all registries. May be used from several threads."""

    def __init__(self, repositories: Iterable[Reference], services: Services) -> None:
        self._repositories = tuple(repositories)
        self._services = services
        self._thread: threading.Thread | None = None
        self.refusal: BaseException | None = None

    def ask(self) -> None:
        """Asks in the background. A refusal cancels what the services are used for."""
        if self._repositories:
            self._thread = threading.Thread(target=self._ask, name="push permission", daemon=True)
            self._thread.start()

    def _ask(self) -> None:
        try:
            for reference in self._repositories:
                self._services.client.repository(reference).check_push()
        except BaseException as refusal:
            self.refusal = refusal
            self._services.cancelled.set()

    def wait(self) -> None:
        """Returns when all have answered.

        Raises:
            RegistryError, Unauthorized, UsageError: what the first answered that cannot be pushed to.
        """
        if self._thread is not None:
            self._thread.join()
        if self.refusal is not None:
            raise self.refusal

    def check(self) -> None:
        """As `wait`, of a part of the build, which is not what the refusal is about.

        Raises:
            Cancelled: where `wait` raises something else.
        """
        try:
            self.wait()
        except BaseException:
            raise Cancelled from None

    def settle(self) -> None:
        """Waits for the question under way, but not for long."""
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECONDS)


@contextmanager
def push_permission(names: Iterable[Reference], services: Services) -> Iterator[PushPermission]:
    """Asks the registry of every repository once, as long as the block runs. Without names nothing is asked, and no
    HTTP library is imported.

    Raises:
        RegistryError, Unauthorized, UsageError: a refusal, where it cancelled the block.
    """
    permission = PushPermission({name.name: name for name in names}.values(), services)
    permission.ask()
    try:
        yield permission
    except BaseException as error:
        services.cancelled.set()
        if permission.refusal is not None and isinstance(error, Cancelled):
            raise permission.refusal from None
        raise
    finally:
        permission.settle()
