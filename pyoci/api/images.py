"""Images of the store: list, inspect, name, remove."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyoci.api.services import Options, Services, opened
from pyoci.api.transfer import find_image
from pyoci.content.limits import stored_limits
from pyoci.digest import Digest
from pyoci.errors import ContentError, UsageError
from pyoci.image import Descriptor, Image
from pyoci.reference import Reference, parse_reference
from pyoci.resolver import read_image
from pyoci.values import dataclass

if TYPE_CHECKING:
    from pyoci.store.collect import Pruned

__all__ = ["ImageSummary", "images", "inspect", "prune", "remove", "tag"]


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """One row of `pyoci images`."""

    reference: Reference
    image_id: Digest
    created: str | None
    """RFC 3339."""
    size: int
    """Bytes of the files of all layers, as docker counts; of the blob where a layer was never read."""
    root: Descriptor


def images(*, options: Options | None = None) -> list[ImageSummary]:
    """Every named image of the store, the newest name first."""
    with opened(options) as services:
        rows = []
        for reference, root in reversed(services.store.tags.all()):
            image = _readable(reference.familiar, root, services)
            if image is None:
                continue
            config = image.config.value
            rows.append(ImageSummary(reference, image.image_id, config.created, _size(image, services), root))
        return rows


def _readable(name: str, root: Descriptor, services: Services) -> Image | None:
    """The image for this machine, else the first that is there whole; None if only another part was fetched."""
    for platform in (services.environment.platform, None):
        try:
            return read_image(root, services.store, platform, name=name, limits=stored_limits)
        except (ContentError, UsageError):
            continue
    return None


def _size(image: Image, services: Services) -> int:
    from pyoci.build.trees import layer_size

    return sum(layer_size(layer, services.store) for layer in image.layers)


def inspect(name: str, *, validate: bool = False, options: Options | None = None) -> dict[str, Any]:
    """An image of the store as `docker image inspect` shows it, as JSON values.

    With `validate`, its documents are held against image-spec's schemas and its blobs against their digests.

    Raises:
        ContentNotFound: no such image.
        InvalidDocument, DigestMismatch: `validate` found a fault.
    """
    with opened(options) as services:
        _, root = find_image(name, services)
        image = _readable(name, root, services)
        if image is None:
            here = services.environment.platform
            image = read_image(root, services.store, here, name=name, limits=stored_limits)  # says what is wrong
        if validate:
            _validate(image, services)
        tags = [ref for ref, descriptor in services.store.tags.all() if descriptor.digest == root.digest]
        return _inspected(image, root, tags, _size(image, services))


def _inspected(image: Image, root: Descriptor, tags: list[Reference], size: int) -> dict[str, Any]:
    config = json.loads(image.config.raw)
    return {
        "Id": image.image_id,
        "RepoTags": [tag.familiar for tag in tags],
        "RepoDigests": sorted({f"{tag.familiar_name}@{root.digest}" for tag in tags}),
        "Created": image.config.value.created,
        "Author": image.config.value.author,
        "Architecture": image.platform.architecture,
        "Variant": image.platform.variant,
        "Os": image.platform.os,
        "Size": size,
        "Config": config.get("config", {}),
        "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in image.layers]},
        "Descriptor": {"mediaType": root.media_type, "digest": root.digest, "size": root.size},
        "Layers": [
            {"mediaType": layer.descriptor.media_type, "digest": layer.descriptor.digest, "size": layer.descriptor.size}
            for layer in image.layers
        ],
        "History": config.get("history", []),
    }


def _validate(image: Image, services: Services) -> None:
    from pyoci.content.verify import VerifyingReader
    from pyoci.errors import InvalidDocument
    from pyoci.image.schema import validate

    for document in (image.manifest, image.config):
        problems = validate(document.raw, document.media_type)
        if problems:
            raise InvalidDocument(f"{document.digest}: {problems[0].path}: {problems[0].message}")
    for layer in image.layers:
        if services.store.has(layer.descriptor):
            with VerifyingReader(services.store.open(layer.descriptor), layer.descriptor) as reader:
                while reader.read(1 << 20):
                    pass


def tag(source: str, target: str, *, options: Options | None = None) -> None:
    """Gives an image of the store another name.

    Raises:
        ContentNotFound: no such image.
        UsageError: the new name is none, or has a digest.
    """
    name = parse_reference(target)
    if name.digest is not None:
        raise UsageError(
            f'refusing to create a tag with a digest reference: "{target}"', hint="give it a name and a tag"
        )
    with opened(options) as services:
        _, root = find_image(source, services)
        services.store.tags.set(name, root)


def remove(name: str, *, options: Options | None = None) -> list[str]:
    """Takes a name away, and what nothing else needs any more; returns lines as docker prints them.

    Raises:
        ContentNotFound: no such image.
    """
    with opened(options) as services:
        reference, root = find_image(name, services)
        names = [reference] if reference else [ref for ref, found in services.store.tags.all() if found == root]
        for each in names:
            services.store.tags.remove(each)
        lines = [f"Untagged: {each.familiar}" for each in names]
        if not any(found.digest == root.digest for _, found in services.store.tags.all()):
            from pyoci.store.collect import remove_graph

            lines.extend(f"Deleted: {digest}" for digest in remove_graph(root, services.store))
        return lines


def prune(*, everything: bool = False, options: Options | None = None) -> Pruned:
    """Removes what no named image and no cached step needs; with `everything`, the build cache and cache mounts as
    well.

    Raises:
        UsageError: somebody else is using the store.
        ContentError, LayerError, SandboxError: something cannot be removed.
    """
    from pyoci.store.collect import prune as prune_store

    with opened(options) as services, services.store.alone() as alone:
        if not alone:
            raise UsageError("another pyoci is using the store", hint="wait until it has finished")
        return prune_store(services.store, services.snapshotter.remove, everything=everything)
