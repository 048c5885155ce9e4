"""umoci as judge: it unpacks our layers to the same directory, and what it packs we read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
from pathlib import Path

import pytest

from pyoci.image import Image
from pyoci.image.media_types import layer_compression
from pyoci.layer.apply import ApplyPolicy
from pyoci.layer.index import index_layer
from pyoci.snapshot.unpack import LayerBlob, unpack_layers
from tests.builders import BuiltLayer, Item, directory, file, hardlink, make_image, make_layer, opaque, removed, symlink
from tests.integration.layers.test_overlay import view_of

pytestmark = [pytest.mark.needs_umoci, pytest.mark.needs_root]

LAYERS: list[dict[str, Item]] = [
    {
        "etc/passwd": b"root:x:0:0\n",
        "etc/shadow": file(b"x", mode=0o640, gid=42),
        "usr/bin/su": file(b"su", mode=0o4755, mtime=1_700_000_000),
        "usr/lib/" + "n" * 130: file(b"long", uid=70_000),
        "var/cache/a": b"1",
        "var/cache/b/c": b"2",
        "opt/old/x": b"3",
        "bin": symlink("usr/bin"),
        "ünïcode": b"name",
        "capable": file(b"bin", xattrs={"security.capability": bytes.fromhex("0100000200200000" + "00" * 12)}),
    },
    {
        "etc/passwd": removed(),
        "var/cache": opaque(),
        "var/cache/new": b"4",
        "opt/old": b"now a file",
        "usr/lib": directory(mode=0o711, uid=5),
        "first": b"linked",
        "second": hardlink("first"),
    },
    {"var/cache/new": removed(), "opt/old": removed(), "opt/old2/x": b"5", "second": b"own"},
]


def layout(path: Path, layers: list[BuiltLayer]) -> Image:
    """An OCI layout, written by hand."""
    content, image = make_image(layers)
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)
    raws = [image.manifest.raw, image.config.raw, *(layer.blob for layer in layers)]
    for raw in raws:
        (blobs / hashlib.sha256(raw).hexdigest()).write_bytes(raw)
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    manifest = {
        "mediaType": image.manifest.media_type,
        "digest": image.digest,
        "size": len(image.manifest.raw),
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    assert content.has(image.manifest.descriptor())
    return image


def umoci(*arguments: str) -> None:
    subprocess.run(["umoci", *arguments], check=True, capture_output=True, timeout=120)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_umoci_unpacks_to_the_same(count: int, tmp_path: Path) -> None:
    layers = [make_layer(items) for items in LAYERS[:count]]
    layout(tmp_path / "layout", layers)
    umoci("unpack", "--image", f"{tmp_path}/layout:latest", str(tmp_path / "bundle"))
    blobs = []
    for number, layer in enumerate(layers):
        (tmp_path / f"{number}").write_bytes(layer.blob)
        blobs.append(LayerBlob(os.open(tmp_path / f"{number}", os.O_RDONLY), "gzip", layer.diff_id))
    ours = unpack_layers(blobs, tmp_path / "ours", ApplyPolicy("merge", "chown", "make"))
    for blob in blobs:
        os.close(blob.descriptor)
    assert view_of(ours.files) == view_of(tmp_path / "bundle/rootfs")


def test_we_read_what_umoci_packs(tmp_path: Path) -> None:
    layout(tmp_path / "layout", [make_layer(items) for items in LAYERS[:2]])
    umoci("unpack", "--image", f"{tmp_path}/layout:latest", str(tmp_path / "bundle"))
    rootfs = tmp_path / "bundle/rootfs"
    command = "rm etc/shadow; rm -rf usr; mkdir -p new/deep; echo x > new/deep/f; ln new/deep/f l; chmod 700 var"
    command += "; mv opt o; touch -d @1600000000 l"  # a whole second, since umoci rounds fractions to the nearest one
    subprocess.run(["sh", "-ec", command], cwd=rootfs, check=True, timeout=30)
    umoci("repack", "--image", f"{tmp_path}/layout:changed", str(tmp_path / "bundle"))
    index = json.loads((tmp_path / "layout/index.json").read_text())
    [digest] = [
        entry["digest"]
        for entry in index["manifests"]
        if entry["annotations"]["org.opencontainers.image.ref.name"] == "changed"
    ]
    blobs = tmp_path / "layout/blobs/sha256"
    manifest = json.loads((blobs / digest.removeprefix("sha256:")).read_text())
    config = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    stack = []
    for descriptor, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        blob = blobs / descriptor["digest"].removeprefix("sha256:")
        compression = layer_compression(descriptor["mediaType"])
        assert index_layer(io.BytesIO(blob.read_bytes()), compression, diff_id=diff_id).diff_id == diff_id
        stack.append(LayerBlob(os.open(blob, os.O_RDONLY), compression, diff_id))
    again = unpack_layers(stack, tmp_path / "again", ApplyPolicy("merge", "chown", "make"))
    for opened in stack:
        os.close(opened.descriptor)
    assert view_of(again.files) == view_of(rootfs)
