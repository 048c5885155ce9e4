"""The archive that `docker load` of every kind takes: an OCI layout with docker's manifest.json beside its index.

The classic image store (and podman, skopeo and kaniko) reads manifest.json, whose paths lead into `blobs/`;
containerd's reads index.json. `repositories` is left out: it names layers by IDs that are gone since docker 1.10.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pyoci.content import ContentSource
from pyoci.content.limits import ContentLimitsOf, default_limits
from pyoci.digest import Digest
from pyoci.errors import UsageError
from pyoci.export.roots import Collected, NamedRoot, collect, index_entries
from pyoci.export.tarball import blob_path, write_tarball
from pyoci.image import Descriptor, Index, Manifest, decode_index, decode_manifest, encode_index, media_types
from pyoci.image.codec import canonical_json
from pyoci.platforms import Platform, best_match
from pyoci.progress import Reporter

__all__ = ["write_docker_archive"]


def write_docker_archive(
    roots: Sequence[NamedRoot],
    source: ContentSource,
    out: BinaryIO,
    *,
    platform: Platform,
    sparse: bool = False,
    limits: ContentLimitsOf = default_limits,
    reporter: Reporter | None = None,
    cancelled: threading.Event | None = None,
) -> None:
    """Writes images for `docker load`. Of an index, the classic store gets the image that runs best on `platform` (or
    the first one, if none does); containerd's gets all. `sparse` leaves out those that the source does not hold.

    Blobs are streamed as they are; docker before 23.0 cannot read zstd, which is warned of.

    Raises:
        UsageError: an index holds no image at all, or an image holds what docker cannot load.
        ContentNotFound, DigestMismatch, InvalidDocument, RegistryError: from the source.
        Cancelled: `cancelled` was set.
        OSError: from `out`.
    """
    reporter = reporter or Reporter()
    collected = collect(roots, source, sparse=sparse, limits=limits)
    entries: dict[Digest, dict[str, str | list[str]]] = {}
    for root in roots:
        chosen = _image(root.descriptor, collected, platform)
        manifest = decode_manifest(collected.documents[chosen.digest][1], media_type=chosen.media_type).value
        _check(chosen, manifest, reporter)
        layers = [blob_path(layer.digest) for layer in manifest.layers]
        tags = [f"{name.familiar_name}:{name.tag}" for name in root.names if name.tag]
        entry = entries.setdefault(
            chosen.digest, {"Config": blob_path(manifest.config.digest), "RepoTags": [], "Layers": layers}
        )
        entry["RepoTags"] = [*entry["RepoTags"], *(tag for tag in tags if tag not in entry["RepoTags"])]
    documents = {
        "index.json": encode_index(Index(tuple(index_entries(roots)))).raw,
        "manifest.json": canonical_json(list(entries.values())),
    }
    write_tarball(collected, documents, source, out, reporter=reporter, cancelled=cancelled)


def _image(root: Descriptor, collected: Collected, platform: Platform) -> Descriptor:
    """The one manifest that stands for `root` in manifest.json."""
    if media_types.is_manifest(root.media_type):
        return root
    images = list(_images(root, collected))
    chosen = best_match(images, platform, platform_of=lambda image: image.platform)
    if chosen is None and not images:
        raise UsageError(f"{root.digest} holds no image", hint="an OCI archive can hold anything: type=oci")
    return chosen or images[0]


def _images(node: Descriptor, collected: Collected) -> Iterator[Descriptor]:
    """Manifests of images below an index, in its order; what is attached to them (attestations) is for no platform."""
    if media_types.is_manifest(node.media_type):
        if node.platform is None or node.platform.os != "unknown":
            yield node
    elif media_types.is_index(node.media_type):
        for child in decode_index(collected.documents[node.digest][1], media_type=node.media_type).value.manifests:
            if child.digest in collected.documents:
                yield from _images(child, collected)


def _check(image: Descriptor, manifest: Manifest, reporter: Reporter) -> None:
    if not media_types.is_config(manifest.config.media_type):
        raise UsageError(
            f'{image.digest} is an artifact ("{manifest.config.media_type}"), not an image',
            hint="an OCI archive can hold anything: type=oci",
        )
    if any(media_types.layer_compression(layer.media_type) == "zstd" for layer in manifest.layers):
        reporter.warning("layers are compressed with zstd, which docker load reads from version 23.0 on")
