"""An OCI image layout on disk, as a source and a sink. Spec: image-spec image-layout.md.

What is in the directory is not trusted: content is verified when it is read, and nothing below the directory may be a
symbolic link or anything else but files and folders.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pyoci.content.limits import ContentLimitsOf, default_limits, how_to_raise
from pyoci.content.names import IMAGE_NAME, REF_NAME, find_root, images_of, tags_of
from pyoci.content.referrers import referrers_among
from pyoci.content.sniff import document_descriptor
from pyoci.content.verify import VerifyingReader, verified
from pyoci.digest import Digest
from pyoci.errors import ContentError, ContentNotFound, InvalidDocument
from pyoci.image import Index, decode_index, media_types
from pyoci.image.codec import canonical_json, decode_object, encode_descriptor
from pyoci.image.descriptor import Descriptor

__all__ = ["LAYOUT_FILE", "DirectoryLayout", "check_layout_version"]

LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'
_CHUNK = 1 << 19
"""Written at once. ext4 (Linux 6.16 and later) wants as much contiguous memory for its cache as one write fills, and of
1 MiB and more there may be none that is warm: on virtual machines that give free memory back, 500 MB took 0.1 s of
system time in pieces of this size or less, and up to 1 s in larger ones.
"""
_BUFFER = 1 << 16
"""Larger reads than this go past the buffer."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def check_layout_version(raw: bytes, where: str) -> None:
    """Raises InvalidDocument unless `raw` is an oci-layout file of the one version that there is."""
    version = decode_object(raw, "oci-layout").get("imageLayoutVersion")
    if version != "1.0.0":
        raise InvalidDocument(f"{where} is an image layout of version {version}, only 1.0.0 is known")


