"""Which mirrors have failed in the course of a command, so that each costs its time and its message once."""

from __future__ import annotations

import threading

from pyoci.errors import ContentError, ContentNotFound, RegistryError
from pyoci.progress import Reporter
from pyoci.registry.hosts import Endpoint

__all__ = ["FailedMirrors"]


class FailedMirrors:
    """Mirrors that are not asked again. May be used from several threads.

    One that lacks something is asked for other things. One that refuses this user, or gives wrong bytes, is left out
    for the repository; one that is down or overloaded, for all that it mirrors.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._lock = threading.Lock()
        self._hosts: set[str] = set()
        self._places: set[Endpoint] = set()

    def __contains__(self, endpoint: Endpoint) -> bool:
        return endpoint.host in self._hosts or endpoint in self._places

    def add(self, endpoint: Endpoint, error: RegistryError | ContentError) -> None:
        """Leaves a mirror out if the error is a reason to, and tells the user so: with a warning where what it gives
        is wrong, for then nothing else will tell.
        """
        if isinstance(error, ContentNotFound) or (isinstance(error, RegistryError) and error.status == 404):
            return
        with self._lock:
            new = endpoint not in self
            self._places.add(endpoint)
            if isinstance(error, RegistryError) and _is_down(error):
                self._hosts.add(endpoint.host)
        if not new:
            return
        text = f"mirror {endpoint.registry} is left out: {error.message}"
        if isinstance(error, ContentError):
            self._reporter.warning(text)
        else:
            self._reporter.message(text)


def _is_down(error: RegistryError) -> bool:
    return error.status in (0, 429) or error.status >= 500
