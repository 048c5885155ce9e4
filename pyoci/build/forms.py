"""Images in the form that an output asks for.

What an image unpacks to and its ID are the same in every form. Layers of a base stay as they are unless `force` says
otherwise; those of the build are written again from their tar, so that equal tars give equal blobs whatever they were
stored as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyoci.build.annotations import chosen
from pyoci.build.builder import Built
from pyoci.build.cache_key import structural_digest
from pyoci.build.form import PLAIN, Form
from pyoci.build.layers import decode_layer, encode_layer
from pyoci.content import ContentSource
from pyoci.digest import digest_hex
from pyoci.errors import DigestMismatch
from pyoci.image import Descriptor, Image, Index, Layer, encode_index, encode_manifest, media_types
from pyoci.image.document import make_document
from pyoci.store import Store
from pyoci.values import dataclass, replace

if TYPE_CHECKING:
    from pyoci.build.attestations import Attest

__all__ = ["Formed", "in_form", "layer_in_form"]

_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Formed:
    """Images in one form."""

    root: Descriptor
    """Of the manifest, or of the index of several; with the annotations that are meant for a descriptor."""
    images: tuple[Image, ...]


def in_form(
    built: Sequence[Built], form: Form, store: Store, content: ContentSource, *, attest: Attest | None = None
) -> Formed:
    """What was built in this form, its documents and new layers in the store. What `attest` says makes it an index.

    Raises:
        ContentError, LayerError, RegistryError: a layer cannot be read.
    """
    images = tuple(
        one.image if form == PLAIN else _in_form(one.image, one.base_layers, form, store, content) for one in built
    )
    entries = [
        image.manifest.descriptor(
            platform=image.platform, annotations=chosen(form.annotations, "manifest-descriptor", image.platform)
        )
        for image in images
    ]
    if attest is not None:
        for one, image in zip(built, images, strict=True):
            from pyoci.build.attestations import attestation_descriptor

            entries.append(attestation_descriptor(image, attest(one, image), store))
    if len(entries) == 1 and not form.indexed:
        return Formed(entries[0], images)
    index = Index(
        tuple(entries),
        annotations=chosen(form.annotations, "index"),
        media_type=media_types.DOCKER_INDEX if form.docker_types else media_types.INDEX,
    )
    document = encode_index(index)
    store.put_document(document)
    return Formed(document.descriptor(annotations=chosen(form.annotations, "index-descriptor")), images)


def _in_form(image: Image, base_layers: int, form: Form, store: Store, content: ContentSource) -> Image:
    to_type = media_types.to_docker if form.docker_types else media_types.to_oci
    layers = []
    for number, layer in enumerate(image.layers):
        if number >= base_layers or (form.force and _differs(layer, form)):
            layer = _compressed(layer, form, store, content)
        layers.append(replace(layer.descriptor, media_type=to_type(layer.descriptor.media_type)))
    config = make_document(image.config.raw, image.config.value, to_type(image.config.media_type))
    manifest = replace(
        image.manifest.value,
        config=config.descriptor(),
        layers=tuple(layers),
        annotations=chosen(form.annotations, "manifest", image.platform),
        media_type=to_type(media_types.MANIFEST),
    )
    document = encode_manifest(manifest)
    store.put_document(document)
    return Image.of(document, config)


def _differs(layer: Layer, form: Form) -> bool:
    """Layers that must not be passed on stay what they are: their bytes are elsewhere."""
    descriptor = layer.descriptor
    return not descriptor.urls and media_types.layer_compression(descriptor.media_type) != form.compression


def layer_in_form(layer: Layer, form: Form, store: Store, content: ContentSource) -> Layer:
    """A layer of the build as it will be in an image of this form.

    Raises:
        ContentError, LayerError: it cannot be read.
    """
    return layer if form == PLAIN else _compressed(layer, form, store, content)


def _compressed(layer: Layer, form: Form, store: Store, content: ContentSource) -> Layer:
    """The same tar, compressed as the form says; made now or found from an earlier time."""
    if form.level is None and not _differs(layer, form):
        return layer
    name = digest_hex(structural_digest(["compressed", layer.diff_id, form.compression, form.level]))
    known = store.read_file("records", name)
    if known is not None:
        found = decode_layer(known)
        if found is not None and found.diff_id == layer.diff_id and store.has(found.descriptor):
            return found
    from pyoci.layer.compression import open_decompressed
    from pyoci.layer.compressor import LayerOutput

    stored_as = media_types.layer_compression(layer.descriptor.media_type)
    with store.new_blob() as blob, content.open(layer.descriptor) as stream:
        with LayerOutput(blob.stream, form.compression, form.level) as output:
            plain = open_decompressed(stream, stored_as, owned=False)
            while data := plain.read(min(_READ, output.room)):
                output.write(data)
            totals = output.finish()
        if totals.diff_id != layer.diff_id:
            raise DigestMismatch(f"layer {layer.descriptor.digest} unpacks to {totals.diff_id}, not {layer.diff_id}")
        made = Layer(
            Descriptor(media_types.layer_media_type(form.compression), totals.digest, totals.size), layer.diff_id
        )
        blob.commit(made.descriptor)
    store.write_file("records", name, encode_layer(made))
    return made
