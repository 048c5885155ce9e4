"""Build caches outside the store: records are imported before a build and exported after it (`--cache-from`,
`--cache-to`).

What is imported is as trustworthy as the place that the user named, and no more: documents are checked, layers verified
by digest when their bytes are needed, and nothing of it outlives the build but content under its digest. Bytes of a
layer move only when a step or an output needs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pyoci.api.cache_options import CacheFrom, CacheTo, cache_sources
from pyoci.api.services import Services
from pyoci.build.builder import Built
from pyoci.build.cache_export import cache_records
from pyoci.build.cache_records import INLINE, CacheRecord, decode_cache, decode_inline, encode_cache, encode_inline
from pyoci.build.layers import layer_of_snapshot
from pyoci.build.request import BuildRequest
from pyoci.content import read_document
from pyoci.content.limits import ContentLimitsOf
from pyoci.content.names import REF_NAME
from pyoci.content.protocols import ContentSource
from pyoci.digest import Digest, digest_hex
from pyoci.errors import Cancelled, ContentError, ContentNotFound, InvalidDocument, PyociError
from pyoci.image import (
    Descriptor,
    Image,
    Layer,
    Manifest,
    decode_config,
    decode_index,
    decode_manifest,
    encode_config,
    encode_manifest,
    media_types,
)
from pyoci.values import replace

if TYPE_CHECKING:
    from pyoci.content.layout import DirectoryLayout
    from pyoci.reference import Reference

__all__ = ["export_caches", "import_caches", "with_inline_cache"]


def import_caches(request: BuildRequest, services: Services, epoch: int) -> dict[Digest, Layer]:
    """What steps added elsewhere, by their keys. A place that has nothing, or nothing that can be read, is a warning.

    Raises:
        UsageError: a place is none.
    """
    found: dict[Digest, Layer] = {}
    for place in cache_sources(request):
        try:
            records = list(_found(place, services))
        except Cancelled:
            raise
        except PyociError as error:
            services.reporter.warning(f"no cache is imported from {_name(place)}: {error.message}")
            continue
        usable = [record for record in records if record.epoch in (None, epoch)]
        for record in usable:
            for key in record.keys:
                found.setdefault(key, record.layer)
        left_out = len(records) - len(usable)
        more = f", {left_out} of another SOURCE_DATE_EPOCH are not used" if left_out else ""
        services.reporter.message(f"importing cache from {_name(place)}: {len(usable)} steps{more}")
    return found


def _name(place: CacheFrom | CacheTo) -> str:
    if isinstance(place, CacheFrom) and place.unknown:
        return place.unknown
    return place.reference.familiar if place.reference else place.directory


def _found(place: CacheFrom, services: Services) -> Iterator[CacheRecord]:
    if place.unknown:
        raise ContentNotFound("there is no such cache here")
    return _registry(place.reference, services) if place.reference else _directory(place, services)


def _registry(reference: Reference, services: Services) -> Iterator[CacheRecord]:
    if services.options.offline:
        raise ContentNotFound("the network is not to be used")
    repository = services.client.repository(reference)
    raw, root = repository.fetch_manifest()
    for record in _records(raw, root, repository, services.limits):
        services.store.add_origin(record.layer.descriptor.digest, reference.name)
        yield record


def _directory(place: CacheFrom, services: Services) -> Iterator[CacheRecord]:
    from pyoci.content.layout import DirectoryLayout

    layout = DirectoryLayout(services.environment.path(place.directory), limits=services.limits)
    root = layout.find(place.wanted)
    services.origins.add(layout)
    raw = read_document(layout.open(root), root, limits=services.limits)
    for record in _records(raw, root, layout, services.limits):
        if layout.has(record.layer.descriptor) or services.store.has(record.layer.descriptor):
            yield record


def _records(raw: bytes, root: Descriptor, source: ContentSource, limits: ContentLimitsOf) -> Iterator[CacheRecord]:
    """The records of a cache, or those that the images below an index hold."""
    if media_types.is_index(root.media_type):
        for child in decode_index(raw, media_type=root.media_type).value.manifests:
            if media_types.is_manifest(child.media_type):
                below = read_document(source.open(child), child, limits=limits)
                yield from _of_manifest(below, child, source, limits)
    else:
        yield from _of_manifest(raw, root, source, limits)


def _of_manifest(
    raw: bytes, descriptor: Descriptor, source: ContentSource, limits: ContentLimitsOf
) -> list[CacheRecord]:
    document = decode_manifest(raw, media_type=descriptor.media_type)
    manifest = document.value
    kind = manifest.config.media_type
    if kind == media_types.BUILDKIT_CACHE_CONFIG:
        raise InvalidDocument("it is a cache of BuildKit's, whose keys mean nothing here")
    if kind == media_types.CACHE_CONFIG:
        return decode_cache(_config_of(manifest, source, limits), manifest)
    if not media_types.is_config(kind):
        return []
    config = decode_config(_config_of(manifest, source, limits), media_type=kind)
    return decode_inline(config.value.extra, Image.of(document, config).layers)


def _config_of(manifest: Manifest, source: ContentSource, limits: ContentLimitsOf) -> bytes:
    return read_document(source.open(manifest.config), manifest.config, limits=limits)


# export


def with_inline_cache(
    built: tuple[Built, ...], targets: Sequence[CacheTo], services: Services, epoch: int
) -> tuple[Built, ...]:
    """The images with the records of their own layers in their configs, if that is asked for.

    Raises:
        LayerError, ContentError, RegistryError: files that a step reads cannot be had.
    """
    if not any(target.is_inline for target in targets):
        return built
    return tuple(_inline(one, services, epoch) for one in built)


def _inline(one: Built, services: Services, epoch: int) -> Built:
    image = one.image
    records = _of_build((one,), services, epoch, whole=False)
    member = encode_inline(records, image.layers)
    value = replace(image.config.value, extra={**image.config.value.extra, INLINE: member})
    config = encode_config(value)
    manifest = encode_manifest(replace(image.manifest.value, config=config.descriptor()))
    services.store.put_document(config)
    services.store.put_document(manifest)
    return replace(one, image=Image.of(manifest, config))


def export_caches(built: tuple[Built, ...], targets: Sequence[CacheTo], services: Services, epoch: int) -> None:
    """Writes the caches that are asked for, but the inline one.

    Raises:
        ContentError, RegistryError: it cannot be written, and `ignore-error` was not given.
    """
    for target in targets:
        if target.is_inline:
            continue
        try:
            _export(built, target, services, epoch)
        except Cancelled:
            raise
        except PyociError as error:
            if not target.ignore_error:
                error.message = f"cannot export the cache to {_name(target)}: {error.message}"
                error.args = (error.message,)
                raise
            services.reporter.warning(f"no cache is exported to {_name(target)}: {error.message}")


def _of_build(built: tuple[Built, ...], services: Services, epoch: int, *, whole: bool) -> list[CacheRecord]:
    def layer_of(snapshot: str) -> Layer:
        return layer_of_snapshot(snapshot, services.store, services.snapshotter, epoch=epoch)

    return cache_records(built, whole=whole, epoch=epoch, layer_of=layer_of)


def _export(built: tuple[Built, ...], target: CacheTo, services: Services, epoch: int) -> None:
    services.reporter.message(f"exporting cache to {_name(target)}")
    manifest, config = encode_cache(_of_build(built, services, epoch, whole=target.whole))
    services.store.put_document(config)
    root = services.store.put_document(manifest)
    if target.reference is not None:
        from pyoci.api.transfer import push_descriptor

        push_descriptor(target.reference, root, services)
        return
    from pyoci.content import copy_graph
    from pyoci.content.layout import DirectoryLayout

    layout = DirectoryLayout(services.environment.path(target.directory), limits=services.limits)
    content = services.resolver.content
    copy_graph(
        root,
        content,
        layout,
        kind="export",
        limits=services.limits,
        reporter=services.reporter,
        cancelled=services.cancelled,
    )
    named = replace(root, annotations={REF_NAME: target.tag})
    if target.reset:
        _reset(layout, named, manifest.value)
    else:
        layout.add_roots([named])


def _reset(layout: DirectoryLayout, root: Descriptor, manifest: Manifest) -> None:
    """Makes a directory hold one cache and nothing else."""
    kept = {digest_hex(blob.digest) for blob in (root, manifest.config, *manifest.layers)}
    with suppress(FileNotFoundError):
        (layout.path / "index.json").unlink()
    layout.add_roots([root])
    try:
        for path in (layout.path / "blobs" / "sha256").iterdir():
            if path.name not in kept:
                path.unlink()
    except OSError as error:
        raise ContentError(f"cannot clear {layout.path}: {error.strerror}") from error
