"""A push under a tag: the root goes to its name at once, so that the tag means it exactly when all of it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from pyoci.content.limits import ContentLimitsOf, default_limits
from pyoci.content.protocols import ContentSink, ContentSource
from pyoci.content.referrers import referrer_entry
from pyoci.content.verify import read_document
from pyoci.image.descriptor import Descriptor

__all__ = ["NamingSink"]

_PutManifest = Callable[[bytes, str, str], None]
"""Stores bytes of a media type under a tag or digest."""


class NamingSink:
    """A repository as a sink that stores `root` under `name`, a tag or its digest, and everything else as it is."""

    def __init__(
        self,
        sink: ContentSink,
        put_manifest: _PutManifest,
        root: Descriptor,
        name: str,
        *,
        limits: ContentLimitsOf = default_limits,
    ) -> None:
        self._sink = sink
        self._put_manifest = put_manifest
        self._root = root
        self._name = name
        self._limits = limits
        self._named = False

    def has(self, descriptor: Descriptor) -> bool:
        return self._sink.has(descriptor)

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        if descriptor.digest != self._root.digest:
            self._sink.put(descriptor, stream)
            return
        raw = read_document(stream, descriptor, limits=self._limits)
        self._put_manifest(raw, descriptor.media_type, self._name)
        self._named = True

    def finish(self, source: ContentSource) -> None:
        """Names a root that was there already, and so was not put. One with a subject is put in any case: whoever
        stored it may have been stopped before it was in the list of the subject's referrers.
        """
        if self._named:
            return
        by_digest = self._name == self._root.digest
        raw = read_document(source.open(self._root), self._root, limits=self._limits)
        if not by_digest or referrer_entry(raw, self._root) is not None:
            self._put_manifest(raw, self._root.media_type, self._name)
