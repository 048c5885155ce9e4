"""Images without a layer, in the form in which BuildKit 0.32 writes them: `null` where a list has nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyoci.api.build import build
from pyoci.api.check import check
from pyoci.api.copying import copy
from pyoci.api.services import Options
from pyoci.api.transfer import load, pull, push
from pyoci.build.request import BuildRequest, Output
from pyoci.content.layout import DirectoryLayout
from pyoci.digest import sha256_digest
from pyoci.environment import Environment
from pyoci.image import media_types
from pyoci.platforms import Platform
from tests.integration.real.programs import output
from tests.integration.real.registry import real_registry

CONFIG = (
    b'{"architecture":"amd64","config":{"Env":["PATH=/bin"],"WorkingDir":"/","Labels":{"a":"b"},"OnBuild":null},'
    b'"created":null,"history":[{"created_by":"LABEL a=b","comment":"buildkit.dockerfile.v0","empty_layer":true}],'
    b'"os":"linux","rootfs":{"type":"layers","diff_ids":null}}'
)
MANIFEST = b"""{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {
    "mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": "%s",
    "size": %d
  },
  "layers": null
}""" % (sha256_digest(CONFIG).encode(), len(CONFIG))
DIGEST = sha256_digest(MANIFEST)
NAME = "docker.io/library/empty:1"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """As `buildctl build --output type=docker` and `type=oci` write it."""
    layout = tmp_path / "buildkit"
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for blob in (CONFIG, MANIFEST):
        (blobs / sha256_digest(blob).removeprefix("sha256:")).write_bytes(blob)
    names = {"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "1"}
    entry = {"mediaType": media_types.MANIFEST, "digest": DIGEST, "size": len(MANIFEST), "annotations": names}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    docker = {"Config": f"blobs/{sha256_digest(CONFIG).replace(':', '/')}", "RepoTags": ["empty:1"], "Layers": None}
    (layout / "manifest.json").write_text(json.dumps([docker]))
    output(["tar", "cf", tmp_path / "empty.tar", "-C", layout, "."])
    return tmp_path / "empty.tar"


def options(directory: Path, store: str = "store", *, insecure: str = "") -> Options:
    environment = Environment(
        store=directory / store,
        working_directory=directory,
        home=directory,
        uid=0,
        gid=0,
        platform=Platform("linux", "amd64"),
        now=0,
        variables={},
    )
    return Options(environment=environment, insecure_registries=(insecure,) if insecure else ())


def test_it_is_loaded_checked_copied_and_built_on(archive: Path, tmp_path: Path) -> None:
    here = options(tmp_path)
    load(archive, options=here)
    assert check("empty:1", options=here)
    copy(f"oci-archive:{archive}", f"oci-layout:{tmp_path}/layout:1", options=here)
    layout = DirectoryLayout(tmp_path / "layout")
    found = layout.find("1")
    assert found.digest == DIGEST
    assert layout.open(found).read() == MANIFEST
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM empty:1\nLABEL c=d\n")
    built = build(BuildRequest(context, outputs=(Output("oci", "child.tar"),)), options=here)
    assert built.images[0].config.value.config.labels == {"a": "b", "c": "d"}
    assert json.loads(built.images[0].manifest.raw)["layers"] == []


@pytest.mark.needs_skopeo
@pytest.mark.needs_registry
def test_it_is_pushed_and_pulled_as_it_is(archive: Path, tmp_path: Path) -> None:
    with real_registry(tmp_path / "registry") as registry:
        here = options(tmp_path, insecure=registry.host)
        load(archive, options=here)
        name = f"{registry.host}/empty:1"
        copy("store:empty:1", f"store:{name}", options=here)
        push(name, options=here)
        raw = output(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"])
        assert raw.encode() == MANIFEST
        pull(name, options=options(tmp_path, "other", insecure=registry.host))
        assert check(name, options=options(tmp_path, "other"))
