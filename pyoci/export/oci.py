"""OCI layouts, as a directory and as a tar. Spec: image-spec image-layout.md."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pyoci.content import ContentSource, copy_graph
from pyoci.content.layout import DirectoryLayout
from pyoci.content.limits import ContentLimitsOf, default_limits
from pyoci.export.roots import NamedRoot, collect, index_entries
from pyoci.export.tarball import write_tarball
from pyoci.image import Index, encode_index
from pyoci.progress import Reporter

__all__ = ["write_oci_archive", "write_oci_layout"]


def write_oci_layout(
    roots: Sequence[NamedRoot],
    source: ContentSource,
    directory: Path,
    *,
    jobs: int = 4,
    limits: ContentLimitsOf = default_limits,
    reporter: Reporter | None = None,
    cancelled: threading.Event | None = None,
) -> None:
    """Puts images into the layout in `directory`, which is made if it is not there.

    As with buildx, other images of the layout stay, one of the same name is replaced, and one without a name is tagged
    `latest`. What is there already is not written again; index.json changes last, at once.

    Raises:
        ContentError: the directory cannot be written, or holds something that is no layout.
        ContentNotFound, DigestMismatch, InvalidDocument, RegistryError: from the source.
        Cancelled: `cancelled` was set.
    """
    layout = DirectoryLayout(directory, limits=limits)
    for root in roots:
        copy_graph(
            root.descriptor,
            source,
            layout,
            kind="export",
            jobs=jobs,
            limits=limits,
            reporter=reporter,
            cancelled=cancelled,
        )
    layout.add_roots(index_entries(roots))


def write_oci_archive(
    roots: Sequence[NamedRoot],
    source: ContentSource,
    out: BinaryIO,
    *,
    sparse: bool = False,
    limits: ContentLimitsOf = default_limits,
    reporter: Reporter | None = None,
    cancelled: threading.Event | None = None,
) -> None:
    """Writes a layout with just these images as a tar. Blobs are streamed; nothing of them is kept in memory.

    `sparse` leaves out the images of an index that the source does not hold.

    Raises:
        ContentNotFound, DigestMismatch, InvalidDocument, RegistryError: from the source.
        Cancelled: `cancelled` was set.
        OSError: from `out`.
    """
    index = encode_index(Index(tuple(index_entries(roots))))
    write_tarball(
        collect(roots, source, sparse=sparse, limits=limits),
        {"index.json": index.raw},
        source,
        out,
        reporter=reporter or Reporter(),
        cancelled=cancelled,
    )
