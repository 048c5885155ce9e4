"""The hybrid archive for docker load; that the real tools take it is tests/integration/test_archives.py's to say."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from pyoci.content import MemoryContent
from pyoci.content.archive import open_archive
from pyoci.content.docker_archive import read_docker_manifest
from pyoci.content.tar_index import Member, index_tar
from pyoci.errors import InvalidDocument, UsageError
from pyoci.export.docker_archive import write_docker_archive
from pyoci.export.roots import NamedRoot
from pyoci.image import Descriptor, Image, ImageConfig, Index, Manifest, encode_index, encode_manifest, media_types
from pyoci.platforms import Platform
from pyoci.progress import Reporter
from pyoci.reference import parse_reference
from tests.builders import check_image, make_image, make_layer

AMD64, ARM64, S390X = (Platform("linux", name) for name in ("amd64", "arm64", "s390x"))
CONTENT = MemoryContent()


def image(platform: Platform, *contents: bytes) -> Image:
    layers = [make_layer({"file": content}) for content in contents]
    return make_image(layers, ImageConfig(platform), content=CONTENT)[1]


ONE, OTHER = image(AMD64, b"a", b"b"), image(ARM64, b"c")


def named(target: Image | Descriptor, *names: str) -> NamedRoot:
    descriptor = target.manifest.descriptor() if isinstance(target, Image) else target
    return NamedRoot(descriptor, tuple(parse_reference(name) for name in names))


def archive(*roots: NamedRoot, platform: Platform = AMD64, reporter: Reporter | None = None) -> dict[str, bytes]:
    out = io.BytesIO()
    write_docker_archive(roots, CONTENT, out, platform=platform, reporter=reporter)
    files = {}
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert [member.name for member in tar] == sorted(tar.getnames())
        for member in tar:
            stream = tar.extractfile(member)
            files[member.name] = stream.read() if stream else b""
    return files


def blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def test_manifest_json_leads_into_the_blobs() -> None:
    files = archive(named(ONE, "app:1"))
    assert json.loads(files["manifest.json"]) == [
        {
            "Config": blob(ONE.image_id),
            "RepoTags": ["app:1"],
            "Layers": [blob(layer.descriptor.digest) for layer in ONE.layers],
        }
    ]
    assert set(files) == {
        *("blobs", "blobs/sha256", "index.json", "manifest.json", "oci-layout", blob(ONE.digest), blob(ONE.image_id)),
        *(blob(layer.descriptor.digest) for layer in ONE.layers),
    }
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["digest"] == ONE.digest
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/library/app:1"


def test_names_are_familiar_and_only_tags_count() -> None:
    digest = f"app@{ONE.digest}"
    files = archive(named(ONE, "docker.io/library/app", "docker.io/team/app:2", "localhost:5000/app:3", digest))
    (entry,) = json.loads(files["manifest.json"])
    assert entry["RepoTags"] == ["app:latest", "team/app:2", "localhost:5000/app:3"]
    annotations = json.loads(files["index.json"])["manifests"][3]["annotations"]
    assert annotations["org.opencontainers.image.ref.name"] == f"docker.io/library/app@{ONE.digest}"


def test_an_image_may_have_no_name() -> None:
    (entry,) = json.loads(archive(named(ONE))["manifest.json"])
    assert entry["RepoTags"] == []


def test_one_image_under_two_roots_is_one_entry() -> None:
    (entry,) = json.loads(archive(named(ONE, "a:1"), named(ONE, "b:1", "a:1"))["manifest.json"])
    assert entry["RepoTags"] == ["a:1", "b:1"]


def test_several_images_are_several_entries() -> None:
    entries = json.loads(archive(named(ONE, "a:1"), named(OTHER, "b:1"))["manifest.json"])
    assert [entry["RepoTags"] for entry in entries] == [["a:1"], ["b:1"]]


def test_a_layer_that_occurs_twice_is_listed_twice_and_stored_once() -> None:
    twice = image(AMD64, b"same", b"same")
    files = archive(named(twice, "a:1"))
    (entry,) = json.loads(files["manifest.json"])
    assert len(entry["Layers"]) == 2
    assert len(set(entry["Layers"])) == 1


def index(*entries: Descriptor) -> Descriptor:
    return CONTENT.add(encode_index(Index(entries)).raw, media_types.INDEX)


def of(target: Image) -> Descriptor:
    return target.manifest.descriptor(platform=target.platform)


ATTESTATION = replace(
    of(image(Platform("unknown", "unknown"), b"statement")), annotations={"vnd.docker.reference.type": "x"}
)


@pytest.mark.parametrize(
    ("entries", "platform", "chosen"),
    [
        ((ONE, OTHER), AMD64, ONE),
        ((ONE, OTHER), ARM64, OTHER),
        ((OTHER, ONE), S390X, OTHER),
        ((OTHER,), AMD64, OTHER),
    ],
)
def test_of_several_platforms_the_best_is_for_the_classic_store(
    entries: tuple[Image, ...], platform: Platform, chosen: Image
) -> None:
    files = archive(named(index(*map(of, entries), ATTESTATION), "app:1"), platform=platform)
    (entry,) = json.loads(files["manifest.json"])
    assert entry["Config"] == blob(chosen.image_id)
    assert entry["RepoTags"] == ["app:1"]
    for one in entries:
        assert files[blob(one.digest)] == one.manifest.raw
    assert blob(ATTESTATION.digest) in files


def test_nested_indexes_are_looked_into() -> None:
    files = archive(named(index(index(of(OTHER)), index(of(ONE))), "app:1"))
    assert json.loads(files["manifest.json"])[0]["Config"] == blob(ONE.image_id)


def test_an_index_of_nothing_is_refused() -> None:
    for top in (index(), index(ATTESTATION)):
        with pytest.raises(UsageError, match="holds no image"):
            archive(named(top))


def test_an_artifact_is_refused() -> None:
    empty = CONTENT.add(b"{}", media_types.EMPTY)
    artifact = encode_manifest(Manifest(empty, (empty,), artifact_type="application/x.y"))
    root = CONTENT.add(artifact.raw, media_types.MANIFEST)
    with pytest.raises(UsageError, match=r"is an artifact \(\"application/vnd.oci.empty.v1\+json\"\), not an image"):
        archive(named(root))


def test_a_layer_that_is_no_file_system_is_refused() -> None:
    config = CONTENT.add(ONE.config.raw, media_types.CONFIG)
    other = CONTENT.add(b"{}", "application/vnd.in-toto+json")
    root = CONTENT.add(encode_manifest(Manifest(config, (other,))).raw, media_types.MANIFEST)
    with pytest.raises(InvalidDocument, match="is not the media type of a file system layer"):
        archive(named(root))


def test_zstd_is_warned_of() -> None:
    class Warnings(Reporter):
        def __init__(self) -> None:
            self.texts: list[str] = []

        def warning(self, text: str, **_: object) -> None:
            self.texts.append(text)

    _, zstd = make_image([make_layer({"a": b"x"}, compression="zstd")], content=CONTENT)
    warnings = Warnings()
    archive(named(zstd, "a"), reporter=warnings)
    assert warnings.texts == ["layers are compressed with zstd, which docker load reads from version 23.0 on"]


def test_both_readers_of_it_see_the_same_image(tmp_path: Path) -> None:
    out = io.BytesIO()
    write_docker_archive([named(ONE, "app:1")], CONTENT, out, platform=AMD64)
    data = out.getvalue()

    def read(member: Member, offset: int, count: int) -> bytes:
        return data[member.offset + offset : member.offset + offset + count]

    tar = index_tar(lambda offset, count: data[offset : offset + count], len(data), "x")
    (classic,) = read_docker_manifest(tar, read)
    assert classic.names == ("docker.io/library/app:1",)
    (tmp_path / "x.tar").write_bytes(data)
    with open_archive(tmp_path / "x.tar", scratch=tmp_path) as opened:
        assert opened.images() == [(("docker.io/library/app:1",), ONE.manifest.descriptor())]
        check_image(ONE, opened)
