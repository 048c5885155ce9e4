"""Reading: what the store has under its names, and nothing else."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyoci.content import MemoryContent
from pyoci.content.layout import DirectoryLayout
from pyoci.content.names import REF_NAME, with_name
from pyoci.image import Descriptor, Index, Manifest, encode_index, encode_manifest, media_types
from pyoci.reference import parse_reference
from pyoci.serve.uploads import Limits
from pyoci.store import Store
from tests.fakes.registry import fake_registry
from tests.registry_world import SampleImage, sample_image, settled
from tests.unit.serve.world import World, digest_as, digest_of, fill, put_document, serving


@pytest.fixture
def image(tmp_path: Path) -> SampleImage:
    return fill(tmp_path, "app:1", sample_image(100, 3000))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For tests that only read."""
    directory = tmp_path_factory.mktemp("shared")
    fill(directory, "app:1", sample_image(100, 3000))
    with serving(directory) as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, image: SampleImage) -> Iterator[World]:
    with serving(tmp_path) as running:
        yield running


def test_it_says_that_it_is_a_registry(world: World) -> None:
    for path in ("/v2/", "/v2"):
        answer = world("GET", path)
        assert answer.status == 200
        assert answer.header("Docker-Distribution-Api-Version") == "registry/2.0"


@pytest.mark.parametrize("name", ["app", "library/app", "docker.io/library/app"])
def test_an_image_of_the_store_under_all_its_names(shared: World, name: str) -> None:
    world, image = shared, sample_image(100, 3000)
    for reference in ("1", image.root.digest):
        answer = world("GET", f"/v2/{name}/manifests/{reference}")
        assert (answer.status, answer.body) == (200, image.manifest)
        assert answer.header("Docker-Content-Digest") == image.root.digest
        assert answer.header("Content-Type") == media_types.MANIFEST
        head = world("HEAD", f"/v2/{name}/manifests/{reference}")
        assert (head.status, head.body) == (200, b"")
        assert head.header("Content-Length") == str(len(image.manifest))
        assert head.header("Docker-Content-Digest") == image.root.digest
    for blob in (image.config, *image.layers):
        answer = world("GET", f"/v2/{name}/blobs/{blob.digest}")
        assert (answer.status, digest_of(answer.body)) == (200, blob.digest)
        assert answer.header("Docker-Content-Digest") == blob.digest
        head = world("HEAD", f"/v2/{name}/blobs/{blob.digest}")
        assert (head.status, head.body, head.header("Content-Length")) == (200, b"", str(blob.size))


def test_a_part_of_a_blob(world: World, image: SampleImage) -> None:
    layer = image.layers[1]
    whole = image.content.open(layer).read()
    path = f"/v2/app/blobs/{layer.digest}"
    for header, part in (("bytes=100-199", whole[100:200]), ("bytes=2990-", whole[2990:]), ("bytes=-5", whole[-5:])):
        answer = world("GET", path, headers={"Range": header})
        assert (answer.status, answer.body) == (206, part)
    assert world("GET", path, headers={"Range": "bytes=0-9"}).header("Content-Range") == "bytes 0-9/3000"
    head = world("HEAD", path, headers={"Range": "bytes=0-9"})
    assert (head.status, head.header("Content-Length")) == (206, "10")
    answer = world("GET", path, headers={"Range": "bytes=3000-"})
    assert (answer.status, answer.header("Content-Range")) == (416, "bytes */3000")
    assert world("GET", path, headers={"Range": "bytes=0-1,5-6"}).body == whole
    assert world("GET", path, headers={"Range": "bytes=0-9", "If-Range": '"old"'}).status == 200
    assert world("GET", path, headers={"Range": "bytes=0-9", "If-Range": f'"{layer.digest}"'}).status == 206
    assert world("GET", path, headers={"If-None-Match": f'"{layer.digest}"'}).status == 304
    assert world("GET", "/v2/app/manifests/1", headers={"If-None-Match": f'"{image.root.digest}"'}).status == 304


def test_what_a_client_does_not_accept_it_does_not_get(world: World, image: SampleImage) -> None:
    answer = world("GET", "/v2/app/manifests/1", headers={"Accept": media_types.DOCKER_MANIFEST})
    assert (answer.status, answer.codes) == (404, ["MANIFEST_UNKNOWN"])
    assert media_types.MANIFEST in answer.json()["errors"][0]["message"]
    both = f"{media_types.DOCKER_MANIFEST}, {media_types.MANIFEST}"
    assert world("GET", "/v2/app/manifests/1", headers={"Accept": both}).status == 200


