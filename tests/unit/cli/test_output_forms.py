"""The attributes of `--output` that decide on the form of an image, and `--annotation`, as they are typed.

What they mean is what BuildKit makes of them (docs/annotations.md, exporter/containerimage/exptypes/keys.go).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pyoci.cli.main import main
from pyoci.content.layout import DirectoryLayout
from pyoci.image import encode_index, media_types
from pyoci.image.index import Index
from pyoci.layer.compression import zstd_module
from tests.builders import make_image, make_layer

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
MAGIC = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd"}


@pytest.fixture(autouse=True)
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A context whose Dockerfile adds one layer to a base with one gzip layer, in a layout `base`."""
    monkeypatch.setenv("PYOCI_HOME", str(tmp_path / "store"))
    (tmp_path / "context").mkdir()
    monkeypatch.chdir(tmp_path / "context")
    Path("Dockerfile").write_text("FROM base\nCOPY Dockerfile /\n")
    layer = make_layer({"etc/base": b"base " * 4000})
    content, image = make_image([layer])
    layout = DirectoryLayout(tmp_path / "base")
    for descriptor in (image.manifest.value.config, *image.manifest.value.layers, image.manifest.descriptor()):
        layout.put(descriptor, content.open(descriptor))
    layout.add_roots([image.manifest.descriptor(annotations={"org.opencontainers.image.ref.name": "1"})])
    return tmp_path


def built(*flags: str) -> int:
    base = "base=oci-layout://../base:1"
    return main(["build", "--progress=quiet", "--preflight=off", "--build-context", base, *flags, "."])


