"""ADD of a local archive: its entries placed instead of the archive itself.

Whether a file is an archive is told by its bytes, never by its name (gzip, bzip2, xz, zstd or plain tar). Names of
entries cannot leave the destination; whiteout names have no meaning here.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from pyoci.build.files import FileView
from pyoci.build.operations.copy import Placement
from pyoci.build.operations.destination import Destination
from pyoci.build.operations.selection import Selection
from pyoci.build.steps import CopyStep
from pyoci.layer.compression import detect, open_decompressed
from pyoci.layer.entry import Entry
from pyoci.layer.reader import is_archive, read_archive
from pyoci.values import replace

__all__ = ["Spool", "place_archive"]

_CHUNK = 1 << 20


class Spool:
    """Bytes of many files in one unnamed file, so that they can be read again in another order."""

    def __init__(self, directory: Path) -> None:
        self._descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._end = 0

    def add(self, stream: BinaryIO) -> Callable[[], BinaryIO]:
        """Keeps a stream's bytes; returns a function that opens them."""
        start = self._end
        while data := stream.read(_CHUNK):
            os.pwrite(self._descriptor, data, self._end)
            self._end += len(data)
        end = self._end
        return lambda: cast("BinaryIO", io.BufferedReader(_Section(self._descriptor, start, end), _CHUNK))

    def __del__(self) -> None:
        os.close(self._descriptor)


class _Section(io.RawIOBase):
    """A part of a spool."""

    def __init__(self, descriptor: int, start: int, end: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._position = start
        self._end = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._end - self._position)
        data = os.pread(self._descriptor, wanted, self._position) if wanted else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def place_archive(
    selection: Selection, files: FileView, step: CopyStep, to: Destination, placement: Placement, directory: Path
) -> bool:
    """Whether the source is an archive; if so, what is in it is placed. `directory` is for its files' bytes.

    `--chown` changes the owners of what is unpacked, `--chmod` does not change its modes (as in BuildKit).

    Raises:
        LayerError: the archive is damaged or unsafe.
    """
    root = selection.root
    if root.type != "file" or not _is_archive(files, root):
        return False
    base = to.resolve(step.destination)
    to.make_directories(base, replace(placement, mode=None).parent)
    implied = Placement((0, 0), None, step.epoch)
    spool = Spool(directory)
    with _tar(files, root) as stream:
        for entry, body in read_archive(stream):
            if entry.path:  # of the archive's root the destination takes nothing
                content = spool.add(body) if body is not None else None
                uid, gid = placement.owner or (entry.uid, entry.gid)
                to.unpack(replace(entry, uid=uid, gid=gid), base, implied.parent, content)
    return True


def _tar(files: FileView, entry: Entry) -> BinaryIO:
    opened = files.open_content(entry)
    compression, stream = detect(io.FileIO(opened) if isinstance(opened, int) else opened)
    return open_decompressed(stream, compression)


def _is_archive(files: FileView, entry: Entry) -> bool:
    with _tar(files, entry) as stream:
        return is_archive(stream)
