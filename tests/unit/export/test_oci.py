"""OCI layouts and archives: their files, their names, and that equal images give equal bytes."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from pyoci.content import MemoryContent
from pyoci.content.archive import open_archive
from pyoci.content.layout import DirectoryLayout
from pyoci.errors import Cancelled, ContentError, ContentNotFound, DigestMismatch
from pyoci.export.oci import write_oci_archive, write_oci_layout
from pyoci.export.roots import NamedRoot
from pyoci.image import Descriptor, Index, encode_index, media_types
from pyoci.image.schema import validate
from pyoci.progress import Reporter
from pyoci.reference import parse_reference
from tests.builders import check_image, make_image, make_layer

CONTENT, IMAGE = make_image([make_layer({"a": b"x" * 5000}), make_layer({"b": b"y"})])
_, OTHER = make_image([make_layer({"a": b"x" * 5000})], content=CONTENT)


def root(*names: str) -> NamedRoot:
    return NamedRoot(IMAGE.manifest.descriptor(), tuple(parse_reference(name) for name in names))


def archive(*roots: NamedRoot, content: MemoryContent = CONTENT) -> bytes:
    out = io.BytesIO()
    write_oci_archive(roots, content, out)
    return out.getvalue()


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getmembers()


def read(data: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        stream = tar.extractfile(name)
        assert stream is not None
        return stream.read()


def test_the_files_of_an_archive_are_those_of_a_layout_in_order() -> None:
    digests = sorted(
        digest[7:] for digest in (IMAGE.digest, IMAGE.image_id, *(layer.descriptor.digest for layer in IMAGE.layers))
    )
    names = ["blobs", "blobs/sha256", *(f"blobs/sha256/{digest}" for digest in digests), "index.json", "oci-layout"]
    assert [member.name for member in members(archive(root("app")))] == names


def test_entries_belong_to_nobody_and_have_no_time() -> None:
    for member in members(archive(root("app"))):
        assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0)
        assert member.mode == (0o755 if member.isdir() else 0o644)


def test_equal_images_give_equal_bytes() -> None:
    again, _ = make_image([make_layer({"b": b"y"})])
    for blob in reversed(list(CONTENT._blobs.values())):
        again.add(blob, "a/b")
    assert archive(root("app")) == archive(root("app"), content=again)


def test_the_index_is_valid_and_has_an_entry_per_name() -> None:
    raw = read(archive(root("app:1", "localhost:5000/team/app")), "index.json")
    assert validate(raw, media_types.INDEX) == []
    entries = json.loads(raw)["manifests"]
    assert [entry["annotations"] for entry in entries] == [
        {"io.containerd.image.name": "docker.io/library/app:1", "org.opencontainers.image.ref.name": "1"},
        {
            "io.containerd.image.name": "localhost:5000/team/app:latest",
            "org.opencontainers.image.ref.name": "latest",
        },
    ]
    assert {entry["digest"] for entry in entries} == {IMAGE.digest}


def test_an_image_may_have_no_name() -> None:
    (entry,) = json.loads(read(archive(root()), "index.json"))["manifests"]
    assert "annotations" not in entry


def test_shared_blobs_are_written_once(tmp_path: Path) -> None:
    data = archive(root("app"), NamedRoot(OTHER.manifest.descriptor(), (parse_reference("other"),)))
    names = [member.name for member in members(data)]
    assert len(names) == len(set(names))
    (tmp_path / "x.tar").write_bytes(data)
    with open_archive(tmp_path / "x.tar", scratch=tmp_path) as opened:
        check_image(IMAGE, opened)
        check_image(OTHER, opened)


def test_all_platforms_of_an_index_are_written(tmp_path: Path) -> None:
    entries = (IMAGE.manifest.descriptor(platform=IMAGE.platform), OTHER.manifest.descriptor())
    top = CONTENT.add(encode_index(Index(entries)).raw, media_types.INDEX)
    (tmp_path / "x.tar").write_bytes(archive(NamedRoot(top)))
    with open_archive(tmp_path / "x.tar", scratch=tmp_path) as opened:
        assert opened.images() == [((), top)]
        check_image(IMAGE, opened)
        check_image(OTHER, opened)


class Lying(MemoryContent):
    """Gives one blob other bytes than it should, unverified, as a broken source would."""

    def __init__(self, wrong: Descriptor, data: bytes) -> None:
        super().__init__(CONTENT._blobs.values())
        self._wrong = wrong
        self._data = data

    def open(self, descriptor: Descriptor) -> BinaryIO:
        return io.BytesIO(self._data) if descriptor == self._wrong else super().open(descriptor)


@pytest.mark.parametrize("data", [b"", b"x" * 10, b"x" * 10_000])
def test_a_source_that_gives_another_number_of_bytes_is_refused(data: bytes) -> None:
    layer = IMAGE.layers[0].descriptor
    with pytest.raises(DigestMismatch):
        write_oci_archive([root("app")], Lying(layer, data), io.BytesIO())


def test_what_is_missing_is_not_found() -> None:
    with pytest.raises(ContentNotFound):
        write_oci_archive([root("app")], MemoryContent(), io.BytesIO())


def test_it_stops_when_it_is_told_to() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        write_oci_archive([root("app")], CONTENT, io.BytesIO(), cancelled=cancelled)


def test_progress_is_told_by_blob() -> None:
    class Events(Reporter):
        def __init__(self) -> None:
            self.seen: dict[str, list[int | str]] = {}

        def transfer_started(self, name: str, kind: str, total_bytes: int) -> None:
            self.seen[name] = [kind, total_bytes]

        def transfer_advanced(self, name: str, done_bytes: int) -> None:
            self.seen[name].append(done_bytes)

        def transfer_done(self, name: str, outcome: str) -> None:
            self.seen[name].append(outcome)

    events = Events()
    write_oci_archive([root("app")], CONTENT, io.BytesIO(), reporter=events)
    layer = IMAGE.layers[0].descriptor
    assert events.seen[layer.digest] == ["export", layer.size, layer.size, "done"]
    assert set(events.seen) == {IMAGE.image_id, *(one.descriptor.digest for one in IMAGE.layers)}


# a directory


def test_a_layout_is_what_the_archive_holds(tmp_path: Path) -> None:
    write_oci_layout([root("app:1")], CONTENT, tmp_path / "layout")
    data = archive(root("app:1"))
    on_disk = {
        path.relative_to(tmp_path / "layout").as_posix(): path.read_bytes()
        for path in (tmp_path / "layout").rglob("*")
        if path.is_file()
    }
    assert on_disk == {member.name: read(data, member.name) for member in members(data) if member.isfile()}


def test_other_images_of_a_layout_stay_and_a_name_is_moved(tmp_path: Path) -> None:
    write_oci_layout([root("app:1"), root("app:2")], CONTENT, tmp_path)
    write_oci_layout([NamedRoot(OTHER.manifest.descriptor(), (parse_reference("app:1"),))], CONTENT, tmp_path)
    layout = DirectoryLayout(tmp_path)
    assert layout.find("app:1").digest == OTHER.digest
    assert layout.find("app:2").digest == IMAGE.digest


def test_an_image_without_a_name_is_latest_in_a_layout(tmp_path: Path) -> None:
    write_oci_layout([root()], CONTENT, tmp_path)
    assert DirectoryLayout(tmp_path).find("latest").digest == IMAGE.digest


def test_a_layout_with_holes_is_filled(tmp_path: Path) -> None:
    write_oci_layout([root("app")], CONTENT, tmp_path)
    blob = tmp_path / "blobs" / IMAGE.layers[0].descriptor.digest.replace(":", "/")
    blob.unlink()
    write_oci_layout([root("app")], CONTENT, tmp_path)
    check_image(IMAGE, DirectoryLayout(tmp_path))


def test_when_content_is_missing_the_index_is_not_touched(tmp_path: Path) -> None:
    write_oci_layout([root("app:1")], CONTENT, tmp_path)
    before = (tmp_path / "index.json").read_bytes()
    with pytest.raises(ContentNotFound):
        write_oci_layout([NamedRoot(OTHER.manifest.descriptor())], MemoryContent(), tmp_path)
    assert (tmp_path / "index.json").read_bytes() == before


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ContentError, match=r"cannot open .*/file: Not a directory"):
        write_oci_layout([root("app")], CONTENT, tmp_path / "file")
