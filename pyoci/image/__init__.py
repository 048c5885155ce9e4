"""The documents of image-spec 1.1 as frozen values: descriptor, manifest, index, config.

Decodes them strictly and encodes them canonically; never opens a blob, a file or a socket. A foreign document keeps its
exact bytes (`Document.raw`), so that its digest stays true whatever this code does not know.

Spec: opencontainers/image-spec v1.1.1. Docker's schema 2 documents (distribution's manifest-v2-2.md) are read as the
same values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyoci.image.codec import (
        decode_config,
        decode_index,
        decode_manifest,
        encode_config,
        encode_index,
        encode_manifest,
    )
    from pyoci.image.config import ContainerConfig, Healthcheck, History, ImageConfig
    from pyoci.image.descriptor import Descriptor
    from pyoci.image.document import Document
    from pyoci.image.image import Image, Layer
    from pyoci.image.index import Index
    from pyoci.image.manifest import Manifest

__all__ = [
    "ContainerConfig",
    "Descriptor",
    "Document",
    "Healthcheck",
    "History",
    "Image",
    "ImageConfig",
    "Index",
    "Layer",
    "Manifest",
    "decode_config",
    "decode_index",
    "decode_manifest",
    "encode_config",
    "encode_index",
    "encode_manifest",
]

_HOME = {
    "ContainerConfig": "config",
    "Descriptor": "descriptor",
    "Document": "document",
    "Healthcheck": "config",
    "History": "config",
    "Image": "image",
    "ImageConfig": "config",
    "Index": "index",
    "Layer": "image",
    "Manifest": "manifest",
    "decode_config": "codec",
    "decode_index": "codec",
    "decode_manifest": "codec",
    "encode_config": "codec",
    "encode_index": "codec",
    "encode_manifest": "codec",
}


def __getattr__(name: str) -> object:
    """Imports what a name needs when it is first used: a build in which nothing changed decodes no document."""
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)
