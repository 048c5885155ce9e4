"""Blobs by digest, and the small files beside them. Thread-safe; several processes may share one store."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pyoci.digest import Digest, digest_hex, sha256_digest
from pyoci.errors import ContentError, ContentNotFound
from pyoci.store.files import full_disk_errors, locked, storage_errors, try_lock, write_atomic
from pyoci.store.tags import Tags

if TYPE_CHECKING:
    from pyoci.image import Descriptor, Document
    from pyoci.store.arriving import LeftBehind
    from pyoci.store.uploading import StoredUpload

__all__ = ["BlobWriter", "Store"]

_CHUNK = 1 << 19
"""See `content/layout.py`."""
_FOLDERS = (
    *("blobs/sha256", "blobs/sha512", "records", "indexes", "origins", "unpacked", "snapshots", "mounts"),
    *("fetched", "git", "tmp"),
)
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class BlobWriter:
    """A blob that is being written and whose digest is not known yet."""

    def __init__(self, store: Store, path: Path, stream: BinaryIO) -> None:
        self._store = store
        self.path = path
        """Where it is until then."""
        self.stream = stream

    def commit(self, descriptor: Descriptor) -> None:
        """Puts the blob under its digest. Who wrote it vouches for digest and size."""
        with storage_errors(self.path):
            self.stream.flush()
            self.path.replace(self._store.blob_path(descriptor.digest))
            self.stream.close()


class Store:
    """A directory of content. Opening it makes what is missing; it holds a shared lock until `close`."""

    def __init__(self, root: Path) -> None:
        """Opens the store at `root`.

        Raises:
            ContentError: the directory cannot be made or written.
        """
        self.root = root
        self._numbers = itertools.count()
        with storage_errors(root):
            if not (root / "oci-layout").exists():
                for folder in _FOLDERS:
                    (root / folder).mkdir(parents=True, exist_ok=True)
                (root / "tmp").chmod(0o700)
                write_atomic(root / "oci-layout", _LAYOUT, root / "tmp")
        self._lock = self._shared_lock()
        self.tags = Tags(root)

    def _shared_lock(self) -> int:
        import fcntl

        with storage_errors(self.root):
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor

    def close(self) -> None:
        """Gives up the lock; the store must not be used afterwards."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else uses the store now; if so, nobody can begin to while the block runs."""
        import fcntl

        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    # content: the ContentSource and ContentSink of everybody

    def blob_path(self, digest: Digest) -> Path:
        """Where a blob is or would be."""
        algorithm, _, encoded = digest.partition(":")
        return self.root / "blobs" / algorithm / encoded

    def has(self, descriptor: Descriptor) -> bool:
        return self.has_blob(descriptor.digest, descriptor.size)

    def has_blob(self, digest: Digest, size: int) -> bool:
        """Whether a blob of that many bytes is here."""
        try:
            return self.blob_path(digest).stat().st_size == size
        except OSError:
            return False

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's file. It was verified when it came in; its size is checked again, its digest is not."""
        path = self.blob_path(descriptor.digest)
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            raise ContentNotFound(f"{descriptor.digest} is not in the store") from None
        size = os.fstat(stream.fileno()).st_size
        if size != descriptor.size:
            stream.close()
            raise ContentError(
                f"{path} has {size} bytes, its descriptor says {descriptor.size}", hint="the file is damaged: remove it"
            )
        return stream

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        self.put_growing(descriptor, stream, lambda path: None)

    def put_growing(self, descriptor: Descriptor, stream: BinaryIO, begun: Callable[[Path], None]) -> None:
        """As `put`; tells which file it writes to. What is read of that one before its end proves nothing."""
        if self.has(descriptor):
            stream.close()
            return
        from pyoci.content.verify import verified

        with self._arriving(descriptor.digest) as blob, verified(stream, descriptor) as reader:
            begun(blob.path)
            while data := reader.read(_CHUNK):
                with storage_errors(self.root):
                    blob.stream.write(data)
            blob.commit(descriptor)

    def take_partial(self, descriptor: Descriptor) -> LeftBehind | None:
        """The beginning of a blob as far as an interrupted command had it, to be closed; None where there is none.

        Nobody else gets it meanwhile. Nothing of it was verified.
        """
        from pyoci.store.arriving import take

        return take(self.root / "tmp", descriptor)

    def take_upload(self, repository: str, descriptor: Descriptor) -> StoredUpload | None:
        """Where the upload of a blob to a repository (`registry/name`) goes on after an interrupted command, or is to
        be remembered, to be closed; None for a small blob. Nobody else gets it meanwhile.
        """
        from pyoci.store.uploading import take_upload

        return take_upload(self.root / "tmp", f"{os.getpid()}.{next(self._numbers)}", repository, descriptor)

    @contextmanager
    def _arriving(self, digest: Digest) -> Iterator[BlobWriter]:
        """As `new_blob`, of a blob whose digest is known: enough of it stays for `take_partial`."""
        from pyoci.store.arriving import arriving_path, begin, give_up

        path = self.temporary_path("blob")
        name = arriving_path(self.root / "tmp", digest, path.name.removeprefix("blob."))
        with storage_errors(path):
            stream = path.open("xb", buffering=_CHUNK)
            begin(stream, path, name)
        try:
            with full_disk_errors(name):
                yield BlobWriter(self, name, stream)
        except BaseException as error:
            with suppress(OSError, ValueError):
                stream.close()
            give_up(name, error)
            raise
        finally:
            stream.close()

    @contextmanager
    def new_blob(self) -> Iterator[BlobWriter]:
        """A blob to be written; it vanishes unless it is committed inside the block."""
        path = self.temporary_path("blob")
        with storage_errors(path):
            stream = path.open("xb", buffering=_CHUNK)
        try:
            with full_disk_errors(path):
                yield BlobWriter(self, path, stream)
        finally:
            with suppress(OSError, ValueError):
                stream.close()
            with suppress(OSError):
                path.unlink()

    def temporary_path(self, kind: str) -> Path:
        """A path in the store's file system that nothing has yet; whoever makes it removes or renames it."""
        return self.root / "tmp" / f"{kind}.{os.getpid()}.{next(self._numbers)}"

    def put_document(self, document: Document[Any]) -> Descriptor:
        """Stores a document's bytes and returns their descriptor."""
        descriptor = document.descriptor()
        if not self.has(descriptor):
            write_atomic(self.blob_path(document.digest), document.raw, self.root / "tmp")
        return descriptor

    def read(self, descriptor: Descriptor) -> bytes:
        """The bytes of a small document, verified.

        Raises:
            ContentNotFound, DigestMismatch, InvalidDocument.
        """
        from pyoci.content.limits import stored_limits
        from pyoci.content.verify import read_document

        return read_document(self.open(descriptor), descriptor, limits=stored_limits)

    # small files beside the blobs

    def read_file(self, folder: str, name: str) -> bytes | None:
        """The bytes of a small file of pyoci's own (`records`, `indexes`, …), or None where there is none."""
        try:
            return (self.root / folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write_file(self, folder: str, name: str, data: bytes) -> None:
        """Writes such a file whole."""
        write_atomic(self.root / folder / name, data, self.root / "tmp")

    def origins(self, digest: Digest) -> tuple[str, ...]:
        """Repositories (`registry/repository`) that are known to have a blob, the newest first."""
        data = self.read_file("origins", digest_hex(digest))
        return tuple(data.decode().split()) if data else ()

    def add_origin(self, digest: Digest, repository: str) -> None:
        """Remembers a repository that has a blob."""
        known = self.origins(digest)
        if known[:1] != (repository,):
            names = (repository, *(name for name in known if name != repository))[:8]
            self.write_file("origins", digest_hex(digest), "\n".join(names).encode())

    def mount_path(self, name: str) -> Path:
        """The directory of a cache mount, by a digest of its ID; made if missing."""
        path = self.root / "mounts" / hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        with storage_errors(path):
            path.mkdir(exist_ok=True)
        return path

    @contextmanager
    def lock_file(self, name: str) -> Iterator[None]:
        """Holds a named lock that other processes see; waits for it."""
        with locked(self._lock_path(name)):
            yield

    def removal_lock(self) -> AbstractContextManager[None]:
        """Held by who removes content of images, and by who names content that was there a moment ago."""
        return self.lock_file("removal")

    @contextmanager
    def private_name(self, name: str) -> Iterator[str]:
        """`name`, or the first of `name 1`, `name 2`, … that nobody else holds; held as long as the block runs."""
        for number in itertools.count():
            candidate = f"{name} {number}" if number else name
            descriptor = try_lock(self._lock_path(candidate))
            if descriptor is not None:
                try:
                    yield candidate
                finally:
                    os.close(descriptor)
                return

    def _lock_path(self, name: str) -> Path:
        return self.root / "tmp" / f"{digest_hex(sha256_digest(name.encode('utf-8', 'surrogateescape')))[:32]}.lock"
