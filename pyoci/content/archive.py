"""Images in one file: OCI archives and what `docker save` wrote in all its years, as a source that unpacks nothing.

Headers are read once; after that every piece of content is a region of the file.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from pyoci.content.docker_archive import read_docker_manifest
from pyoci.content.layout import check_layout_version
from pyoci.content.limits import ContentLimitsOf, default_limits, how_to_raise
from pyoci.content.names import find_root, images_of, tags_of, with_name
from pyoci.content.outer import seekable
from pyoci.content.referrers import referrers_among
from pyoci.content.sniff import document_descriptor
from pyoci.content.successors import successors
from pyoci.content.tar_index import Member, TarIndex, index_tar
from pyoci.content.verify import VerifyingReader, read_document
from pyoci.digest import Digest, parse_digest
from pyoci.errors import ContentError, ContentNotFound, InvalidDocument
from pyoci.image import decode_config, decode_index, decode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.reference import parse_reference

__all__ = ["ArchiveContent", "open_archive"]

_BUFFER = 1 << 16
"""Larger reads than this go past the buffer."""
_LIMIT_BYTES = 1 << 40


def open_archive(
    source: Path | BinaryIO,
    *,
    scratch: Path,
    limit_bytes: int = _LIMIT_BYTES,
    limits: ContentLimitsOf = default_limits,
) -> ArchiveContent:
    """An archive of images, to be closed. A stream is read to its end; it may be compressed, and so may a file.

    What is compressed, or comes through a pipe, is first unpacked to a nameless file in the directory `scratch`, of at
    most `limit_bytes`. Everything else is read where it lies; `limits` says how large its documents may be.

    Raises:
        ContentError: it is no archive of images, is damaged or cut short, or unpacks to too much.
        InvalidDocument: its index or manifests break their specifications.
    """
    where = str(source) if isinstance(source, Path) else "the archive"
    descriptor, size = seekable(source, scratch=scratch, where=where, limit_bytes=limit_bytes)
    try:
        return ArchiveContent(descriptor, size, where, limits)
    except BaseException:
        os.close(descriptor)
        raise


class _Region(io.RawIOBase):
    """Part of a file, read at its own position: many may be open at once, in several threads."""

    def __init__(self, descriptor: int, member: Member) -> None:
        super().__init__()
        self._descriptor = os.dup(descriptor)
        self._offset = member.offset
        self._end = member.offset + member.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)[: self._end - self._offset]
        count = os.preadv(self._descriptor, [view], self._offset) if view else 0
        self._offset += count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class ArchiveContent:
    """A ContentSource over one archive. Streams that it opened stay usable when it is closed."""

    def __init__(self, descriptor: int, size: int, where: str, limits: ContentLimitsOf = default_limits) -> None:
        """Reads the headers and documents of the tar behind `descriptor`, which is closed by `close`."""
        self._descriptor = descriptor
        self._where = where
        self._limits = limits
        self._content: dict[Digest, bytes | Member] = {}
        self._roots: tuple[Descriptor, ...] = ()
        self._images: list[tuple[tuple[str, ...], Descriptor]] = []
        index = index_tar(lambda offset, count: os.pread(descriptor, count, offset), size, where)
        if "oci-layout" in index:
            self._take_layout(index)
        elif "manifest.json" in index:
            self._take_docker(index)
        elif "repositories" in index:
            raise ContentError(
                f"{where} has the format that docker save wrote before 1.10",
                hint="load it with docker and save it again",
            )
        else:
            raise ContentError(
                f"{where} is neither a docker nor an OCI archive", hint="it has no manifest.json or oci-layout"
            )

    def __enter__(self) -> ArchiveContent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the file back. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # content

    def has(self, descriptor: Descriptor) -> bool:
        found = self._content.get(descriptor.digest)
        return found is not None and (len(found) if isinstance(found, bytes) else found.size) == descriptor.size

    def open(self, descriptor: Descriptor) -> BinaryIO:
        found = self._content.get(descriptor.digest)
        if found is None:
            raise ContentNotFound(f"{descriptor.digest} is not in {self._where}")
        raw = io.BytesIO(found) if isinstance(found, bytes) else _Region(self._descriptor, found)
        return io.BufferedReader(VerifyingReader(cast("BinaryIO", raw), descriptor), _BUFFER)

    def images(self) -> list[tuple[tuple[str, ...], Descriptor]]:
        """Every image with its whole names (`docker.io/library/app:1`), in the order of the archive."""
        return list(self._images)

    def tagged(self) -> dict[str, Descriptor]:
        """What each tag of index.json means, images or not."""
        return tags_of(self._roots)

    def find(self, wanted: str = "") -> Descriptor:
        """The image that a name, a tag or `@sha256:…` means; nothing means `latest`, or the only one.

        Raises:
            ContentNotFound: there is none; the hint lists what there is.
        """
        return find_root(self._roots, wanted, self._where, self._document)

    def referrers(self, digest: Digest, *, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """What refers to `digest`. Reads every document of index.json.

        Raises:
            DigestMismatch, InvalidDocument: a document is not what it says.
        """
        return referrers_among(self._roots, self, digest, artifact_type, limits=self._limits)

    def _document(self, digest: Digest) -> Descriptor | None:
        found = self._content.get(digest)
        if found is None:
            return None
        limit = self._limits().document_bytes
        raw = found if isinstance(found, bytes) else self._read(found, 0, limit + 1)
        return document_descriptor(digest, raw, limit=limit)

    def _read(self, member: Member, offset: int, count: int) -> bytes:
        return os.pread(self._descriptor, min(count, member.size - offset), member.offset + offset)

    def _small(self, index: TarIndex, name: str) -> bytes:
        member = index.get(name)
        if member is None:
            raise ContentError(
                f"{self._where} has no {name}", hint="an OCI archive has oci-layout, index.json and blobs/"
            )
        limit = self._limits().document_bytes
        if member.size > limit:
            raise InvalidDocument(
                f'"{name}" in {self._where} is {member.size} bytes, more than the {limit} that it may have',
                hint=how_to_raise("document-size"),
            )
        return self._read(member, 0, member.size)

    # the two formats

    def _take_layout(self, index: TarIndex) -> None:
        check_layout_version(self._small(index, "oci-layout"), self._where)
        self._roots = decode_index(self._small(index, "index.json")).value.manifests
        for name in index.names():
            folder, _, encoded = name.rpartition("/")
            member = index.get(name)
            if member is not None and folder.startswith("blobs/"):
                with suppress(InvalidDocument):
                    self._content[parse_digest(f"{folder.removeprefix('blobs/')}:{encoded}")] = member
        self._images = images_of(self._roots)
        if "manifest.json" in index and any(self._lacks_layers(root) for root in self._roots):
            self._take_docker(index)

    def _lacks_layers(self, root: Descriptor, *, depth: int = 0) -> bool:
        """Whether a manifest has fewer layers than its config: docker save 25.0.0 left them out (moby issue 47065)."""
        if not (media_types.is_index(root.media_type) or media_types.is_manifest(root.media_type)) or not self.has(
            root
        ):
            return False
        raw = self._document_bytes(root)
        if media_types.is_index(root.media_type):
            if depth > self._limits().index_depth:
                return False  # whoever reads the image says so
            return any(self._lacks_layers(child, depth=depth + 1) for child in successors(raw, root.media_type))
        manifest = decode_manifest(raw, media_type=root.media_type).value
        if not media_types.is_config(manifest.config.media_type) or not self.has(manifest.config):
            return False
        config = decode_config(self._document_bytes(manifest.config)).value
        return len(manifest.layers) < len(config.diff_ids)

    def _document_bytes(self, descriptor: Descriptor) -> bytes:
        return read_document(self.open(descriptor), descriptor, limits=self._limits)

    def _take_docker(self, index: TarIndex) -> None:
        converted = read_docker_manifest(index, self._read, limits=self._limits)
        for image in converted:
            self._content.update(image.content)
        self._images = [(image.names, image.root) for image in converted]
        self._roots = tuple(
            with_name(image.root, parse_reference(name)) if name else image.root
            for image in converted
            for name in image.names or ("",)
        )