def test_what_is_not_there(world: World, image: SampleImage) -> None:
    nothing = digest_of(b"nothing")
    for path, status, code in (
        ("/v2/app/manifests/2", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/app/manifests/{nothing}", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/app/manifests/{image.config.digest}", 404, "MANIFEST_UNKNOWN"),  # a blob is no manifest
        ("/v2/app/manifests/sha256:abc", 400, "DIGEST_INVALID"),
        ("/v2/app/manifests/md5:abc", 400, "DIGEST_INVALID"),
        ("/v2/app/manifests/.x", 400, "MANIFEST_INVALID"),
        ("/v2/other/manifests/1", 404, "NAME_UNKNOWN"),
        ("/v2/other/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/App/tags/list", 400, "NAME_INVALID"),
        (f"/v2/app/blobs/{nothing}", 404, "BLOB_UNKNOWN"),
        (f"/v2/other/blobs/{image.config.digest}", 404, "BLOB_UNKNOWN"),  # another repository's
        (f"/v2/app/blobs/{image.root.digest}", 404, "BLOB_UNKNOWN"),  # a manifest is no blob
        ("/v2/app/blobs/sha256:x", 400, "DIGEST_INVALID"),
        ("/v2/app/blobs/uploads/x", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("/v2/app/referrers/x", 400, "DIGEST_INVALID"),
        ("/v2/app", 404, "UNSUPPORTED"),
        ("/", 404, "UNSUPPORTED"),
    ):
        answer = world("GET", path)
        assert (path, answer.status, answer.codes) == (path, status, [code])
        assert answer.header("Content-Type") == "application/json"
        assert world("HEAD", path).status == status
    answer = world("TRACE", "/v2/")
    assert (answer.status, answer.codes, answer.header("Allow")) == (405, ["UNSUPPORTED"], "GET")


@pytest.mark.parametrize(
    "path",
    [
        *("/v2/../../../etc/passwd", "/v2/%2e%2e/%2e%2e/etc/blobs/passwd", "/v2/app/blobs/..%2f..%2findex.json"),
        *("/v2/app/manifests/..%2f..%2f..%2fetc%2fpasswd", "/v2/app/blobs/sha256:..%2f..%2f..%2findex.json"),
        *(
            "/v2/app%2f..%2fapp/manifests/1",
            "/v2/app%00/manifests/1",
            "/v2/app/blobs/sha256:%00",
            "//v2//app/tags/list",
        ),
        *("/v2/app/manifests/%ff%fe", "/v2/%F0%9F%92%A9/tags/list", "/v2/app/blobs/uploads/..%2f..%2foci-layout"),
    ],
)
def test_no_path_leads_out_of_a_repository(shared: World, path: str) -> None:
    answer = shared("GET", path)
    assert answer.status in (400, 404)
    assert answer.json()["errors"]


def test_what_nobody_named_is_not_shown(tmp_path: Path, world: World) -> None:
    with Store(tmp_path / "store") as store:
        secret = MemoryContent().add(b"of some build stage", "application/octet-stream")
        store.put(secret, io.BytesIO(b"of some build stage"))
    assert world("GET", f"/v2/app/blobs/{secret.digest}").status == 404


def test_tags_in_pages(tmp_path: Path, world: World, image: SampleImage) -> None:
    with Store(tmp_path / "store") as store:  # while the server runs
        for tag in ("2", "10", "a", "B"):
            store.tags.set(parse_reference(f"app:{tag}"), image.root)
    assert world("GET", "/v2/app/tags/list").json() == {"name": "app", "tags": ["1", "10", "2", "B", "a"]}
    path, seen = "/v2/app/tags/list?n=2", []
    for _ in range(3):
        answer = world("GET", path)
        seen += answer.json()["tags"]
        path = (answer.headers.get("Link") or "").partition("<")[2].partition(">")[0]
    assert (seen, path) == (["1", "10", "2", "B", "a"], "")
    empty = world("GET", "/v2/app/tags/list?n=0")
    assert (empty.json()["tags"], empty.headers.get("Link")) == ([], None)
    assert world("GET", "/v2/app/tags/list?n=x").status == 400


def test_a_name_with_the_address_of_this_server(tmp_path: Path, world: World, image: SampleImage) -> None:
    other = sample_image(50, seed=7)
    port = world.address.rpartition(":")[2]
    fill(tmp_path, f"localhost:{port}/app:1", other)
    fill(tmp_path, f"localhost:{port}/mine:1", other)
    assert world("GET", "/v2/app/manifests/1").header("Docker-Content-Digest") == other.root.digest
    assert world("GET", "/v2/mine/manifests/1").status == 200
    assert world("GET", "/v2/_catalog").json()["repositories"] == ["app", "mine"]


def test_a_name_with_the_host_that_the_client_typed(tmp_path: Path, world: World) -> None:
    fill(tmp_path, "registry.corp:5000/team/app:1")
    assert world("GET", "/v2/team/app/manifests/1").status == 404
    assert world("GET", "/v2/team/app/manifests/1", headers={"Host": "registry.corp:5000"}).status == 200
    assert world("GET", "/v2/team/app/manifests/1", headers={"Host": "../../x"}).status == 404


def test_a_mirror_asks_for_other_registries(tmp_path: Path, world: World) -> None:
    fill(tmp_path, "registry.example:5000/team/app:1")
    assert world("GET", "/v2/team/app/manifests/1").status == 404
    assert world("GET", "/v2/team/app/manifests/1?ns=registry.example:5000").status == 200
    assert world("GET", "/v2/library/app/manifests/1?ns=docker.io").status == 200
    assert world("GET", "/v2/app/manifests/1?ns=not%20a%20host").codes == ["NAME_INVALID"]


def test_repositories_in_pages_and_images_that_have_no_name(tmp_path: Path, image: SampleImage) -> None:
    for name in ("ghcr.io/team/app:1", "team/app:1", "registry.example:5000/app:1"):
        fill(tmp_path, name, image)
    with serving(tmp_path) as world:
        assert world("GET", "/v2/_catalog?n=2").json() == {"repositories": ["app", "ghcr.io/team/app"]}
        assert world("GET", "/v2/_catalog?n=2&last=ghcr.io/team/app").json() == {"repositories": ["team/app"]}
        assert any("registry.example:5000/app:1" in line for line in world.heard.lines)


def test_an_index_and_what_of_it_is_here(tmp_path: Path) -> None:
    here, elsewhere = sample_image(10), sample_image(20, seed=5)
    fill(tmp_path, "piece:1", here)
    index = encode_index(Index((here.root, elsewhere.root)))
    put_document(tmp_path, "many:1", index.descriptor(), index.raw)
    with serving(tmp_path) as world:
        assert world("GET", "/v2/many/manifests/1").body == index.raw
        assert world("GET", f"/v2/many/manifests/{here.root.digest}").body == here.manifest
        assert world("GET", f"/v2/many/blobs/{here.layers[0].digest}").status == 200
        assert world("GET", f"/v2/many/manifests/{elsewhere.root.digest}").status == 404


def test_what_was_never_fetched_is_fetched_when_it_is_asked_for(tmp_path: Path) -> None:
    image = sample_image(1000, 2000)
    with fake_registry() as origin:
        for blob in (image.config, *image.layers):
            origin.add_blob("team/app", image.content.open(blob).read())
        origin.add_manifest("team/app", image.manifest, image.root.media_type, "1")
        with Store(tmp_path / "store") as store:  # as a build leaves a base whose bytes it did not need
            for piece in (image.root, image.config):
                store.put(piece, image.content.open(piece))
            store.tags.set(parse_reference("app:1"), image.root)
            for piece in image.pieces:
                store.add_origin(piece.digest, f"{origin.host}/team/app")
        layer = image.layers[1]
        with serving(tmp_path, offline=True) as world:
            assert world("GET", f"/v2/app/blobs/{layer.digest}").status == 404
        with serving(tmp_path, offline=False) as world:
            assert world("HEAD", f"/v2/app/blobs/{layer.digest}").header("Content-Length") == "2000"
            assert not origin.requests("GET", "blobs")
            assert digest_of(world("GET", f"/v2/app/blobs/{layer.digest}").body) == layer.digest
            assert world("GET", f"/v2/app/blobs/{layer.digest}").status == 200
            assert len(origin.requests("GET", "blobs")) == 1
            origin.repo("team/app").blobs.clear()
            gone = world("GET", f"/v2/app/blobs/{image.layers[0].digest}")
            assert (gone.status, gone.codes) == (404, ["BLOB_UNKNOWN"])


def test_platforms_that_were_never_fetched_are_fetched_too(tmp_path: Path) -> None:
    here, elsewhere, lost = sample_image(10), sample_image(20, seed=5), sample_image(30, seed=6)
    index = encode_index(Index((here.root, elsewhere.root, lost.root)))
    fill(tmp_path, "piece:1", here)
    put_document(tmp_path, "many:1", index.descriptor(), index.raw)
    with fake_registry() as origin:
        for blob in (elsewhere.config, *elsewhere.layers):
            origin.add_blob("many", elsewhere.content.open(blob).read())
        origin.add_manifest("many", elsewhere.manifest, elsewhere.root.media_type)
        with Store(tmp_path / "store") as store:
            for root in (elsewhere.root, lost.root):
                store.add_origin(root.digest, f"{origin.host}/many")
        with serving(tmp_path, offline=False) as world:
            layer = f"/v2/many/blobs/{elsewhere.layers[0].digest}"
            assert world("GET", layer).status == 404  # nobody knows yet what the manifest points at
            assert world("GET", f"/v2/many/manifests/{elsewhere.root.digest}").body == elsewhere.manifest
            assert world("GET", layer).status == 200
            gone = world("GET", f"/v2/many/manifests/{lost.root.digest}")
            assert (gone.status, gone.codes) == (404, ["MANIFEST_UNKNOWN"])
    with serving(tmp_path, offline=False) as world:
        unreachable = world("GET", f"/v2/many/manifests/{lost.root.digest}")
        assert (unreachable.status, unreachable.codes) == (502, ["UNKNOWN"])
        assert origin.host not in unreachable.body.decode()
        assert any(origin.host in line for line in world.heard.lines)


def open_files(digest: str) -> int:
    """How many descriptors of this process are of that blob."""
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(str(entry.readlink()))
    return sum(digest.partition(":")[2] in name for name in names)


@pytest.mark.parametrize("patience", ["hangs up", "reads nothing"])
def test_a_client_that_does_not_want_it_all(tmp_path: Path, patience: str) -> None:
    layer = Descriptor(media_types.LAYER, digest_as(b"a terabyte of nothing"), 1 << 40)
    config = sample_image(1).config
    manifest = encode_manifest(Manifest(config, (layer,)))
    put_document(tmp_path, "app:1", manifest.descriptor(), manifest.raw)
    with Store(tmp_path / "store") as store, store.blob_path(layer.digest).open("wb") as sparse:
        sparse.truncate(layer.size)
    digest = layer.digest
    with serving(tmp_path, limits=Limits(stall_seconds=0.5)) as world:
        host, _, port = world.address.partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(f"GET /v2/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(10) == b"HTTP/1.1 2"
            assert settled(lambda: open_files(digest) == 1)
            if patience == "hangs up":
                connection.close()
            assert settled(lambda: open_files(digest) == 0)
        assert world("GET", "/v2/").status == 200


def test_a_layout_is_served_as_it_lies(tmp_path: Path) -> None:
    named, tagged = sample_image(100), sample_image(200, seed=3)
    layout = DirectoryLayout(tmp_path / "Hand-Over")
    for image in (named, tagged):
        for piece in image.pieces:
            layout.put(piece, image.content.open(piece))
    layout.add_roots([with_name(named.root, parse_reference("ghcr.io/team/app:2"))])
    layout.add_roots([replace(tagged.root, annotations={REF_NAME: "1.0"})])
    with serving(tmp_path, source="oci-layout:Hand-Over") as world:
        assert world("GET", "/v2/_catalog").json()["repositories"] == ["ghcr.io/team/app", "hand-over"]
        assert world("GET", "/v2/ghcr.io/team/app/manifests/2").body == named.manifest
        assert world("GET", "/v2/hand-over/manifests/1.0").body == tagged.manifest
        layer = tagged.layers[0]
        part = world("GET", f"/v2/hand-over/blobs/{layer.digest}", headers={"Range": "bytes=50-59"})
        assert part.body == tagged.content.open(layer).read()[50:60]
        assert world("POST", "/v2/hand-over/blobs/uploads/").codes == ["DENIED"]
