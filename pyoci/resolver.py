"""Which image does a name mean now? The store first, the registry where it must be.

An image that was resolved once is named in the store, so that the next build needs no network; `pull` asks the registry
again. Only manifest and config are fetched here: layers stay where they are until somebody opens them (DESIGN 1.2).
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from pyoci.content import ContentSource, PullThrough
from pyoci.content.limits import LARGEST_DOCUMENT_BYTES, ContentLimitsOf, default_limits, how_to_raise
from pyoci.content.verify import read_document
from pyoci.errors import ContentError, ContentNotFound, InvalidDocument, RegistryError, UsageError
from pyoci.image import Descriptor, Image, decode_config, decode_index, decode_manifest, media_types
from pyoci.platforms import Platform, best_match, completed
from pyoci.progress import Reporter
from pyoci.reference import Reference, parse_reference
from pyoci.store import Store
from pyoci.values import replace

if TYPE_CHECKING:
    from pyoci.registry.client import RegistryClient

__all__ = ["Origins", "Resolved", "Resolver", "read_image", "select_manifest"]


class Origins:
    """A ContentSource of what the store knows to be in some registry, and of sources added by hand (layouts, archives).

    Connects only when content is opened.
    """

    def __init__(self, store: Store, client: Callable[[], RegistryClient], *, offline: bool = False) -> None:
        self._store = store
        self._client = client
        self._offline = offline
        self._others: list[ContentSource] = []

    def add(self, source: ContentSource) -> None:
        """Asks this source before any registry."""
        self._others.append(source)

    def has(self, descriptor: Descriptor) -> bool:
        return self.has_here(descriptor) or bool(self._store.origins(descriptor.digest))

    def has_here(self, descriptor: Descriptor) -> bool:
        """Whether a source that was added has it, so that nothing need be downloaded."""
        return any(other.has(descriptor) for other in self._others)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        for other in self._others:
            if other.has(descriptor):
                return other.open(descriptor)
        failure: RegistryError | ContentNotFound | None = None
        names = self._store.origins(descriptor.digest)
        if names and self._offline:
            raise ContentNotFound(
                f"{descriptor.digest} is not in the store, and the network is not to be used",
                hint=f"it is in {names[0]}",
            )
        for name in names:
            try:
                return self._client().repository(parse_reference(name)).open(descriptor)
            except (RegistryError, ContentNotFound) as error:
                failure = failure or error
        if failure is not None:
            raise failure
        raise ContentNotFound(
            f"{descriptor.digest} is not in the store, and it is not known where else it could be",
            hint="pull the image that it belongs to again",
        )


class _Located:
    """Content through which a manifest is read: where the manifest is, its config and layers are too."""

    def __init__(self, content: ContentSource, store: Store, limits: ContentLimitsOf) -> None:
        self._content = content
        self._store = store
        self._limits = limits

    def has(self, descriptor: Descriptor) -> bool:
        return self._content.has(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        stream = self._content.open(descriptor)
        if not media_types.is_manifest(descriptor.media_type):
            return stream
        raw = read_document(stream, descriptor, limits=self._limits)
        manifest = decode_manifest(raw, media_type=descriptor.media_type).value
        for origin in reversed(self._store.origins(descriptor.digest)):
            for part in (manifest.config, *manifest.layers):
                self._store.add_origin(part.digest, origin)
        return io.BytesIO(raw)


class Resolved:
    """What a name means: the root that it stands for and the image of one platform in it."""

    def __init__(self, reference: Reference, root: Descriptor, image: Image) -> None:
        self.reference = reference
        self.root = root
        """Descriptor of the manifest or index that the name stands for."""
        self.image = image

    @property
    def title(self) -> str:
        """The name, pinned: `docker.io/library/alpine:3.20@sha256:…`."""
        return str(self.reference.with_digest(self.root.digest))


class Resolver:
    """Resolves names for one command. May be used from several threads."""

    def __init__(
        self,
        store: Store,
        origins: Origins,
        client: Callable[[], RegistryClient],
        *,
        pull: bool = False,
        offline: bool = False,
        reporter: Reporter | None = None,
        limits: ContentLimitsOf = default_limits,
    ) -> None:
        self.content = PullThrough(store, origins, reporter)
        self.located = _Located(self.content, store, limits)
        """`content` for reading images: what a manifest names is looked for where the manifest is from."""
        self._store = store
        self._client = client
        self._pull = pull
        self._offline = offline
        self._limits = limits
        self._known: dict[Reference, Descriptor] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> dict[str, str]:
        """The digests of names that were asked for so far; names that say their digest are left out."""
        with self._lock:
            return {str(name): str(root.digest) for name, root in self._known.items() if name.digest is None}

    def resolve(self, reference: Reference, platform: Platform) -> Resolved:
        """The image that a name means for a platform.

        Raises:
            ContentNotFound: no such image, or none for the platform.
            RegistryError: the registry has to be asked and does not answer.
        """
        root = self.root(reference)
        image = read_image(root, self.located, platform, name=reference.familiar, limits=self._limits)
        return Resolved(reference, root, image)

    def root(self, reference: Reference) -> Descriptor:
        """The descriptor that a name stands for; asked of the registry at most once per command."""
        with self._lock:
            known = self._known.get(reference)
        if known is not None:
            return known
        found = None if self._pull else self._store.tags.get(reference)
        if found is None and reference.digest is not None:
            found = self._stored_document(reference)
        if found is None:
            found = self._ask(reference)
        with self._lock:
            self._known[reference] = found
        return found

    def _stored_document(self, reference: Reference) -> Descriptor | None:
        """A document that the store has under the digest of the name, whatever it was called when it came."""
        digest = reference.digest
        if digest is None:
            return None
        path = self._store.blob_path(digest)
        try:
            raw = path.read_bytes() if path.stat().st_size <= LARGEST_DOCUMENT_BYTES else b""
        except OSError:
            return None
        for decode in (decode_manifest, decode_index):
            try:
                return decode(raw).descriptor()
            except ContentError:
                continue
        return None

    def _ask(self, reference: Reference) -> Descriptor:
        if self._offline:
            raise ContentNotFound(
                f'image "{reference.familiar}" is not in the store, and the network is not to be used',
                hint="pull or load it first",
            )
        repository = self._client().repository(reference)
        raw, root = repository.fetch_manifest()
        self._remember(reference, root, raw)
        return root

    def _remember(self, reference: Reference, root: Descriptor, raw: bytes) -> None:
        """Stores the document, where it came from and what it is called, so that the next time needs no network."""
        origin = reference.name
        self._store.put(root, io.BytesIO(raw))
        self._store.add_origin(root.digest, origin)
        if media_types.is_index(root.media_type):
            for manifest in decode_index(raw, media_type=root.media_type).value.manifests:
                self._store.add_origin(manifest.digest, origin)
        if reference.tag is not None:
            self._store.tags.set(reference, root)


def select_manifest(
    root: Descriptor,
    content: ContentSource,
    platform: Platform | None,
    *,
    name: str,
    limits: ContentLimitsOf = default_limits,
) -> Descriptor:
    """The manifest in `root` that runs best on a platform; `root` itself if it is one. None takes the first.

    Raises:
        ContentNotFound: there is none for the platform; the hint says which there are.
        UsageError: what the name stands for is no image.
        InvalidDocument: a document breaks its specification, or goes beyond `limits`.
    """
    depth = 0
    while media_types.is_index(root.media_type):
        if depth > 1 and depth > limits().index_depth:
            raise InvalidDocument(
                f'"{name}" has indexes nested more than {limits().index_depth} deep', hint=how_to_raise("index-depth")
            )
        depth += 1
        raw = read_document(content.open(root), root, limits=limits)
        index = decode_index(raw, media_type=root.media_type).value
        offers = [
            m for m in index.manifests if media_types.is_manifest(m.media_type) or media_types.is_index(m.media_type)
        ]
        offers = [m for m in offers if m.platform is None or m.platform.os != "unknown"]
        chosen = offers[0] if offers else None
        if platform is not None:
            chosen = best_match(offers, platform, platform_of=lambda m: m.platform)
            if chosen is None:
                chosen = next((m for m in offers if m.platform is None), None)
        if chosen is None:
            there = ", ".join(sorted({str(m.platform) for m in offers if m.platform})) or "none"
            raise ContentNotFound(f'image "{name}" has no manifest for {platform}', hint=f"it has: {there}")
        root = chosen
    if media_types.is_manifest(root.media_type):
        return root
    raise UsageError(f'"{name}" is not an image: its media type is {root.media_type}')


def read_image(
    root: Descriptor,
    content: ContentSource,
    platform: Platform | None,
    *,
    name: str,
    limits: ContentLimitsOf = default_limits,
) -> Image:
    """The image that `root` holds for a platform: manifest and config, verified; layers are not touched.

    Where the config does not say its platform, the image has the one that the index says, as in BuildKit.

    Raises:
        ContentNotFound, InvalidDocument, DigestMismatch, RegistryError, UsageError.
    """
    chosen = select_manifest(root, content, platform, name=name, limits=limits)
    manifest = decode_manifest(read_document(content.open(chosen), chosen, limits=limits), media_type=chosen.media_type)
    wanted = manifest.value.config
    if not media_types.is_config(wanted.media_type):
        raise UsageError(f'"{name}" is not an image: its config is of type {wanted.media_type}')
    config = decode_config(read_document(content.open(wanted), wanted, limits=limits), media_type=wanted.media_type)
    value = config.value
    known = completed(value.platform, chosen.platform, platform)
    for part, said in (("os", known.os), ("architecture", known.architecture)):
        if not said:
            raise InvalidDocument(f'config: "{part}" is missing', hint=f'no index says it of "{name}" either')
    if known is not value.platform:
        config = replace(config, value=replace(value, platform=known))
    return Image.of(manifest, config)
