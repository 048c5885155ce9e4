"""Blobs on their way in: one file each, hashed while it is written, bounded in number, size and time.

What arrived of a request that broke counts: the client asks how far it got and goes on from there. When two requests
write to one upload, the later one has it: the earlier is most likely a connection that the client has given up.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

from pyoci.digest import Digest
from pyoci.image.descriptor import Descriptor
from pyoci.serve.ranges import received_range
from pyoci.serve.refusals import Refused
from pyoci.serve.repositories import BLOB_TYPE
from pyoci.store.files import storage_errors
from pyoci.values import dataclass

__all__ = ["Limits", "Upload", "Uploads"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server lets clients do."""

    blob_bytes: int = 64 << 30
    manifest_bytes: int = 4 << 20
    uploads: int = 100
    """Begun and not finished."""
    idle_seconds: float = 3600
    """After this long without a request, an upload is forgotten."""
    stall_seconds: float = 60
    """A request that does not move for this long is ended, and so is an answer that nobody takes."""
    connections: int = 500


class Upload:
    """One upload. Its methods may be called from several threads; `turn` says whose bytes count."""

    def __init__(self, identity: str, repository: str, path: Path, limits: Limits, clock: Callable[[], float]) -> None:
        self.identity = identity
        self.repository = repository
        self._path = path
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._hash = hashlib.sha256()
        self._turn = 0
        self.size = 0
        """Bytes that arrived."""
        self.last_used = clock()
        with storage_errors(path):
            self._file = path.open("xb", buffering=0)

    def begin(self) -> int:
        """Gives the upload to the caller: what others write from now on is refused."""
        with self._lock:
            return self._next_turn()

    def begin_at(self, start: int) -> int | None:
        """The same for bytes that are to begin at `start`; None, and no more, if the upload ends elsewhere."""
        with self._lock:
            return self._next_turn() if start == self.size else None

    def _next_turn(self) -> int:
        self._turn += 1
        self.last_used = self._clock()
        return self._turn

    def append(self, turn: int, data: bytes) -> None:
        """Adds bytes at the end.

        Raises:
            Refused: another request has the upload now, it has ended, or it grows too large.
            ContentError: they cannot be written; the upload is of no use any more.
        """
        with self._lock:
            self._check(turn)
            if self.size + len(data) > self._limits.blob_bytes:
                self._end()
                raise Refused(
                    413, "SIZE_INVALID", f"a blob may have {self._limits.blob_bytes} bytes here, this one has more"
                )
            view = memoryview(data)
            try:
                with storage_errors(self._path):
                    while view:
                        view = view[self._file.write(view) or 0 :]
            except BaseException:
                self._end()
                raise
            self._hash.update(data)
            self.size += len(data)
            self.last_used = self._clock()

    def finish(self, turn: int, digest: Digest) -> tuple[Path, Descriptor]:
        """The whole file and what it is, if it has the digest; it belongs to the caller then.

        Raises:
            Refused: it has another digest (the file is gone then), or as `append`.
        """
        with self._lock:
            self._check(turn)
            algorithm = digest.partition(":")[0]
            found = f"sha256:{self._hash.hexdigest()}" if algorithm == "sha256" else self._hashed_again(algorithm)
            if found != digest:
                self._end()
                raise Refused(
                    400,
                    "DIGEST_INVALID",
                    f"the {self.size} bytes that arrived have the digest {found}, not {digest}",
                    detail={"digest": digest},
                )
            self._file.close()
            return self._path, Descriptor(BLOB_TYPE, digest, self.size)

    def _hashed_again(self, algorithm: str) -> str:
        with self._path.open("rb") as file:
            return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"

    def discard(self) -> None:
        """Ends the upload and removes its file. May be called twice."""
        with self._lock:
            self._end()

    def _check(self, turn: int) -> None:
        if self._file.closed:
            raise _unknown(self.identity)
        if turn != self._turn:
            raise Refused(
                409, "BLOB_UPLOAD_INVALID", "another request is writing to this upload", headers=self.headers()
            )

    def _end(self) -> None:
        if not self._file.closed:
            self._file.close()
            with suppress(OSError):
                self._path.unlink()

    def headers(self) -> dict[str, str]:
        """Where and how far the upload is, as every answer about it says."""
        return {"Range": received_range(self.size), "Docker-Upload-UUID": self.identity}


class Uploads:
    """The uploads of one server."""

    def __init__(self, scratch: Callable[[], Path], limits: Limits, *, clock: Callable[[], float] = monotonic) -> None:
        self._scratch = scratch
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}
        self._closed = False

    def begin(self, repository: str) -> Upload:
        """A new upload to a repository.

        Raises:
            Refused: there are too many already.
            ContentError: the disk takes no file.
        """
        self.expire()
        with self._lock:
            if self._closed:
                raise Refused(503, "UNKNOWN", "the server is ending")
            if len(self._uploads) >= self._limits.uploads:
                raise Refused(
                    429,
                    "TOOMANYREQUESTS",
                    f"{self._limits.uploads} uploads are under way, which is as many as may be",
                    headers={"Retry-After": "5"},
                )
            upload = Upload(secrets.token_hex(16), repository, self._scratch(), self._limits, self._clock)
            self._uploads[upload.identity] = upload
            return upload

    def find(self, repository: str, identity: str) -> Upload:
        """An upload under way.

        Raises:
            Refused: the repository has no such one (any more).
        """
        self.expire()
        with self._lock:
            upload = self._uploads.get(identity)
        if upload is None or upload.repository != repository:
            raise _unknown(identity)
        return upload

    def remove(self, upload: Upload) -> None:
        """Forgets an upload, and removes its file if it was not taken."""
        with self._lock:
            self._uploads.pop(upload.identity, None)
        upload.discard()

    def expire(self) -> None:
        """Forgets what was abandoned."""
        oldest = self._clock() - self._limits.idle_seconds
        with self._lock:
            abandoned = [upload for upload in self._uploads.values() if upload.last_used < oldest]
        for upload in abandoned:
            self.remove(upload)

    def close(self) -> None:
        """Removes all of them; no further one begins."""
        with self._lock:
            self._closed = True
            left = list(self._uploads.values())
        for upload in left:
            self.remove(upload)

    def __len__(self) -> int:
        return len(self._uploads)


def _unknown(identity: str) -> Refused:
    return Refused(
        404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload, or not any more", detail={"upload": identity[:64]}
    )
