"""Names of the images in the store: the annotations of the layout's `index.json`.

`org.opencontainers.image.ref.name` holds the tag for skopeo and umoci, `io.containerd.image.name` the whole name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pyoci.content.names import IMAGE_NAME, REF_NAME
from pyoci.errors import ContentError, InvalidDocument
from pyoci.reference import Reference, parse_reference
from pyoci.store.files import locked, write_atomic
from pyoci.values import replace

if TYPE_CHECKING:
    from pyoci.image import Descriptor, Index

__all__ = ["Tags"]


class Tags:
    """What is tagged in one store. A descriptor carries its name in annotations; `plain` takes them off."""

    def __init__(self, root: Path) -> None:
        self._path = root / "index.json"
        self._lock = root / "index.lock"
        self._temporary = root / "tmp"

    def get(self, reference: Reference) -> Descriptor | None:
        """The manifest or index that the name (and tag, else digest) stands for here."""
        for name, descriptor in self.all():
            same = name.name == reference.name and (reference.tag is None or name.tag == reference.tag)
            if same and (reference.digest is None or reference.digest == descriptor.digest):
                return descriptor
        return None

    def all(self) -> list[tuple[Reference, Descriptor]]:
        """Every tagged name with its descriptor, in the order in which they were tagged."""
        found = []
        for descriptor in self._read().manifests:
            name = descriptor.annotations.get(IMAGE_NAME)
            if name:
                found.append((parse_reference(name), _plain(descriptor)))
        return found

    def set(self, reference: Reference, descriptor: Descriptor) -> Descriptor | None:
        """Makes the name stand for a document; returns what it stood for before, if that was something else."""
        name = str(replace(reference, digest=None))
        before = None
        with self._changed() as manifests:
            for old in manifests[:]:
                if old.annotations.get(IMAGE_NAME) == name:
                    before = _plain(old)
                    manifests.remove(old)
            annotations = {IMAGE_NAME: name, REF_NAME: reference.tag or "latest"}
            manifests.append(replace(descriptor, annotations=annotations))
        return before if before and before.digest != descriptor.digest else None

    def remove(self, reference: Reference) -> Descriptor | None:
        """Takes a name away; returns what it stood for, or None if it was not there."""
        name = str(replace(reference, digest=None))
        removed = None
        with self._changed() as manifests:
            for old in manifests[:]:
                if old.annotations.get(IMAGE_NAME) == name:
                    removed = _plain(old)
                    manifests.remove(old)
        return removed

    def digests(self) -> dict[str, str]:
        """What every whole name stands for, without a check of the document: for questions whose answer was checked
        once. Empty where the document cannot be read at all.
        """
        import json

        try:
            manifests = json.loads(self._path.read_bytes())["manifests"]
            named = ((one.get("annotations", {}).get(IMAGE_NAME), one["digest"]) for one in manifests)
            return {name: digest for name, digest in named if name}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _read(self) -> Index:
        from pyoci.image import Index, decode_index

        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return Index(())
        try:
            return decode_index(raw).value
        except InvalidDocument as error:
            raise ContentError(f"{self._path} is damaged: {error.message}", hint="remove it; the blobs stay") from error

    @contextmanager
    def _changed(self) -> Iterator[list[Descriptor]]:
        from pyoci.image import encode_index

        with locked(self._lock):
            index = self._read()
            manifests = list(index.manifests)
            yield manifests
            if tuple(manifests) != index.manifests:
                write_atomic(self._path, encode_index(replace(index, manifests=tuple(manifests))).raw, self._temporary)


def _plain(descriptor: Descriptor) -> Descriptor:
    kept = {k: v for k, v in descriptor.annotations.items() if k not in (IMAGE_NAME, REF_NAME)}
    return replace(descriptor, annotations=kept)
