"""Blobs on their way into one repository: mounted where the registry has them elsewhere, sent where not.

Spec: distribution-spec, "Pushing Blobs", "Mounting a blob from another repository".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import BinaryIO
from urllib.parse import urlencode

from pyoci.digest import Digest, sha256_digest
from pyoci.errors import Unauthorized
from pyoci.image.descriptor import Descriptor
from pyoci.registry.exchange import Exchange
from pyoci.registry.leftovers import Leftovers
from pyoci.registry.scopes import repository_scope
from pyoci.registry.session import Session
from pyoci.registry.spare_uploads import SPARE_BYTES, SpareUploads
from pyoci.registry.upload import BlobUpload, UploadSession

__all__ = ["BlobSink", "MountFrom"]

MountFrom = Callable[[Descriptor], Sequence[str]]
"""Repositories of the same registry that may have a blob, likeliest first: `library/alpine`."""

_MOUNT_ANSWERS = frozenset({201, 202, 400, 401, 403, 404, 405})


class BlobSink:
    """What a repository knows of the uploads to it. May be used from several threads."""

    def __init__(
        self,
        session: Session,
        exchange: Exchange,
        spares: SpareUploads,
        *,
        mount_from: MountFrom | None,
        leftovers: Leftovers,
    ) -> None:
        self._session = session
        self._exchange = exchange
        self._spares = spares
        self._mount_from = mount_from
        self._leftovers = leftovers
        self._lock = threading.Lock()
        self._opened: dict[Digest, UploadSession] = {}

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        """As `Repository.put`, of a blob."""
        with self._lock:
            opened = self._opened.pop(descriptor.digest, None)
        writer = self._exchange.writer()
        if opened is None and descriptor.size <= SPARE_BYTES:
            opened = self._spares.take(writer)
        kept = self._leftovers.take_upload(writer.name, descriptor)
        self._upload(descriptor).send(stream, opened, kept)

    def mount(self, descriptor: Descriptor) -> bool:
        """As `Repository.mount`, of a blob."""
        if self._mount_from is None:
            return False
        endpoint = self._exchange.writer()
        for origin in self._mount_from(descriptor):
            if origin == endpoint.repository:
                continue
            request = self._exchange.request(
                "POST",
                endpoint,
                f"blobs/uploads/?{urlencode({'mount': descriptor.digest, 'from': origin})}",
                f"mount {descriptor.digest} from {origin}",
                _MOUNT_ANSWERS,
                extra_scopes=(repository_scope(origin, "pull"),),
            )
            try:
                answer = self._session.send(request)
            except Unauthorized:
                continue  # the token server knows us, but not for the other repository
            answer.finish()
            if answer.status in (201, 202):
                opened = None if answer.status == 201 else self._upload(descriptor).opened_by(answer)
                self._keep(descriptor, opened)
            if answer.status == 201:
                return True
        return False

    def check(self, name: str) -> None:
        """Opens an upload, to see whether the repository called `name` may be pushed to, and keeps it.

        Raises:
            Unauthorized, RegistryError: as `Repository.check_push`.
        """
        nothing = Descriptor("application/octet-stream", sha256_digest(b""), 0)
        self._spares.keep(self._exchange.writer(), self._upload(nothing, f"push to {name}"))

    def _keep(self, descriptor: Descriptor, opened: UploadSession | None) -> None:
        """Keeps an upload that a mount has opened, and cancels the one that an earlier try has left."""
        with self._lock:
            before = self._opened.pop(descriptor.digest, None)
            if opened is not None:
                self._opened[descriptor.digest] = opened
        if before is not None:
            self._upload(descriptor).cancel(before)

    def _upload(self, descriptor: Descriptor, purpose: str = "") -> BlobUpload:
        endpoint = self._exchange.writer()
        purpose = purpose or f"push {self._exchange.spelled(descriptor.digest)}"
        return BlobUpload(self._session, endpoint, descriptor, self._exchange.scopes(endpoint), purpose)
