"""A push under a tag: the root goes to its name at once, so that the tag means it exactly when all of it is there."""

from __future__ import annotations

import threading
from collections.abc import Container
from typing import BinaryIO, Protocol

from pyoci.content.limits import ContentLimitsOf
from pyoci.content.protocols import ContentSink, ContentSource
from pyoci.content.referrers import referrer_entry
from pyoci.content.verify import read_document
from pyoci.digest import Digest
from pyoci.image import media_types
from pyoci.image.descriptor import Descriptor
from pyoci.progress import Reporter
from pyoci.values import dataclass

__all__ = ["NamedPush"]

_UNASKED_BYTES = 64 * 1024
"""More would be too much to send in vain."""


class _Target(ContentSink, Protocol):
    """A repository."""

    def mount(self, descriptor: Descriptor) -> bool:
        """Whether a blob was brought in from another repository of the registry."""

    def put_manifest(self, raw: bytes, media_type: str, reference: str) -> None:
        """Stores bytes of a media type under a tag or digest."""


@dataclass(slots=True)
class NamedPush:
    """Copies `root` and all below it. As a sink it stores the root under `name`, a tag or its digest, and everything
    else as it is.
    """

    target: _Target
    root: Descriptor
    name: str
    limits: ContentLimitsOf
    is_new: bool = False
    """The target is known not to have the root. Most likely it does not have the config either."""
    _named: bool = False

    def run(
        self,
        source: ContentSource,
        *,
        jobs: int,
        there: Container[Digest],
        reporter: Reporter,
        cancelled: threading.Event,
    ) -> None:
        """Copies; `there` are blobs that the target has.

        Raises:
            RegistryError, DigestMismatch, ContentNotFound, Cancelled: the name still means what it meant before.
        """
        from pyoci.content.copy import copy_graph

        copy_graph(
            self.root,
            source,
            self,
            kind="push",
            jobs=jobs,
            reporter=reporter,
            mount=self.target.mount,
            assume_complete=True,
            there=there,
            limits=self.limits,
            cancelled=cancelled,
        )
        if not self._named:
            self._name_what_was_there(source)

    def has(self, descriptor: Descriptor) -> bool:
        if self.is_new and (descriptor.digest == self.root.digest or _is_short_config(descriptor)):
            return False
        return self.target.has(descriptor)

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        if descriptor.digest != self.root.digest:
            self.target.put(descriptor, stream)
            return
        raw = read_document(stream, descriptor, limits=self.limits)
        self.target.put_manifest(raw, descriptor.media_type, self.name)
        self._named = True

    def _name_what_was_there(self, source: ContentSource) -> None:
        """Names a root that was there already, and so was not put. One with a subject is put in any case: whoever
        stored it may have been stopped before it was in the list of the subject's referrers.
        """
        by_digest = self.name == self.root.digest
        raw = read_document(source.open(self.root), self.root, limits=self.limits)
        if not by_digest or referrer_entry(raw, self.root) is not None:
            self.target.put_manifest(raw, self.root.media_type, self.name)


def _is_short_config(descriptor: Descriptor) -> bool:
    return media_types.is_config(descriptor.media_type) and descriptor.size <= _UNASKED_BYTES
