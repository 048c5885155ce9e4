"""Uploads that were opened to see whether that is allowed: the first small thing to send goes into them.

Registries that are asked whether they take pushes have no cheaper answer than an upload that they open. Given up at
once it would cost a request now, and another when there is something to send.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyoci.registry.hosts import Endpoint
from pyoci.values import dataclass

if TYPE_CHECKING:
    from pyoci.registry.upload import BlobUpload, UploadSession

__all__ = ["SPARE_BYTES", "SpareUploads"]

SPARE_BYTES = 64 * 1024
"""What is larger gets an upload of its own: should the registry have forgotten this one, little is sent in vain."""
_YOUNG_SECONDS = 60.0
"""Registries forget uploads in time, the most forgetful within minutes."""
_PATIENCE_SECONDS = 5.0
"""How long the end of a command waits for uploads to be given up."""


@dataclass(frozen=True, slots=True)
class _Spare:
    upload: BlobUpload
    state: UploadSession
    opened_at: float

    def give_up(self) -> None:
        self.upload.cancel(self.state)


class SpareUploads:
    """At most one for each repository. May be used from several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._spares: dict[Endpoint, _Spare] = {}

    def keep(self, endpoint: Endpoint, upload: BlobUpload) -> None:
        """Opens the upload and keeps it.

        Raises:
            RegistryError: the registry does not open it.
        """
        new = _Spare(upload, upload.open(), self._clock())
        with self._lock:
            old = self._spares.pop(endpoint, None)
            self._spares[endpoint] = new
        if old is not None:
            old.give_up()

    def take(self, endpoint: Endpoint) -> UploadSession | None:
        """An upload that is open, for whoever sends something into it now; None if there is none."""
        with self._lock:
            spare = self._spares.pop(endpoint, None)
        if spare is None:
            return None
        if self._clock() - spare.opened_at > _YOUNG_SECONDS:
            spare.give_up()
            return None
        return spare.state

    def close(self) -> None:
        """Gives up what nobody took."""
        with self._lock:
            spares, self._spares = list(self._spares.values()), {}
        threads = [threading.Thread(target=spare.give_up, name="spare upload", daemon=True) for spare in spares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_PATIENCE_SECONDS)
