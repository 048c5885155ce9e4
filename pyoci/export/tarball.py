"""The tar around an image: an OCI layout's files in order, streamed."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from typing import BinaryIO

from pyoci.content import ContentSource
from pyoci.content.layout import LAYOUT_FILE
from pyoci.digest import Digest
from pyoci.errors import Cancelled, DigestMismatch
from pyoci.export.roots import Collected
from pyoci.image import Descriptor
from pyoci.layer.encode import END_OF_ARCHIVE, encode_header, padding
from pyoci.layer.entry import Entry, LayerPath
from pyoci.progress import Reporter

__all__ = ["blob_path", "write_tarball"]

_CHUNK = 1 << 20


def blob_path(digest: Digest) -> str:
    """Where a layout keeps a blob."""
    return f"blobs/{digest.replace(':', '/', 1)}"


def write_tarball(
    collected: Collected,
    documents: Mapping[str, bytes],
    source: ContentSource,
    out: BinaryIO,
    *,
    reporter: Reporter,
    cancelled: threading.Event | None,
) -> None:
    """Writes everything collected under `blobs/`, `oci-layout`, and the documents by their names.

    Raises:
        ContentNotFound, DigestMismatch, RegistryError: from the source; what was written so far is worth nothing then.
        Cancelled: `cancelled` was set.
        OSError: from `out`.
    """
    files: dict[str, bytes | Descriptor] = {"oci-layout": LAYOUT_FILE, **documents}
    files |= {blob_path(digest): blob for digest, blob in collected.blobs.items()}
    files |= {blob_path(digest): raw for digest, (_, raw) in collected.documents.items()}
    folders = {name.rpartition("/")[0] for name in files if "/" in name}

    def write_blob(name: str, blob: Descriptor) -> None:
        def advanced(done_bytes: int) -> None:
            if cancelled is not None and cancelled.is_set():
                raise Cancelled
            reporter.transfer_advanced(blob.digest, done_bytes)

        reporter.transfer_started(blob.digest, "export", blob.size)
        with source.open(blob) as stream:
            _write(name, blob.size, stream, out, advanced)
        reporter.transfer_done(blob.digest, "done")

    for name in sorted({*files, *folders, *("blobs" for _ in folders)}):
        content = files.get(name)
        match content:
            case None:
                out.write(encode_header(Entry(LayerPath(name), "dir", 0o755)))
            case bytes():
                _write(name, len(content), io.BytesIO(content), out, lambda _: None)
            case _:
                write_blob(name, content)
    out.write(END_OF_ARCHIVE)


def _write(name: str, size: int, stream: BinaryIO, out: BinaryIO, advanced: Callable[[int], None]) -> None:
    """One file, of just the size that was promised. Reading to the end is what makes a verifying stream verify."""
    out.write(encode_header(Entry(LayerPath(name), "file", 0o644, size=size)))
    done = 0
    while data := stream.read(_CHUNK):
        done += len(data)
        if done > size:
            break
        out.write(data)
        advanced(done)
    if done != size:
        raise DigestMismatch(f"{name} has not the {size} bytes of its descriptor")
    out.write(padding(size))
