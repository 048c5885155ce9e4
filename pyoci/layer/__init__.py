"""Layers: a file system as metadata, and the tar streams that carry changes of it.

`reader` and `writer` turn a stream into changes and back; `index` remembers a layer's metadata and where its bytes are;
`tree` merges a stack of layers into one file system without unpacking anything; `apply` unpacks one for a RUN. Knows no
registry, no store and no Dockerfile; never follows a symbolic link on the host.

Spec: image-spec v1.1.1 layer.md; POSIX.1-2001 pax; GNU tar's long names, large numbers and sparse files.
"""
