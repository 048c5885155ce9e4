"""Archives of images from docker in all its years, from OCI tools, and from enemies.

The shapes are those of moby's docker-image-spec v1.2 and of real `docker save`, podman and skopeo, which
tests/integration/test_archives.py runs.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pyoci.content import MemoryContent, copy_graph
from pyoci.content.archive import ArchiveContent, open_archive
from pyoci.content.names import IMAGE_NAME, REF_NAME
from pyoci.digest import Digest
from pyoci.errors import ContentError, ContentNotFound, DigestMismatch, InvalidDocument
from pyoci.image import Descriptor, Image, Index, decode_config, decode_manifest, encode_index, media_types
from pyoci.image.codec import encode_descriptor
from tests.builders import check_image, make_image, make_layer

Files = dict[str, "bytes | tarfile.TarInfo"]

LAYERS = (make_layer({"etc/passwd": b"root:x:0:0::/:/bin/sh\n"}), make_layer({"app": b"binary" * 1000}))
CONTENT, IMAGE = make_image(LAYERS)


def tar(files: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.SYMTYPE
    info.linkname = target
    return info


def classic(tags: list[str] | None = None, **changes: bytes | tarfile.TarInfo) -> Files:
    """What `docker save` wrote before 25."""
    config_name = f"{IMAGE.image_id[7:]}.json"
    paths = [f"{number}" * 64 + "/layer.tar" for number in range(len(LAYERS))]
    entry = {"Config": config_name, "RepoTags": ["app:1"] if tags is None else tags, "Layers": paths}
    files: Files = {config_name: IMAGE.config.raw}
    for path, layer in zip(paths, LAYERS, strict=True):
        files[path.replace("layer.tar", "VERSION")] = b"1.0"
        files[path.replace("layer.tar", "json")] = b"{}"
        files[path] = layer.tar
    files["manifest.json"] = json.dumps([entry]).encode()
    files["repositories"] = b"{}"
    return files | changes


def layout_files(*roots: Descriptor, content: MemoryContent = CONTENT) -> Files:
    files: Files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    index = {"schemaVersion": 2, "manifests": [encode_descriptor(root) for root in roots]}
    files["index.json"] = json.dumps(index).encode()
    for digest, blob in content._blobs.items():
        files[f"blobs/{digest.replace(':', '/')}"] = blob
    return files


def named(name: str, ref_name: str = "") -> Descriptor:
    annotations = {IMAGE_NAME: name, REF_NAME: ref_name or name.rpartition(":")[2]}
    return IMAGE.manifest.descriptor(annotations=annotations)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[Mapping[str, bytes | tarfile.TarInfo] | bytes], ArchiveContent]:
    def open_it(files: Mapping[str, bytes | tarfile.TarInfo] | bytes) -> ArchiveContent:
        path = tmp_path / "image.tar"
        path.write_bytes(files if isinstance(files, bytes) else tar(files))
        return open_archive(path, scratch=tmp_path)

    return open_it


Opened = Callable[["Files | bytes"], ArchiveContent]


def image_of(archive: ArchiveContent, root: Descriptor) -> Image:
    manifest = decode_manifest(archive.open(root).read(), media_type=root.media_type)
    return Image.of(manifest, decode_config(archive.open(manifest.value.config).read()))


# docker's classic format


def test_a_classic_archive_becomes_an_image_of_plain_layers(opened: Opened) -> None:
    archive = opened(classic())
    ((names, root),) = archive.images()
    assert names == ("docker.io/library/app:1",)
    image = image_of(archive, root)
    check_image(image, archive)
    assert image.image_id == IMAGE.image_id
    assert [layer.diff_id for layer in image.layers] == [layer.diff_id for layer in IMAGE.layers]
    assert {layer.descriptor.media_type for layer in image.layers} == {media_types.LAYER}
    assert root.platform == IMAGE.platform
    assert archive.find("app:1") == archive.find() == root


def test_the_same_archive_gives_the_same_digest(opened: Opened) -> None:
    assert opened(classic()).images() == opened(dict(reversed(classic().items()))).images()


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        (
            ["app", "team/app:2", "localhost:5000/x:3"],
            ["docker.io/library/app:latest", "docker.io/team/app:2", "localhost:5000/x:3"],
        ),
        ([], []),
    ],
)
def test_repo_tags_are_read_in_full(opened: Opened, tags: list[str], names: list[str]) -> None:
    archive = opened(classic(tags))
    ((found, root),) = archive.images()
    assert list(found) == names
    for name in names:
        assert archive.find(name) == root


def test_null_for_tags_and_layers_is_nothing(opened: Opened) -> None:
    _, image = make_image([])
    entry = {"Config": "c.json", "RepoTags": None, "Layers": None}
    archive = opened({"c.json": image.config.raw, "manifest.json": json.dumps([entry]).encode()})
    ((names, root),) = archive.images()
    assert names == ()
    assert image_of(archive, root).layers == ()


def test_a_layer_may_be_a_link_to_another_images_layer(opened: Opened) -> None:
    path = "1" * 64 + "/layer.tar"
    files = classic()
    files["2" * 64 + "/layer.tar"] = files[path]
    archive = opened(files | {path: link(path, f"../{'2' * 64}/layer.tar")})
    check_image(image_of(archive, archive.find()), archive)


@pytest.mark.parametrize("prefix", ["./", ""])
def test_paths_may_be_digests_or_anything_else(opened: Opened, prefix: str) -> None:
    """As crane, kaniko and `docker save` since 25 write them."""
    files: Files = {}
    paths = []
    for layer in LAYERS:
        paths.append(f"blobs/sha256/{layer.diff_id[7:]}")
        files[prefix + paths[-1]] = layer.tar
    files[prefix + IMAGE.image_id] = IMAGE.config.raw
    entry = {"Config": IMAGE.image_id, "RepoTags": ["app:1"], "Layers": paths, "Parent": "x", "LayerSources": {}}
    files[prefix + "manifest.json"] = json.dumps([entry]).encode()
    archive = opened(files)
    check_image(image_of(archive, archive.find("app:1")), archive)


@pytest.mark.parametrize("written", ["./{}", "/{}", "./{}/.", "x/../{}"])
def test_paths_of_manifest_json_mean_what_they_mean_on_disk(opened: Opened, written: str) -> None:
    """`docker load` cleans them before it looks (moby image/tarexport safePath)."""
    paths = [f"{number}" * 64 + "/layer.tar" for number in range(len(LAYERS))]
    entry = {
        "Config": written.format(f"{IMAGE.image_id[7:]}.json"),
        "RepoTags": ["app:1"],
        "Layers": [written.format(path.replace("/", "//")) for path in paths],
    }
    archive = opened(classic() | {"manifest.json": json.dumps([entry]).encode()})
    check_image(image_of(archive, archive.find("app:1")), archive)


def test_compressed_layers_keep_their_bytes(opened: Opened) -> None:
    paths = [f"{number}" * 64 + "/layer.tar" for number in range(2)]
    zstd = make_layer({"app": b"binary" * 1000}, compression="zstd")
    archive = opened(classic() | {paths[0]: LAYERS[0].blob, paths[1]: zstd.blob})
    image = image_of(archive, archive.find())
    assert [layer.descriptor for layer in image.layers] == [LAYERS[0].descriptor, zstd.descriptor]
    check_image(image, archive)


@pytest.mark.parametrize(("compress", "name"), [(bz2.compress, "bzip2"), (lzma.compress, "xz")])
def test_compression_that_oci_does_not_have_is_refused(
    opened: Opened, compress: Callable[[bytes], bytes], name: str
) -> None:
    path = "0" * 64 + "/layer.tar"
    with pytest.raises(ContentError, match=f"is compressed with {name}, which image-spec does not have"):
        opened(classic() | {path: compress(LAYERS[0].tar)})


def test_several_images_share_layers(opened: Opened) -> None:
    _, other = make_image(LAYERS[:1])
    files = classic()
    first = json.loads(bytes(files["manifest.json"]))[0] if isinstance(files["manifest.json"], bytes) else {}
    second = {"Config": "other.json", "RepoTags": ["other:1"], "Layers": first["Layers"][:1]}
    archive = opened(files | {"other.json": other.config.raw, "manifest.json": json.dumps([first, second]).encode()})
    assert [names for names, _ in archive.images()] == [("docker.io/library/app:1",), ("docker.io/library/other:1",)]
    assert image_of(archive, archive.find("other:1")).image_id == other.image_id
    with pytest.raises(ContentNotFound):
        archive.find()


def test_a_layer_that_is_not_what_the_config_says_is_found_out_when_it_is_read(opened: Opened) -> None:
    path = "0" * 64 + "/layer.tar"
    archive = opened(classic() | {path: LAYERS[1].tar})
    with pytest.raises(DigestMismatch):
        copy_graph(archive.find(), archive, MemoryContent())


def test_a_layer_that_is_missing_is_named(opened: Opened) -> None:
    files = classic()
    del files["1" * 64 + "/layer.tar"]
    with pytest.raises(ContentError) as caught:
        opened(files)
    assert caught.value.message.startswith(f'"{"1" * 64}/layer.tar" is not in /')


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"null", "manifest.json: must be an array, is null"),
        (b"{}", "manifest.json: must be an array, is an object"),
        (b"[", "manifest.json is not valid JSON"),
        (b'[{"Config":1}]', r"manifest.json\[0\].Config: must be a string, is an integer"),
        (b'[{"RepoTags":[]}]', r'manifest.json\[0\]: "Config" is missing'),
        (b'[{"Config":"c","Layers":[]}]', r"manifest.json\[0\]: has 0 layers, its config has 2 diff_ids"),
        (
            b'[{"Config":"c","Layers":["c","c"],"RepoTags":["A:1"]}]',
            r'manifest.json\[0\].RepoTags\[0\]: invalid reference "A:1"',
        ),
        (b'[{"Config":"big","Layers":[]}]', "more than the 4194304 that a document may have"),
        (b'[{"Config":"../c","Layers":[]}]', '"../c" is not in'),
        (b'[{"Config":"/etc/passwd","Layers":[]}]', '"/etc/passwd" is not in'),
        (b'[{"Config":"manifest.json","Layers":[]}]', "config must be a JSON object, is an array"),
    ],
)
def test_a_broken_manifest_json_is_told(opened: Opened, manifest: bytes, message: str) -> None:
    with pytest.raises(ContentError, match=message):
        opened({"c": IMAGE.config.raw, "big": bytes((4 << 20) + 1), "manifest.json": manifest})


def test_the_oldest_format_is_named(opened: Opened) -> None:
    with pytest.raises(ContentError, match=r"has the format that docker save wrote before 1\.10"):
        opened({"repositories": b"{}", "abc/layer.tar": b""})


# OCI


def test_an_oci_archive_is_read_as_it_is(opened: Opened) -> None:
    archive = opened(layout_files(named("docker.io/library/app:1")))
    assert archive.images() == [(("docker.io/library/app:1",), IMAGE.manifest.descriptor())]
    check_image(image_of(archive, archive.find("app:1")), archive)
    assert archive.find("1") == archive.find() == IMAGE.manifest.descriptor()
    assert archive.find(f"@{IMAGE.digest}") == IMAGE.manifest.descriptor()
    for absent in (f"@sha256:{'0' * 64}", f"@{IMAGE.layers[0].descriptor.digest}", "app:2"):
        with pytest.raises(ContentNotFound):
            archive.find(absent)


def test_podman_and_skopeo_put_the_whole_name_into_ref_name(opened: Opened) -> None:
    root = IMAGE.manifest.descriptor(annotations={REF_NAME: "docker.io/library/app:1"})
    assert opened(layout_files(root)).images()[0][0] == ("docker.io/library/app:1",)


def test_docker_since_25_writes_both_and_the_index_counts(opened: Opened) -> None:
    files = classic(["other:9"]) | layout_files(named("docker.io/library/app:1"))
    assert opened(files).images() == [(("docker.io/library/app:1",), IMAGE.manifest.descriptor())]


def test_docker_25_0_0_left_the_layers_out_of_its_manifests(opened: Opened) -> None:
    """moby issue 47065; manifest.json was right."""
    content, _ = make_image([])
    manifest = {**json.loads(IMAGE.manifest.raw), "layers": []}
    root = content.add(json.dumps(manifest).encode(), media_types.MANIFEST)
    content.add(IMAGE.config.raw, media_types.CONFIG)
    archive = opened(classic() | layout_files(root, content=content))
    assert [names for names, _ in archive.images()] == [("docker.io/library/app:1",)]
    check_image(image_of(archive, archive.find()), archive)


def test_an_index_of_platforms_is_one_image(opened: Opened) -> None:
    content, image = make_image(LAYERS)
    entry = image.manifest.descriptor(platform=image.platform)
    top = content.add(encode_index(Index((entry,))).raw, media_types.INDEX)
    archive = opened(layout_files(top, content=content))
    assert archive.images() == [((), top)]
    sink = MemoryContent()
    copy_graph(top, archive, sink)
    check_image(image, sink)


def test_blobs_may_be_missing_until_they_are_wanted(opened: Opened) -> None:
    files = layout_files(named("docker.io/library/app:1"))
    gone = IMAGE.layers[0].descriptor
    del files[f"blobs/{gone.digest.replace(':', '/')}"]
    archive = opened(files)
    assert not archive.has(gone)
    with pytest.raises(ContentNotFound) as caught:
        archive.open(gone)
    assert caught.value.message.startswith(f"{gone.digest} is not in /")


def test_a_changed_blob_is_found_out(opened: Opened) -> None:
    layer = IMAGE.layers[1].descriptor
    archive = opened(layout_files(named("x:1")) | {f"blobs/{layer.digest.replace(':', '/')}": bytes(layer.size)})
    with pytest.raises(DigestMismatch):
        archive.open(layer).read()


def test_what_is_in_blobs_but_no_digest_is_passed_over(opened: Opened) -> None:
    files = layout_files(named("x:1")) | {"blobs/sha256/readme": b"x", "blobs/../blobs/md5/00": b"x", "blobs/x": b""}
    check_image(IMAGE, opened(files))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"oci-layout": b'{"imageLayoutVersion":"9"}'}, "is an image layout of version 9, only 1.0.0 is known"),
        ({"index.json": b"[]"}, "index must be a JSON object"),
        ({"index.json": b'{"schemaVersion":2,"manifests":[],"layers":[]}'}, 'an index cannot have "layers"'),
        ({"index.json": bytes((4 << 20) + 1)}, "more than the 4194304 that it may have"),
    ],
)
def test_a_broken_layout_is_told(opened: Opened, changes: dict[str, bytes], message: str) -> None:
    with pytest.raises(InvalidDocument, match=message):
        opened({**layout_files(), **changes})


def test_a_layout_without_an_index_is_told(opened: Opened) -> None:
    with pytest.raises(ContentError, match=r"has no index\.json"):
        opened({"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'})


# the file around it


def test_what_is_no_archive_of_images_is_told(opened: Opened) -> None:
    for data in (tar({"etc/passwd": b"x"}), b"", bytes(10240)):
        with pytest.raises(ContentError, match="is neither a docker nor an OCI archive"):
            opened(data)
    with pytest.raises(ContentError, match="is not a tar"):
        opened(b"#!/bin/sh\n" * 100)


def zstd_compress(data: bytes) -> bytes:
    from backports import zstd

    return zstd.compress(data)


COMPRESS = {"gzip": gzip.compress, "zstd": zstd_compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("name", COMPRESS)
def test_the_whole_archive_may_be_compressed(opened: Opened, tmp_path: Path, name: str) -> None:
    archive = opened(COMPRESS[name](tar(layout_files(named("docker.io/library/app:1")))))
    check_image(image_of(archive, archive.find()), archive)
    assert [path.name for path in tmp_path.iterdir()] == ["image.tar"]


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damaged_compression_is_told(opened: Opened, name: str, damage: str) -> None:
    data = bytearray(COMPRESS[name](tar(classic()) + os.urandom(4000)))
    if damage == "cut":
        del data[-300:]
    else:
        data[len(data) // 2 :] = os.urandom(len(data) - len(data) // 2)
    with pytest.raises(ContentError, match="cannot be read"):
        opened(bytes(data))


def test_a_gzip_of_several_members_is_one_archive(opened: Opened) -> None:
    data = tar(classic())
    archive = opened(gzip.compress(data[:5000]) + gzip.compress(data[5000:]))
    check_image(image_of(archive, archive.find()), archive)


@pytest.mark.parametrize("compressed", [True, False])
def test_an_archive_may_come_through_a_pipe(tmp_path: Path, compressed: bool) -> None:
    data = tar(classic())
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb") as stream:
            stream.write(gzip.compress(data) if compressed else data)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(reading, "rb") as stream, open_archive(stream, scratch=tmp_path) as archive:
        check_image(image_of(archive, archive.find()), archive)
    feeder.join()
    assert list(tmp_path.iterdir()) == []


def test_an_archive_may_be_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    feeder = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(tar(classic()),))
    feeder.start()
    with open_archive(tmp_path / "pipe", scratch=tmp_path) as archive:
        check_image(image_of(archive, archive.find()), archive)
    feeder.join()


def test_an_archive_larger_than_the_limit_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="holds more than the 1000 bytes"):
        open_archive(io.BytesIO(tar(classic())), scratch=tmp_path, limit_bytes=1000)
    assert list(tmp_path.iterdir()) == []


def test_a_bomb_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(lzma.compress(bytes(300 << 20), preset=0))
    with pytest.raises(ContentError, match="unpacks to more than 1100 times its size"):
        open_archive(tmp_path / "bomb", scratch=tmp_path)


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"cannot open .*: No such file or directory"):
        open_archive(tmp_path / "absent", scratch=tmp_path)
    with pytest.raises(ContentError, match="is a directory, not an archive"):
        open_archive(tmp_path, scratch=tmp_path)
    (tmp_path / "x.tgz").write_bytes(gzip.compress(tar(classic())))
    with pytest.raises(ContentError, match="cannot write to"):
        open_archive(tmp_path / "x.tgz", scratch=tmp_path / "absent")


def test_streams_are_independent_and_outlive_the_archive(opened: Opened) -> None:
    archive = opened(layout_files(named("x:1")))
    first, second = (archive.open(layer.descriptor) for layer in IMAGE.layers)
    assert first.read(10) == LAYERS[0].blob[:10]
    archive.close()
    archive.close()
    assert second.read() == LAYERS[1].blob
    assert first.read() == LAYERS[0].blob[10:]


def test_many_threads_read_at_once(opened: Opened) -> None:
    blobs = [os.urandom(300_000) for _ in range(4)]
    content = MemoryContent(blobs)
    archive = opened(layout_files(content=content))
    failures: list[BaseException] = []

    def read(blob: bytes) -> None:
        try:
            for _ in range(5):
                digest = Digest("sha256:" + hashlib.sha256(blob).hexdigest())
                assert archive.open(Descriptor("a/b", digest, len(blob))).read() == blob
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=read, args=(blob,)) for blob in blobs * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_nothing_stays_open(opened: Opened) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with opened(layout_files(named("x:1"))) as archive:
        archive.open(IMAGE.layers[0].descriptor).close()
    with pytest.raises(ContentError):
        opened({"nothing": b""})
    with pytest.raises(ContentError):
        opened(gzip.compress(b"no tar" * 200))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
