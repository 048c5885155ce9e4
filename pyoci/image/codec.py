"""Bytes to documents and back: the front door of `decode` and `encode`, which do the work.

In those two and in `json_node` alone may a value be of any type.
"""

from pyoci.image.decode import decode_config, decode_descriptor, decode_index, decode_manifest, decode_object
from pyoci.image.encode import canonical_json, encode_config, encode_descriptor, encode_index, encode_manifest

__all__ = [
    "canonical_json",
    "decode_config",
    "decode_descriptor",
    "decode_index",
    "decode_manifest",
    "decode_object",
    "encode_config",
    "encode_descriptor",
    "encode_index",
    "encode_manifest",
]