def refused(*flags: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert built(*flags) == 2
    assert not Path("x.tar").exists()
    return capsys.readouterr().err


def layout_of(archive: str = "x.tar") -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {name: tar.extractfile(name).read() for name in tar.getnames() if tar.getmember(name).isfile()}  # type: ignore[union-attr]


def blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    data = files["blobs/" + descriptor["digest"].replace(":", "/")]
    assert (descriptor["size"], descriptor["digest"]) == (len(data), "sha256:" + hashlib.sha256(data).hexdigest())
    return data


def document(files: dict[str, bytes], descriptor: dict[str, Any]) -> dict[str, Any]:
    value = json.loads(blob(files, descriptor))
    assert isinstance(value, dict)
    return value


def root(files: dict[str, bytes]) -> dict[str, Any]:
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert isinstance(entry, dict)
    return entry


def exported(*flags: str, attributes: str = "") -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of an OCI archive, and the manifest in it."""
    assert built("-o", f"type=oci,dest=x.tar{attributes and ','}{attributes}", *flags) == 0
    files = layout_of()
    return files, document(files, root(files))


def plain(data: bytes) -> bytes:
    if data.startswith(MAGIC["gzip"]):
        return gzip.decompress(data)
    if data.startswith(MAGIC["zstd"]):
        out: bytes = zstd_module().decompress(data)
        return out
    return data


def kinds(manifest: dict[str, Any]) -> list[str]:
    return [layer["mediaType"].removeprefix(OCI).removeprefix(DOCKER) for layer in manifest["layers"]]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", ["layer.v1.tar+gzip", "layer.v1.tar+gzip"]),
        ("compression=gzip", ["layer.v1.tar+gzip", "layer.v1.tar+gzip"]),
        ("compression=zstd", ["layer.v1.tar+gzip", "layer.v1.tar+zstd"]),
        ("compression=uncompressed", ["layer.v1.tar+gzip", "layer.v1.tar"]),
        ("compression=zstd,force-compression=true", ["layer.v1.tar+zstd", "layer.v1.tar+zstd"]),
        ("compression=uncompressed,force-compression=1", ["layer.v1.tar", "layer.v1.tar"]),
        ("compression=zstd,force-compression=false,compression-level=19", ["layer.v1.tar+gzip", "layer.v1.tar+zstd"]),
        ("compression=zstd,oci-mediatypes=false", ["image.rootfs.diff.tar.gzip", "image.rootfs.diff.tar.zstd"]),
        ("oci-mediatypes=false", ["image.rootfs.diff.tar.gzip", "image.rootfs.diff.tar.gzip"]),
    ],
)
def test_what_is_new_is_compressed_as_asked_and_the_base_by_force_alone(attributes: str, expected: list[str]) -> None:
    files, manifest = exported(attributes=attributes)
    assert kinds(manifest) == expected
    config = document(files, manifest["config"])
    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        data = blob(files, layer)
        compression = next((name for name, magic in MAGIC.items() if data.startswith(magic)), "")
        assert layer["mediaType"].endswith(compression or "tar")
        assert diff_id == "sha256:" + hashlib.sha256(plain(data)).hexdigest()


def test_docker_media_types_are_docker_s_throughout() -> None:
    _, manifest = exported(attributes="oci-mediatypes=false")
    assert manifest["mediaType"] == media_types.DOCKER_MANIFEST
    assert manifest["config"]["mediaType"] == media_types.DOCKER_CONFIG
    assert root(layout_of())["mediaType"] == media_types.DOCKER_MANIFEST


def test_the_image_id_is_the_same_in_every_form(capsys: pytest.CaptureFixture[str]) -> None:
    said = set()
    for number, attributes in enumerate(("", ",compression=zstd", ",oci-mediatypes=false", ",annotation.a=b")):
        assert built("-o", f"type=oci,dest={number}.tar{attributes}") == 0
        said.add(capsys.readouterr().out)
    assert len(said) == 1


def test_a_form_has_the_same_digest_wherever_and_however_often_it_is_made(
    typed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = ["compression=zstd,compression-level=9", "compression=gzip,compression-level=9", "compression=uncompressed"]
    first = [root(exported(attributes=form)[0])["digest"] for form in forms]
    monkeypatch.setenv("PYOCI_HOME", str(typed / "other"))
    again = [root(exported(attributes=form)[0])["digest"] for form in reversed(forms)]
    assert first == again[::-1]
    assert len(set(first)) == 3
    assert [root(exported(attributes=form)[0])["digest"] for form in forms] == first


def test_each_output_has_a_form_of_its_own_and_names_mean_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert built("-t", "app", "-o", "type=oci,dest=z.tar,compression=zstd", "-o", "type=oci,dest=g.tar") == 0
    z, g = (root(layout_of(name)) for name in ("z.tar", "g.tar"))
    assert z["digest"] != g["digest"]
    capsys.readouterr()
    assert main(["inspect", "app"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["RepoDigests"] == [f"app@{z['digest']}"]


def test_the_metadata_are_those_of_the_form() -> None:
    assert (
        built("--metadata-file=m.json", "-o", "type=oci,dest=x.tar,compression=zstd,annotation-manifest-descriptor.a=b")
        == 0
    )
    said = json.loads(Path("m.json").read_text())
    assert said["containerimage.digest"] == root(layout_of())["digest"]
    assert said["containerimage.descriptor"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("compression=estargz", "compression=estargz: layers with an index of their files"),
        ("compression=br", 'unsupported layer compression type "br"'),
        ("compression-level=10", "compression-level=10 does not exist for gzip"),
        ("compression-level=fast", 'compression-level=fast: "fast" is no number'),
        ("compression=zstd,compression-level=23", "compression-level=23 does not exist for zstd"),
        ("compression=uncompressed,compression-level=1", "compression-level=1 does not exist for uncompressed"),
        ("force-compression=yes", 'force-compression=yes of output type oci: "yes" is neither true nor false'),
        ("rewrite-timestamp=false", "rewrite-timestamp=false of output type oci: times are those of SOURCE_DATE_EPOCH"),
        ("push=true", 'unknown key "push" for output type oci'),
        ("annotation-label.a=b", 'unknown annotation type "label"'),
        ("annotation-index.a=b", 'annotation "a" of the index: an image for a single platform has no index'),
        ("annotation[linux/s390x].a=b", 'invalid annotation "a": no platform linux/s390x is built'),
        (
            "oci-mediatypes=false,annotation-manifest-descriptor.a=b",
            'annotation "a" of the manifest-descriptor: docker\'s media types have no place for it',
        ),
        ("prefer-nondist-layers=true", "prefer-nondist-layers of output type oci is not there"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_is_built(
    attributes: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused("-o", f"type=oci,dest=x.tar,{attributes}", capsys=capsys).startswith(f"error: {message}")


def test_rewrite_timestamp_is_what_is_done_anyway() -> None:
    assert exported(attributes="rewrite-timestamp=true")[1] == exported()[1]


def test_an_image_is_pushed_by_digest_without_a_tag(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused("-t", "localhost:1/app:1", "-o", "type=image,push=true,push-by-digest=true", capsys=capsys)
    assert said.startswith("error: can't push tagged ref localhost:1/app:1 by digest\n")


# annotations


def annotated(*flags: str) -> dict[str, Any]:
    """Where annotations are, of an image for two platforms."""
    files, index = exported("--platform=linux/amd64,linux/arm64", *flags)
    manifests = {entry["platform"]["architecture"]: entry for entry in index["manifests"]}
    found = {
        "index": index.get("annotations"),
        "index-descriptor": {k: v for k, v in root(files).get("annotations", {}).items() if k == "k"} or None,
    }
    for name, entry in manifests.items():
        found[f"{name} descriptor"] = entry.get("annotations")
        found[name] = document(files, entry).get("annotations")
    return {place: value for place, value in found.items() if value}


@pytest.fixture
def scratch() -> None:
    Path("Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")


EVERYWHERE = ("index", "amd64", "amd64 descriptor", "arm64", "arm64 descriptor", "index-descriptor")


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize(
    ("key", "places"),
    [
        ("k", {"amd64", "arm64"}),
        ("manifest:k", {"amd64", "arm64"}),
        ("index:k", {"index"}),
        ("manifest,index:k", {"amd64", "arm64", "index"}),
        ("manifest[linux/arm64]:k", {"arm64"}),
        ("manifest-descriptor:k", {"amd64 descriptor", "arm64 descriptor"}),
        ("manifest-descriptor[linux/amd64]:k", {"amd64 descriptor"}),
        ("index-descriptor:k", {"index-descriptor"}),
        ("manifest,manifest-descriptor,index,index-descriptor:k", set(EVERYWHERE)),
    ],
)
def test_annotations_go_where_their_prefix_says(key: str, places: set[str]) -> None:
    assert annotated("--annotation", f"{key}=v") == {place: {"k": "v"} for place in places}


@pytest.mark.usefixtures("scratch")
def test_an_output_has_annotations_of_its_own() -> None:
    attributes = (
        "annotation.k=all,annotation[linux/arm64].k=one,annotation-index.i=j,"
        "annotation-manifest-descriptor[linux/amd64].d=e"
    )
    assert built("--platform=linux/amd64,linux/arm64", "-o", f"type=oci,dest=x.tar,{attributes}") == 0
    files = layout_of()
    index = document(files, root(files))
    amd64, arm64 = index["manifests"]
    assert index["annotations"] == {"i": "j"}
    assert document(files, amd64)["annotations"] == {"k": "all"}
    assert document(files, arm64)["annotations"] == {"k": "one"}
    assert (amd64["annotations"], "annotations" in arm64) == ({"d": "e"}, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", 'invalid value "a" for --annotation'),
        ("label:a=b", 'unknown annotation type "label"'),
        ("manifest[]:a=b", 'invalid annotation type "manifest[]"'),
        ("index:a=b", 'annotation "a" of the index: an image for a single platform has no index'),
        ("manifest[linux/arm/v5]:a=b", 'invalid annotation "a": no platform linux/arm/v5 is built'),
    ],
)
def test_annotations_that_have_no_place(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("--annotation", text, "-o", "type=oci,dest=x.tar", capsys=capsys).startswith(f"error: {message}")


# files


@pytest.mark.usefixtures("scratch")
def test_platforms_are_split_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert built("-o", "type=local,dest=one,platform-split=true", "--platform=linux/arm64") == 0
    assert [path.name for path in Path("one").iterdir()] == ["linux_arm64"]
    assert built("-o", "type=tar,dest=one.tar,platform-split=true", "--platform=linux/arm64") == 0
    assert {name.rstrip("/") for name in layout_of("one.tar")} == {"linux_arm64/Dockerfile"}
    both = "--platform=linux/amd64,linux/arm64"
    assert built("-o", "type=local,dest=two,platform-split=false", both) == 2
    said = capsys.readouterr().err
    assert "cannot overwrite Dockerfile from linux/amd64 with linux/arm64 when split option is disabled" in said
    Path("Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n")
    assert built("-o", "type=local,dest=three,platform-split=false", both) == 0
    assert sorted(path.name for path in Path("three").iterdir()) == ["amd64", "arm64"]


@pytest.mark.usefixtures("scratch")
def test_what_else_is_in_the_directory_goes_when_that_is_asked_for() -> None:
    Path("out/old").mkdir(parents=True)
    assert built("-o", "type=local,dest=out") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["Dockerfile", "old"]
    assert built("-o", "type=local,dest=out,mode=delete") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["Dockerfile"]
    assert built("-o", "type=local,dest=out,mode=delete", "--platform=linux/amd64,linux/arm64") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["linux_amd64", "linux_arm64"]


MULTI = "--build-arg=BUILDKIT_MULTI_PLATFORM=1"


def test_a_single_platform_can_have_an_index_too(capsys: pytest.CaptureFixture[str]) -> None:
    files, index = exported(MULTI, "--annotation=index:k=v", "-t", "app", "--metadata-file=m.json")
    said = capsys.readouterr().out.strip()
    (entry,) = index["manifests"]
    assert (index["annotations"], said) == ({"k": "v"}, root(files)["digest"])
    assert "containerimage.config.digest" not in json.loads(Path("m.json").read_text())
    assert document(files, entry)["layers"]
    assert built(MULTI, "-o", "type=local,dest=out") == 0
    assert [path.name for path in Path("out").iterdir()] == ["linux_amd64"]
    Path("x.tar").unlink()
    assert "neither true nor false" in refused("--build-arg=BUILDKIT_MULTI_PLATFORM=si", capsys=capsys)


def test_an_index_of_docker_s_is_one_throughout() -> None:
    Path("Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    files, index = exported("--platform=linux/amd64,linux/arm64", attributes="oci-mediatypes=false")
    assert index["mediaType"] == media_types.DOCKER_INDEX
    assert {entry["mediaType"] for entry in index["manifests"]} == {media_types.DOCKER_MANIFEST}
    assert encode_index(Index(())).media_type == media_types.INDEX
    assert document(files, index["manifests"][0])["config"]["mediaType"] == media_types.DOCKER_CONFIG
