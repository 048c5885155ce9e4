"""Reading the archives of `docker save`: manifest.json becomes manifests, layers stay where they are.

Spec: moby docker-image-spec v1.2, "Combined Image JSON + Filesystem Changeset Format". `docker save` before 25 wrote
only that; later ones write an OCI layout as well. `Config` and `Layers` are paths of the tar, whatever they look like.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from pyoci.content.limits import ContentLimitsOf, default_limits, how_to_raise
from pyoci.content.tar_index import Member, TarIndex
from pyoci.digest import DiffID, Digest
from pyoci.errors import ContentError, InvalidDocument, UsageError
from pyoci.image import Manifest, decode_config, encode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.image.json_node import JsonNode, read_json
from pyoci.reference import parse_reference
from pyoci.values import dataclass

__all__ = ["Converted", "read_docker_manifest"]

_CHUNK = 1 << 20
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"))


@dataclass(frozen=True, slots=True)
class Converted:
    """One image of a docker archive as an OCI image: its root and where the bytes of everything below it are."""

    names: tuple[str, ...]
    """Full references."""
    root: Descriptor
    content: dict[Digest, bytes | Member]


def read_docker_manifest(
    index: TarIndex, read: Callable[[Member, int, int], bytes], *, limits: ContentLimitsOf = default_limits
) -> list[Converted]:
    """The images of manifest.json; `read(member, offset, count)` gives bytes of a file.

    Layers that are stored plain are described by their diff IDs, which reading them proves; compressed ones are read
    once, here, for their digest.

    Raises:
        InvalidDocument: manifest.json or a config breaks its specification or is too large for `limits`, or they
            contradict each other.
        ContentError: what they name is not in the archive.
    """
    limit = limits().document_bytes
    raw = _small(index, "manifest.json", read, limit)
    return [_image(entry, index, read, limit) for entry in read_json(raw, "manifest.json").items()]


def _small(index: TarIndex, name: str, read: Callable[[Member, int, int], bytes], limit: int) -> bytes:
    member = _member(index, name)
    if member.size > limit:
        raise InvalidDocument(
            f'"{name}" in {index.where} is {member.size} bytes, more than the {limit} that a document may have',
            hint=how_to_raise("document-size"),
        )
    return read(member, 0, member.size)


def _member(index: TarIndex, name: str) -> Member:
    member = index.at(name)
    if member is None:
        raise ContentError(f'"{name}" is not in {index.where}', hint="the archive is incomplete; save the image again")
    return member


def _strings(node: JsonNode) -> tuple[str, ...]:
    return tuple(item.string() for item in node.items())


def _image(entry: JsonNode, index: TarIndex, read: Callable[[Member, int, int], bytes], limit: int) -> Converted:
    raw = _small(index, entry.required("Config").string(), read, limit)
    config = decode_config(raw)
    nothing: tuple[str, ...] = ()
    paths = entry.optional("Layers", _strings, nothing)
    diff_ids = config.value.diff_ids
    if len(paths) != len(diff_ids):
        entry.fail(f"has {len(paths)} layers, its config has {len(diff_ids)} diff_ids")
    content: dict[Digest, bytes | Member] = {config.digest: raw}
    layers = []
    for path, diff_id in zip(paths, diff_ids, strict=True):
        member = _member(index, path)
        layer = _layer(path, member, diff_id, index.where, read)
        content[layer.digest] = member
        layers.append(layer)
    manifest = encode_manifest(Manifest(config.descriptor(), tuple(layers)))
    content[manifest.digest] = manifest.raw
    names = entry.optional("RepoTags", _full_names, nothing)
    return Converted(names, manifest.descriptor(platform=config.value.platform), content)


def _full_names(tags: JsonNode) -> tuple[str, ...]:
    names = []
    for tag in tags.items():
        try:
            names.append(str(parse_reference(tag.string())))
        except UsageError as error:
            raise InvalidDocument(f"{tag.path}: {error.message}", hint=error.hint) from error
    return tuple(names)


def _layer(
    path: str, member: Member, diff_id: DiffID, where: str, read: Callable[[Member, int, int], bytes]
) -> Descriptor:
    magic = read(member, 0, min(6, member.size))
    match next((name for sign, name in _MAGIC if magic.startswith(sign)), "none"):
        case "none":
            return Descriptor(media_types.LAYER, diff_id, member.size)
        case "gzip" | "zstd" as compression:
            hasher = hashlib.sha256()
            for offset in range(0, member.size, _CHUNK):
                hasher.update(read(member, offset, min(_CHUNK, member.size - offset)))
            digest = Digest(f"sha256:{hasher.hexdigest()}")
            return Descriptor(media_types.layer_media_type(compression), digest, member.size)
        case other:
            raise ContentError(
                f'layer "{path}" in {where} is compressed with {other}, which image-spec does not have',
                hint="load the archive with docker and save it again",
            )
