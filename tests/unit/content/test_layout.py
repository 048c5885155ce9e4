"""An OCI layout in a directory: written as buildx writes it, read as if an enemy had written it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pyoci.content import MemoryContent, copy_graph
from pyoci.content.layout import DirectoryLayout
from pyoci.content.limits import ContentLimits
from pyoci.content.names import IMAGE_NAME, REF_NAME, with_name
from pyoci.digest import Digest, sha256_digest
from pyoci.errors import ContentError, ContentNotFound, DigestMismatch, InvalidDocument, UsageError
from pyoci.image import Descriptor, Index, encode_index, media_types
from pyoci.reference import parse_reference
from pyoci.store import Store
from tests.builders import check_image, make_image, make_layer
from tests.content_laws import STORAGE_LAWS, Storage, descriptor_of

WANTED = descriptor_of(b"blob")


@pytest.fixture
def layout(tmp_path: Path) -> DirectoryLayout:
    return DirectoryLayout(tmp_path / "new" / "layout")


@pytest.mark.parametrize("law", STORAGE_LAWS)
def test_a_layout_keeps_the_laws(law: Callable[[Storage], None], layout: DirectoryLayout) -> None:
    law(layout)


def files(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}


def test_a_layout_has_the_files_of_the_specification_and_no_others(layout: DirectoryLayout) -> None:
    content, image = make_image([make_layer({"a": b"x"})])
    copy_graph(image.manifest.descriptor(), content, layout)
    layout.add_roots([image.manifest.descriptor()])
    blobs = [image.digest, image.image_id, image.layers[0].descriptor.digest]
    assert files(layout.path) == {"oci-layout", "index.json", *(f"blobs/{blob.replace(':', '/')}" for blob in blobs)}
    assert (layout.path / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
    check_image(image, layout)


def test_a_refused_blob_leaves_no_file(layout: DirectoryLayout) -> None:
    with pytest.raises(DigestMismatch):
        layout.put(WANTED, io.BytesIO(b"BLOB"))
    assert files(layout.path) == set()


def test_a_full_disk_is_told_and_leaves_no_file(layout: DirectoryLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyoci.content.layout.os.write", full)
    with pytest.raises(ContentError) as caught:
        layout.put(WANTED, io.BytesIO(b"blob"))
    assert caught.value.message == f"cannot write to {layout.path}: No space left on device"
    assert files(layout.path) == set()


# names


def root(name: str) -> Descriptor:
    return descriptor_of(name.encode(), media_types.MANIFEST)


def named(name: str, content: str = "") -> Descriptor:
    return with_name(root(content or name), parse_reference(name))


def entries(layout: DirectoryLayout) -> list[tuple[str | None, str | None, str]]:
    """Both names and the digest of every entry."""
    found = []
    for entry in json.loads((layout.path / "index.json").read_bytes())["manifests"]:
        annotations = entry.get("annotations", {})
        found.append((annotations.get(IMAGE_NAME), annotations.get(REF_NAME), entry["digest"]))
    return found


def test_names_are_annotated_as_buildx_does(layout: DirectoryLayout) -> None:
    layout.add_roots([named("app:1"), named("localhost:5000/team/app")])
    assert entries(layout) == [
        ("docker.io/library/app:1", "1", root("app:1").digest),
        ("localhost:5000/team/app:latest", "latest", root("localhost:5000/team/app").digest),
    ]


def test_an_image_without_a_name_is_tagged_latest(layout: DirectoryLayout) -> None:
    layout.add_roots([root("a")])
    layout.add_roots([root("b")])
    assert entries(layout) == [(None, "latest", root("b").digest)]


def test_a_name_is_moved_and_other_entries_stay_as_they_are(layout: DirectoryLayout) -> None:
    layout.add_roots([named("app:1"), named("app:2")])
    index = json.loads((layout.path / "index.json").read_bytes())
    index["manifests"][1]["x-unknown"] = {"kept": [1]}
    index["x-also"] = "kept"
    (layout.path / "index.json").write_text(json.dumps(index))
    layout.add_roots([named("app:1", "newer"), root("nameless")])
    again = json.loads((layout.path / "index.json").read_bytes())
    assert again["x-also"] == "kept"
    assert again["manifests"][0] == index["manifests"][1]
    assert entries(layout)[1:] == [
        ("docker.io/library/app:1", "1", root("newer").digest),
        (None, "latest", root("nameless").digest),
    ]


def test_one_tag_of_two_repositories_is_two_entries(layout: DirectoryLayout) -> None:
    layout.add_roots([named("a:1"), named("b:1")])
    assert len(entries(layout)) == 2


def test_a_broken_index_is_not_overwritten(layout: DirectoryLayout) -> None:
    layout.add_roots([named("app:1")])
    (layout.path / "index.json").write_text('{"schemaVersion":2,"manifests":7}')
    with pytest.raises(InvalidDocument, match=r"^index\.manifests: must be an array"):
        layout.add_roots([named("app:2")])
    assert (layout.path / "index.json").read_text() == '{"schemaVersion":2,"manifests":7}'


def test_images_are_listed_with_all_their_names(layout: DirectoryLayout) -> None:
    layout.add_roots([named("app:1", "x"), named("app:2", "x"), named("other", "y")])
    assert layout.images() == [
        (("docker.io/library/app:1", "docker.io/library/app:2"), root("x")),
        (("docker.io/library/other:latest",), root("y")),
    ]


@pytest.mark.parametrize(
    ("ref_name", "names"),
    [
        ("1.0", ()),
        ("latest", ()),
        ("app:1", ("docker.io/library/app:1",)),
        ("localhost/app", ("localhost/app:latest",)),
        ("docker.io/library/app:1", ("docker.io/library/app:1",)),
        ("not a/NAME", ()),
    ],
)
def test_a_ref_name_is_a_tag_or_a_name(layout: DirectoryLayout, ref_name: str, names: tuple[str, ...]) -> None:
    layout.add_roots([replace(root("x"), annotations={REF_NAME: ref_name})])
    assert layout.images() == [(names, root("x"))]
    assert layout.find(ref_name) == root("x")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", "docker.io/library/app:latest"),
        ("latest", "docker.io/library/app:latest"),
        ("1", "app:1"),
        ("app:1", "app:1"),
        ("docker.io/library/app:1", "app:1"),
        ("app", "docker.io/library/app:latest"),
        (f"@{root('app:1').digest}", "app:1"),
    ],
)
def test_a_word_finds_an_image(layout: DirectoryLayout, wanted: str, found: str) -> None:
    layout.add_roots([named("app:1"), named("docker.io/library/app:latest")])
    assert layout.find(wanted) == root(found)


def test_nothing_finds_the_only_image(layout: DirectoryLayout) -> None:
    layout.add_roots([named("app:1", "x"), named("app:2", "x")])
    assert layout.find() == root("x")


def test_what_is_attached_to_an_image_is_none(layout: DirectoryLayout) -> None:
    attached = replace(root("signature"), annotations={"io.containerd.manifest.subject": root("app").digest})
    layout.add_roots([named("app"), attached])
    assert layout.images() == [(("docker.io/library/app:latest",), root("app"))]
    layout.add_roots([named("app:2", "app")])
    assert layout.find() == root("app")


@pytest.mark.parametrize("config", [media_types.CONFIG, media_types.DOCKER_CONFIG])
def test_an_entry_whose_artifact_type_is_that_of_a_config_is_an_image(layout: DirectoryLayout, config: str) -> None:
    """As crane, ko and kaniko write entries: go-containerregistry gives each the type of its config."""
    layout.add_roots([root("app")])
    entry = replace(root("app"), artifact_type=config)
    (layout.path / "index.json").write_bytes(encode_index(Index((entry,))).raw)
    assert layout.images() == [((), entry)]
    assert layout.find() == entry


def test_what_is_not_there_is_told_with_what_is(layout: DirectoryLayout) -> None:
    layout.add_roots([named("app:1"), named("app:2")])
    with pytest.raises(ContentNotFound) as caught:
        layout.find("app:3")
    assert caught.value.message == f'"app:3" is not in {layout.path}'
    assert caught.value.hint == "it has 1, 2, docker.io/library/app:1, docker.io/library/app:2"
    with pytest.raises(ContentNotFound) as caught:
        layout.find()
    assert caught.value.message == f"{layout.path} holds 2 images, none of them tagged latest"
    with pytest.raises(ContentNotFound, match="is not in"):
        layout.find("@sha256:" + "0" * 64)
    with pytest.raises(UsageError, match="is not a sha256 digest"):
        layout.find("@sha256:0")


@pytest.mark.parametrize("declared", [True, False])
def test_a_digest_finds_a_document_that_no_entry_names(layout: DirectoryLayout, declared: bool) -> None:
    content, image = make_image([make_layer({"a": b"x"})])
    members = json.loads(image.manifest.raw)
    if not declared:
        del members["mediaType"]
    inner = json.dumps(members).encode()
    child = content.add(inner, media_types.MANIFEST)
    top = content.add(encode_index(Index((child,))).raw, media_types.INDEX)
    copy_graph(top, content, layout)
    layout.add_roots([with_name(top, parse_reference("app"))])
    assert layout.find(f"@{child.digest}") == child
    with pytest.raises(ContentNotFound):
        layout.find(f"@{image.image_id}")


# enemies


def test_what_is_no_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(ContentNotFound) as caught:
        DirectoryLayout(tmp_path / "absent").index()
    assert caught.value.message == f"{tmp_path / 'absent'} does not exist"
    with pytest.raises(ContentNotFound) as caught:
        DirectoryLayout(tmp_path).index()
    assert caught.value.message == f"{tmp_path} has no oci-layout"
    (tmp_path / "file").write_text("")
    with pytest.raises(ContentError, match="Not a directory"):
        DirectoryLayout(tmp_path / "file").index()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"imageLayoutVersion":"2.0.0"}', "is an image layout of version 2.0.0, only 1.0.0 is known"),
        ("{}", "is an image layout of version None, only 1.0.0 is known"),
        ("", "oci-layout is not valid JSON"),
    ],
)
def test_another_version_is_refused(layout: DirectoryLayout, content: str, message: str) -> None:
    layout.add_roots([])
    (layout.path / "oci-layout").write_text(content)
    with pytest.raises(InvalidDocument, match=message):
        layout.index()


def test_a_changed_blob_is_found_out_when_it_is_read(layout: DirectoryLayout) -> None:
    layout.put(WANTED, io.BytesIO(b"blob"))
    path = layout.path / "blobs" / WANTED.digest.replace(":", "/")
    path.write_bytes(b"BLOB")
    with layout.open(WANTED) as stream, pytest.raises(DigestMismatch):
        stream.read()
    path.write_bytes(b"longer than that")
    assert not layout.has(WANTED)


def test_no_write_is_so_large_that_its_pages_must_be_contiguous(tmp_path: Path) -> None:
    wanted: list[int] = []

    class Stream(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            wanted.append(size or 0)
            return super().read(size)

    data = bytes(3 << 20)
    blob = Descriptor("application/octet-stream", sha256_digest(data), len(data))
    for sink in (DirectoryLayout(tmp_path / "layout"), Store(tmp_path / "store")):
        wanted.clear()
        sink.put(blob, Stream(data))
        assert 0 < max(wanted) <= 1 << 19


def test_an_index_beyond_the_limit_is_not_read(layout: DirectoryLayout) -> None:
    layout.add_roots([])
    (layout.path / "index.json").write_bytes(b" " * (4 << 20) + b"{}")
    with pytest.raises(InvalidDocument, match=r"index\.json is larger than the 4194304 bytes") as caught:
        layout.index()
    assert caught.value.hint == "if an image may be so, raise document-size in the table [limits] of config.toml"


def test_an_index_may_be_as_large_as_was_said(layout: DirectoryLayout) -> None:
    layout.add_roots([])
    path = layout.path / "index.json"
    path.write_bytes(path.read_bytes() + b" " * (4 << 20))
    allowing = DirectoryLayout(layout.path, limits=lambda: ContentLimits(document_bytes=5 << 20))
    assert allowing.index().manifests == ()


def with_link(layout: DirectoryLayout, outside: Path, name: str) -> None:
    """Replaces something of a layout by a link to a copy of it outside."""
    layout.put(WANTED, io.BytesIO(b"blob"))
    layout.add_roots([root("x")])
    inside = layout.path / name
    inside.rename(outside)
    inside.symlink_to(outside)


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256", f"blobs/{WANTED.digest.replace(':', '/')}"])
def test_blobs_are_not_read_through_links(layout: DirectoryLayout, tmp_path: Path, name: str) -> None:
    with_link(layout, tmp_path / "outside", name)
    for use in (layout.open, layout.has):
        with pytest.raises(ContentError) as caught:
            use(WANTED)
        assert "is a link or something else that an image layout does not have" in caught.value.message
        assert not isinstance(caught.value, ContentNotFound)


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
def test_documents_are_not_read_through_links(layout: DirectoryLayout, tmp_path: Path, name: str) -> None:
    with_link(layout, tmp_path / "outside", name)
    with pytest.raises(ContentError, match="is a link"):
        layout.index()


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
def test_nothing_is_written_through_links(layout: DirectoryLayout, tmp_path: Path, name: str) -> None:
    with_link(layout, tmp_path / "outside", name)
    before = files(tmp_path / "outside")
    with pytest.raises(ContentError, match="is a link"):
        layout.put(descriptor_of(b"other"), io.BytesIO(b"other"))
    assert files(tmp_path / "outside") == before


def test_a_file_that_is_a_link_is_replaced_and_not_written_through(layout: DirectoryLayout, tmp_path: Path) -> None:
    layout.path.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (layout.path / "blobs/sha256").mkdir(parents=True)
    path = layout.path / "blobs" / WANTED.digest.replace(":", "/")
    path.symlink_to(victim)
    layout.put(WANTED, io.BytesIO(b"blob"))
    assert victim.read_text() == "untouched"
    assert not path.is_symlink()
    assert path.read_bytes() == b"blob"


def test_a_fifo_does_not_stop_the_reader(layout: DirectoryLayout) -> None:
    (layout.path / "blobs/sha256").mkdir(parents=True)
    os.mkfifo(layout.path / "blobs" / WANTED.digest.replace(":", "/"))
    with pytest.raises(ContentError, match="is a link or something else"):
        layout.open(WANTED)


def test_the_layout_itself_may_be_reached_through_a_link(layout: DirectoryLayout, tmp_path: Path) -> None:
    layout.put(WANTED, io.BytesIO(b"blob"))
    (tmp_path / "link").symlink_to(layout.path)
    assert DirectoryLayout(tmp_path / "link").open(WANTED).read() == b"blob"


def test_a_sparse_layout_says_what_is_missing(layout: DirectoryLayout) -> None:
    """image-layout.md: the blobs directory MAY be missing referenced blobs."""
    layout.add_roots([replace(WANTED, digest=Digest("sha256:" + "0" * 64))])
    (root_,) = layout.index().manifests
    assert not layout.has(root_)
    with pytest.raises(ContentNotFound):
        copy_graph(root_, layout, MemoryContent())
