"""Manifests that belong to a repository and have no tag: signatures and other referrers that a client pushed by digest.

`pyoci serve` writes them down here, and collecting garbage leaves them alone. Each repository has a small image index
of its own, `kept/DIGEST-OF-THE-NAME`, whose one annotation is the repository's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pyoci.digest import Digest, digest_hex, sha256_digest
from pyoci.errors import ContentError, InvalidDocument
from pyoci.image import Index, decode_index, encode_index
from pyoci.image.descriptor import Descriptor
from pyoci.store.files import storage_errors
from pyoci.values import replace

if TYPE_CHECKING:
    from pyoci.store.store import Store

__all__ = ["KeptManifests"]

_FOLDER = "kept"
_NAME = "io.pyoci.repository"


class KeptManifests:
    """What is kept in one store. Safe to use from several threads and processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, name: str) -> tuple[Descriptor, ...]:
        """The manifests of a repository (`docker.io/library/app`), in the order in which they came."""
        raw = self._store.read_file(_FOLDER, _file(name))
        if raw is None:
            return ()
        try:
            return decode_index(raw).value.manifests
        except InvalidDocument as error:
            path = self._store.root / _FOLDER / _file(name)
            raise ContentError(f"{path} is damaged: {error.message}", hint="remove it; the blobs stay") from error

    def all(self) -> Iterator[Descriptor]:
        """Every manifest of every repository. A file that cannot be read keeps nothing."""
        folder = self._store.root / _FOLDER
        with suppress(FileNotFoundError):
            for path in folder.iterdir():
                with suppress(ContentError, OSError):
                    yield from decode_index(path.read_bytes()).value.manifests

    def add(self, name: str, descriptor: Descriptor) -> None:
        """Keeps a manifest; idempotent."""
        with self._store.lock_file(f"kept {name}"):
            before = self.of(name)
            if all(entry.digest != descriptor.digest for entry in before):
                self._write(name, (*before, replace(descriptor, annotations={}, platform=None)))

    def remove(self, name: str, digests: Sequence[Digest]) -> None:
        """Keeps these no longer; those that were not kept are passed over."""
        with self._store.lock_file(f"kept {name}"):
            before = self.of(name)
            after = tuple(entry for entry in before if entry.digest not in digests)
            if len(after) != len(before):
                self._write(name, after)

    def _write(self, name: str, manifests: tuple[Descriptor, ...]) -> None:
        path = self._store.root / _FOLDER / _file(name)
        with storage_errors(path):
            path.parent.mkdir(exist_ok=True)
            if not manifests:
                path.unlink(missing_ok=True)
                return
        self._store.write_file(_FOLDER, _file(name), encode_index(Index(manifests, {_NAME: name})).raw)


def _file(name: str) -> str:
    return digest_hex(sha256_digest(name.encode()))[:32]
