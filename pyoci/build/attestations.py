"""What is said of an image beside it: in-toto statements in a manifest of their own, as BuildKit attaches them.

The manifest stands in the image's index behind the images, for the platform `unknown/unknown`, and names the image that
it is about in annotations and as its subject. Where only the image's files are written, the statements are files among
them, and about each of them.
Spec: image-spec manifest.md (subject, artifactType); in-toto attestation v1; BuildKit docs/attestations.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from pyoci.digest import Digest, digest_hex, sha256_digest
from pyoci.image import Descriptor, Image, Manifest, encode_manifest, media_types
from pyoci.image.codec import canonical_json
from pyoci.layer.entry import Entry
from pyoci.layer.tree import Tree
from pyoci.platforms import Platform
from pyoci.reference import Reference
from pyoci.store import Store
from pyoci.values import dataclass

if TYPE_CHECKING:
    from pyoci.build.builder import Built

__all__ = [
    "SPDX_TYPE",
    "Attest",
    "Statement",
    "attestation_descriptor",
    "file_subject",
    "image_subject",
    "image_url",
    "local_image_url",
]

SPDX_TYPE = "https://spdx.dev/Document"
"""Predicate type of an SPDX document."""
_NO_PLATFORM = Platform("unknown", "unknown")
_EMPTY = b"{}"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Statement:
    """One in-toto statement."""

    subject: Sequence[Mapping[str, Any]]
    """What it is about, each thing by its name and digest."""
    predicate_type: str
    predicate: Mapping[str, Any]

    def encoded(self) -> bytes:
        """Its bytes as a blob."""
        return canonical_json(self._members())

    def as_file(self) -> bytes:
        """Its bytes as a file that people may read."""
        return json.dumps(self._members(), indent=2, ensure_ascii=False).encode() + b"\n"

    def _members(self) -> dict[str, Any]:
        return {
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": self.predicate_type,
            "subject": self.subject,
            "predicate": self.predicate,
        }


Attest: TypeAlias = "Callable[[Built, Image], Sequence[Statement]]"
"""What is to be said of an image that was built, in the form that it has in one output."""


def image_subject(image: Image, names: Sequence[Reference]) -> list[dict[str, Any]]:
    """An image, by every name that it is called."""
    return [{"name": image_url(name, image.platform), "digest": {"sha256": digest_hex(image.digest)}} for name in names]


def file_subject(tree: Tree) -> list[dict[str, Any]]:
    """Every regular file of a file system, by its path.

    Raises:
        LayerError, ContentError, RegistryError: from the tree's layers.
    """
    files = (entry for entry in tree.walk() if entry.type == "file")
    return [{"name": entry.path, "digest": {"sha256": digest_hex(_digest_in(tree, entry))}} for entry in files]


def _digest_in(tree: Tree, entry: Entry) -> Digest:
    known = tree.digest_of(entry)
    if known is not None:
        return known
    hashed = hashlib.sha256()
    with tree.open(entry) as stream:
        while data := stream.read(_CHUNK):
            hashed.update(data)
    return Digest(f"sha256:{hashed.hexdigest()}")


def image_url(name: Reference, platform: Platform, digest: Digest | None = None) -> str:
    """A package URL: `pkg:docker/golang@1.22?digest=sha256:…&platform=linux%2Famd64`."""
    digest = digest or name.digest
    version = f"@{name.tag}" if name.tag else ""
    return f"pkg:docker/{quote(name.familiar_name, safe='/:')}{version}{_qualifiers(digest, platform)}"


def local_image_url(name: str, platform: Platform, digest: Digest) -> str:
    """A package URL of an image that is in no registry."""
    return f"pkg:oci/{quote(name, safe='/:')}{_qualifiers(digest, platform)}"


def _qualifiers(digest: Digest | None, platform: Platform) -> str:
    named = [f"digest={digest}"] if digest else []
    return "?" + "&".join([*named, f"platform={quote(str(platform), safe='')}"])


def attestation_descriptor(image: Image, statements: Sequence[Statement], store: Store) -> Descriptor:
    """The entry of an index for what is said of an image; manifest and statements are in the store."""
    layers = []
    for one in statements:
        annotations = {"in-toto.io/predicate-type": one.predicate_type}
        raw = one.encoded()
        layer = Descriptor(media_types.IN_TOTO, sha256_digest(raw), len(raw), annotations=annotations)
        store.put(layer, io.BytesIO(raw))
        layers.append(layer)
    config = Descriptor(media_types.EMPTY, sha256_digest(_EMPTY), len(_EMPTY), data=_EMPTY)
    store.put(config, io.BytesIO(_EMPTY))
    document = encode_manifest(
        Manifest(
            config=config,
            layers=tuple(layers),
            artifact_type=media_types.ATTESTATION_MANIFEST,
            subject=image.manifest.descriptor(),
        )
    )
    store.put_document(document)
    about = {
        "vnd.docker.reference.digest": str(image.digest),
        "vnd.docker.reference.type": "attestation-manifest",
    }
    return document.descriptor(platform=_NO_PLATFORM, annotations=about)