class DirectoryLayout:
    """A ContentSource and ContentSink over a layout. Safe to use from several threads and processes."""

    def __init__(self, path: Path, *, limits: ContentLimitsOf = default_limits) -> None:
        """Nothing is opened or made before a method needs it. `limits` is asked when documents are read."""
        self.path = path
        self._limits = limits

    # reading

    def has(self, descriptor: Descriptor) -> bool:
        try:
            found = self._open_blob(descriptor.digest)
        except ContentNotFound:
            return False
        try:
            return os.fstat(found).st_size == descriptor.size
        finally:
            os.close(found)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        stream = io.FileIO(self._open_blob(descriptor.digest), "rb")
        return io.BufferedReader(VerifyingReader(stream, descriptor), _BUFFER)

    def open_raw(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's file, which can be positioned; nothing of it is verified but its size.

        Raises:
            ContentNotFound, ContentError: it is not here, or has another size.
        """
        stream = io.FileIO(self._open_blob(descriptor.digest), "rb")
        if os.fstat(stream.fileno()).st_size != descriptor.size:
            stream.close()
            raise ContentError(f"{descriptor.digest} in {self.path} has not the {descriptor.size} bytes that it should")
        return io.BufferedReader(stream, _BUFFER)

    def index(self) -> Index:
        """What index.json points at.

        Raises:
            ContentNotFound: the directory is no layout.
            InvalidDocument: oci-layout or index.json break the specification.
        """
        return decode_index(self._index_bytes()).value

    def images(self) -> list[tuple[tuple[str, ...], Descriptor]]:
        """Every image of index.json with its whole names. Raises as `index`."""
        return images_of(self.index().manifests)

    def tagged(self) -> dict[str, Descriptor]:
        """What each tag of index.json means, images or not. Raises as `index`."""
        return tags_of(self.index().manifests)

    def find(self, wanted: str = "") -> Descriptor:
        """The image that a name, a tag or `@sha256:…` means; nothing means `latest`, or the only one.

        Raises:
            ContentNotFound: there is none; else as `index`.
        """
        return find_root(self.index().manifests, wanted, str(self.path), self._document)

    def referrers(self, digest: Digest, *, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """What refers to `digest`. Reads every document of index.json. Raises as `index`."""
        return referrers_among(self.index().manifests, self, digest, artifact_type, limits=self._limits)

    def _document(self, digest: Digest) -> Descriptor | None:
        limit = self._limits().document_bytes
        try:
            with io.FileIO(self._open_blob(digest), "rb") as stream:
                return document_descriptor(digest, stream.read(limit + 1), limit=limit)
        except ContentNotFound:
            return None

    def _index_bytes(self) -> bytes:
        check_layout_version(self._read_small("oci-layout"), str(self.path))
        return self._read_small("index.json")

    def _read_small(self, name: str) -> bytes:
        limit = self._limits().document_bytes
        with self._root() as root:
            try:
                with io.FileIO(_open_file(name, root, self.path), "rb") as stream:
                    data = stream.read(limit + 1)
            except FileNotFoundError:
                raise ContentNotFound(
                    f"{self.path} has no {name}", hint="an OCI layout has oci-layout, index.json and blobs/"
                ) from None
        if len(data) > limit:
            raise InvalidDocument(
                f"{self.path / name} is larger than the {limit} bytes that it may have",
                hint=how_to_raise("document-size"),
            )
        return data

    def _open_blob(self, digest: Digest) -> int:
        algorithm, _, encoded = digest.partition(":")
        with self._root() as root:
            try:
                with (
                    _opened_directory("blobs", root, self.path) as blobs,
                    _opened_directory(algorithm, blobs, self.path) as folder,
                ):
                    return _open_file(encoded, folder, self.path)
            except FileNotFoundError:
                raise ContentNotFound(f"{digest} is not in {self.path}") from None

    @contextmanager
    def _root(self) -> Iterator[int]:
        """The directory itself, which may be reached through links: the user named it."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ContentNotFound(f"{self.path} does not exist") from None
        except OSError as error:
            raise ContentError(f"cannot open {self.path}: {error.strerror}") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    # writing

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        algorithm, _, encoded = descriptor.digest.partition(":")
        with (
            self._made() as root,
            _made_directory("blobs", root, self.path) as blobs,
            _made_directory(algorithm, blobs, self.path) as folder,
            _replacing(encoded, folder, self.path) as write,
        ):
            reader = verified(stream, descriptor)
            while data := reader.read(_CHUNK):
                write(data)

    def add_roots(self, roots: Sequence[Descriptor], referrers: Sequence[Descriptor] = ()) -> None:
        """Points index.json at further images; entries of the same name are replaced, all others are kept as they are.

        An image without a name is tagged `latest`, as buildx does; `referrers` are no images and get no name. Atomic;
        one process at a time.

        Raises:
            InvalidDocument: there is an index.json already, and it breaks the specification.
        """
        import fcntl

        with self._made() as root:
            fcntl.flock(root, fcntl.LOCK_EX)
            try:
                index = decode_object(self._index_bytes(), "index")
                decode_index(canonical_json(index))
            except ContentNotFound:
                index = {"schemaVersion": 2, "mediaType": media_types.INDEX, "manifests": []}
            for entry in roots:
                added = encode_descriptor(entry)
                if not {IMAGE_NAME, REF_NAME} & entry.annotations.keys():
                    added["annotations"] = {**entry.annotations, REF_NAME: "latest"}
                kept = [old for old in index["manifests"] if _name_of(old) != _name_of(added)]
                index["manifests"] = [*kept, added]
            for entry in referrers:
                kept = [old for old in index["manifests"] if old["digest"] != entry.digest]
                index["manifests"] = [*kept, encode_descriptor(entry)]
            for name, data in (("oci-layout", LAYOUT_FILE), ("index.json", canonical_json(index))):
                with _replacing(name, root, self.path) as write:
                    write(data)

    @contextmanager
    def _made(self) -> Iterator[int]:
        """As `_root`, of a directory that is made where it is missing."""
        with _writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with self._root() as root:
            yield root


def _name_of(entry: dict[str, dict[str, str]]) -> tuple[str | None, str | None]:
    annotations = entry.get("annotations", {})
    return annotations.get(IMAGE_NAME), annotations.get(REF_NAME)


def _refused(name: str, where: Path) -> ContentError:
    return ContentError(
        f'"{name}" in {where} is a link or something else that an image layout does not have',
        hint="links are not followed out of a layout; copy it with its links resolved (cp -rL)",
    )


def _open_file(name: str, folder: int, where: Path) -> int:
    """A descriptor of a regular file; never waits (FIFO), never follows a link."""
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _refused(name, where) from None
        if error.errno == errno.ENOENT:
            raise
        raise ContentError(f'cannot open "{name}" in {where}: {error.strerror}') from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _refused(name, where)
    return descriptor


@contextmanager
def _opened_directory(name: str, folder: int, where: Path) -> Iterator[int]:
    try:
        descriptor = os.open(name, _DIRECTORY, dir_fd=folder)
    except NotADirectoryError:
        raise _refused(name, where) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _writing(where: Path) -> Iterator[None]:
    """For the steps that write alone: what fails while content is read is not the layout's fault."""
    try:
        yield
    except OSError as error:
        raise ContentError(f"cannot write to {where}: {error.strerror}") from error


@contextmanager
def _made_directory(name: str, folder: int, where: Path) -> Iterator[int]:
    with _writing(where), suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=folder)
    with _opened_directory(name, folder, where) as descriptor:
        yield descriptor


@contextmanager
def _replacing(name: str, folder: int, where: Path) -> Iterator[Callable[[bytes], None]]:
    """Writes a file that appears under its name, whole, when the block ends well; nothing is left when it does not."""
    partial = f".partial-{os.urandom(8).hex()}"
    with _writing(where):
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)

    def write(data: bytes) -> None:
        left = memoryview(data)
        with _writing(where):
            while left:
                left = left[os.write(descriptor, left) :]

    try:
        try:
            yield write
        finally:
            os.close(descriptor)
        with _writing(where):
            os.rename(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial, dir_fd=folder)
        raise
