"""Whether this user may push where a build is to be pushed, asked while the build is planned and before it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyoci.reference import Reference

if TYPE_CHECKING:
    from pyoci.api.services import Services

__all__ = ["push_permission"]

_PATIENCE_SECONDS = 5
"""How long a build that failed otherwise waits for a question under way, so that no opened upload stays behind."""


@contextmanager
def push_permission(names: Iterable[Reference], services: Services) -> Iterator[Callable[[], None]]:
    """Asks the registry of every repository once, in the background; what is given waits for the answers.

    It raises what the first repository that cannot be pushed to answered (RegistryError, Unauthorized, UsageError).
    Without names nothing is asked, and no HTTP library is imported.
    """
    repositories = {name.name: name for name in names}
    if not repositories:
        yield lambda: None
        return
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for reference in repositories.values():
                services.client.repository(reference).check_push()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=ask, name="push permission", daemon=True)
    thread.start()

    def wait() -> None:
        thread.join()
        if failures:
            raise failures[0]

    try:
        yield wait
    except BaseException:
        services.cancelled.set()
        raise
    finally:
        thread.join(_PATIENCE_SECONDS)
