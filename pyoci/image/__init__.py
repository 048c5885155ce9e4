"""The documents of image-spec 1.1 as frozen values: descriptor, manifest, index, config.

Decodes them strictly and encodes them canonically; never opens a blob, a file or a socket. A foreign document keeps its
exact bytes (`Document.raw`), so that its digest stays true whatever this code does not know.

Spec: opencontainers/image-spec v1.1.1. Docker's schema 2 documents (distribution's manifest-v2-2.md) are read as the
same values.
"""

from pyoci.image.codec import decode_config, decode_index, decode_manifest, encode_config, encode_index, encode_manifest
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
