"""Writing: uploads of every kind, manifests, deletion, and what is refused."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pyoci.errors import UsageError
from pyoci.image import Index, encode_index, media_types
from pyoci.reference import parse_reference
from pyoci.serve.uploads import Limits
from pyoci.store import Store
from pyoci.store.collect import prune, remove_graph
from tests.registry_world import sample_image, settled
from tests.unit.serve.world import World, digest_of, fill, serving

DATA = bytes(range(256)) * 40


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving(tmp_path) as running:
        yield running
    assert running.uploading == []
    assert not [line for line in running.heard.lines if "internal error" in line]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For tests that leave nothing behind that others would see."""
    with serving(tmp_path_factory.mktemp("shared")) as running:
        yield running


def blob(world: World, data: bytes, name: str = "team/app") -> bool:
    answer = world("GET", f"/v2/{name}/blobs/{digest_of(data)}")
    return answer.status == 200 and answer.body == data


def test_a_blob_at_once(world: World) -> None:
    answer = world("POST", f"/v2/team/app/blobs/uploads/?digest={digest_of(DATA)}", DATA)
    assert answer.status == 201
    assert answer.header("Docker-Content-Digest") == digest_of(DATA)
    assert world("GET", answer.header("Location")).body == DATA


def test_a_blob_in_two_requests(world: World) -> None:
    answer = world("PUT", f"{world.begin()}?digest={digest_of(DATA)}", DATA)
    assert answer.status == 201
    assert blob(world, DATA)


def test_a_blob_in_chunks_and_where_it_stands(world: World) -> None:
    place = world.begin()
    answer = world("PATCH", place, DATA[:1000], {"Content-Range": "0-999"})
    assert (answer.status, answer.header("Range")) == (202, "0-999")
    status = world("GET", answer.header("Location"))
    assert (status.status, status.header("Range")) == (204, "0-999")
    answer = world("PATCH", answer.header("Location"), DATA[1000:2000])  # a stream says no place
    assert answer.header("Range") == "0-1999"
    answer = world("PUT", f"{place}?digest={digest_of(DATA)}", DATA[2000:], {"Content-Range": f"2000-{len(DATA) - 1}"})
    assert answer.status == 201
    assert blob(world, DATA)
    assert world("GET", place).codes == ["BLOB_UPLOAD_UNKNOWN"]


@pytest.mark.parametrize("place", ["1-2", "1001-1002", "999-1000", "bytes=1000-1001", "x", "5-1", ""])
def test_a_chunk_in_the_wrong_place(shared: World, place: str) -> None:
    world, upload = shared, shared.begin()
    world("PATCH", upload, DATA[:1000])
    for method, path in (("PATCH", upload), ("PUT", f"{upload}?digest={digest_of(DATA)}")):
        answer = world(method, path, b"xx", {"Content-Range": place})
        assert (answer.status, answer.codes) == (416, ["BLOB_UPLOAD_INVALID"])
        assert (answer.header("Location"), answer.header("Range")) == (upload, "0-999")
    assert world("PUT", f"{upload}?digest={digest_of(DATA)}", DATA[1000:]).status == 201


def test_a_chunk_of_another_size_than_it_says(world: World) -> None:
    upload = world.begin()
    answer = world("PATCH", upload, b"xxx", {"Content-Range": "0-1"})
    assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"])
    assert world("GET", upload).header("Range") == "0-0"


def test_chunked_transfer_that_is_longer_or_shorter_than_it_says(world: World) -> None:
    for data, arrived in ((b"xxx", "0-0"), (b"xx" * 600_000, "0-0"), (b"x", "0-0")):
        upload = world.begin()
        chunked = iter([data])  # http.client says no length of an iterator
        answer = world("PATCH", upload, chunked, {"Content-Range": "0-1"})
        assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"])
        assert world("GET", upload).header("Range") == arrived
        world("DELETE", upload)


@pytest.mark.parametrize("how", ["at once", "two requests", "chunks"])
def test_a_lie_about_the_digest(world: World, how: str) -> None:
    lie = digest_of(b"something else")
    if how == "at once":
        answer = world("POST", f"/v2/team/app/blobs/uploads/?digest={lie}", DATA)
    else:
        upload = world.begin()
        if how == "chunks":
            world("PATCH", upload, DATA)
        answer = world("PUT", f"{upload}?digest={lie}", b"" if how == "chunks" else DATA)
        assert world("GET", upload).status == 404
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert not blob(world, DATA)
    assert world("HEAD", f"/v2/team/app/blobs/{lie}").status == 404


def test_digests_that_are_none(world: World) -> None:
    upload = world.begin()
    for query in ("", "?digest=", "?digest=sha256:x", f"?digest=md5:{'a' * 32}", f"?digest=sha256:{'A' * 64}"):
        assert world("PUT", upload + query, DATA).codes == ["DIGEST_INVALID"]
    assert world("POST", "/v2/team/app/blobs/uploads/?digest=x", DATA).codes == ["DIGEST_INVALID"]
    assert world("DELETE", upload).status == 204


def test_an_upload_is_cancelled(world: World) -> None:
    upload = world.begin()
    world("PATCH", upload, DATA)
    assert len(world.uploading) == 1
    assert world("DELETE", upload).status == 204
    assert world.uploading == []
    for method in ("GET", "PATCH", "DELETE"):
        assert world(method, upload).codes == ["BLOB_UPLOAD_UNKNOWN"]


def test_an_upload_of_another_repository(world: World) -> None:
    upload = world.begin()
    other = upload.replace("team/app", "other")
    assert world("PATCH", other, DATA).codes == ["BLOB_UPLOAD_UNKNOWN"]
    world("DELETE", upload)


def test_a_mount(world: World) -> None:
    digest = world.push_blob(DATA)
    begin = "/v2/other/blobs/uploads/?mount="
    for query in (f"{digest_of(b'x')}&from=team/app", f"{digest}&from=nobody", "x&from=team/app", f"{digest}&from=A"):
        answer = world("POST", begin + query)
        assert answer.status == 202
        world("DELETE", answer.header("Location"))
    assert not blob(world, DATA, "other")
    answer = world("POST", f"{begin}{digest}&from=team/app")
    assert (answer.status, answer.header("Location")) == (201, f"/v2/other/blobs/{digest}")
    assert blob(world, DATA, "other")
    assert world("POST", f"/v2/third/blobs/uploads/?mount={digest}").status == 201  # wherever it is


def test_a_pushed_image_is_one_of_the_store(tmp_path: Path, world: World) -> None:
    image = sample_image(1000, 2000)
    answer = world.push(image, "1")
    assert answer.header("Docker-Content-Digest") == image.root.digest
    assert world("GET", answer.header("Location")).body == image.manifest
    assert world("GET", "/v2/team/app/manifests/1").body == image.manifest
    with Store(tmp_path / "store") as store:
        assert store.tags.get(parse_reference("team/app:1")) == image.root
        assert all(store.has(piece) for piece in image.pieces)
    assert world.heard.lines == [f"team/app:1 is now {image.root.digest}"]


def test_a_push_moves_a_name_with_the_servers_address_along(tmp_path: Path, world: World) -> None:
    port = world.address.rpartition(":")[2]
    fill(tmp_path, f"localhost:{port}/team/app:1", sample_image(10, seed=9))
    image = sample_image(20)
    world.push(image, "1")
    assert world("GET", "/v2/team/app/manifests/1").body == image.manifest
    assert world("DELETE", "/v2/team/app/manifests/1").status == 202
    assert world("GET", "/v2/team/app/manifests/1").status == 404


def test_a_manifest_of_what_is_not_there(world: World) -> None:
    image = sample_image(1000, 2000)
    fill(world.directory, "elsewhere:1", image)  # the store has it, this repository has not
    answer = world.push_manifest(image.manifest, "1")
    assert (answer.status, answer.codes) == (404, ["MANIFEST_BLOB_UNKNOWN"] * 3)
    missing = {error["detail"]["digest"] for error in answer.json()["errors"]}
    assert missing == {piece.digest for piece in image.pieces[1:]}
    index = encode_index(Index((image.root,)))
    answer = world.push_manifest(index.raw, "1", media_type=media_types.INDEX)
    assert (answer.status, answer.codes) == (404, ["MANIFEST_BLOB_UNKNOWN"])


def test_layers_that_must_not_be_distributed_may_be_missing(world: World) -> None:
    document = json.loads(sample_image(10).manifest)
    world.push_blob(b"{}")
    document["config"] = {"mediaType": media_types.CONFIG, "digest": digest_of(b"{}"), "size": 2}
    for kind in ("vnd.oci.image.layer.nondistributable.v1.tar+gzip", "vnd.docker.image.rootfs.foreign.diff.tar.gzip"):
        document["layers"][0]["mediaType"] = f"application/{kind}"
        assert world.push_manifest(json.dumps(document).encode(), "foreign").status == 201


def changed(**members: Any) -> bytes:
    document = json.loads(sample_image(1000, 2000).manifest)
    document.update(members)
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        changed(schemaVersion=1),
        changed(config=None),
        changed(layers={}),
        changed(mediaType=media_types.INDEX),
        changed(mediaType="application/vnd.docker.distribution.manifest.v2+json"),
        changed(manifests=[]),
        changed(config={"mediaType": media_types.CONFIG, "digest": "sha256:../../index.json", "size": 2}),
        changed(config={"mediaType": media_types.CONFIG, "digest": digest_of(b"{}"), "size": -1}),
        changed(config={"mediaType": media_types.EMPTY, "digest": digest_of(b"{}"), "size": 2, "data": "e30x"}),
        changed(subject={"mediaType": media_types.MANIFEST, "digest": "x", "size": 1}),
    ],
)
def test_a_document_that_breaks_the_specification(shared: World, raw: bytes) -> None:
    world = shared
    world.push(sample_image(1000, 2000), "good")
    world.push_blob(b"{}")
    answer = world.push_manifest(raw, "bad")
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
    assert world("GET", "/v2/team/app/manifests/bad").status == 404


def test_other_lies_of_manifests(world: World) -> None:
    image = sample_image(1000, 2000)
    world.push(image, "good")
    document = json.loads(image.manifest)
    document["layers"][0]["size"] += 1
    assert world.push_manifest(json.dumps(document).encode(), "bad").codes == ["SIZE_INVALID"]
    assert world.push_manifest(image.manifest, digest_of(b"other")).codes == ["DIGEST_INVALID"]
    assert world.push_manifest(image.manifest, "sha256:short").codes == ["DIGEST_INVALID"]
    for kind in ("text/plain", "", "application/vnd.docker.distribution.manifest.v1+prettyjws"):
        assert world.push_manifest(image.manifest, "bad", media_type=kind).codes == ["MANIFEST_INVALID"]
    assert world.push_manifest(image.manifest, "bad", media_type=media_types.INDEX).codes == ["MANIFEST_INVALID"]
    parameters = f"{media_types.MANIFEST}; charset=utf-8"
    assert world.push_manifest(image.manifest, "good", media_type=parameters).status == 201


def test_a_manifest_has_a_limit(world: World) -> None:
    for body in (bytes((4 << 20) + 1), b" " * (5 << 20)):
        answer = world.push_manifest(body, "large")
        assert (answer.status, answer.codes) == (413, ["SIZE_INVALID"])


def test_referrers(world: World) -> None:
    image = sample_image(10)
    referrers = f"/v2/team/app/referrers/{image.root.digest}"
    empty = world("GET", referrers)  # neither repository nor subject need exist
    assert (empty.status, empty.json()["manifests"]) == (200, [])
    raws = [world.artifact(image.root, number, kind=f"application/vnd.kind.{number % 2}") for number in range(4)]
    for raw in raws:
        answer = world.push_manifest(raw, digest_of(raw))
        assert (answer.status, answer.header("OCI-Subject")) == (201, image.root.digest)
    world.push(image)
    answer = world("GET", referrers)
    assert answer.header("Content-Type") == media_types.INDEX
    found = answer.json()
    assert (found["schemaVersion"], found["mediaType"]) == (2, media_types.INDEX)
    assert {entry["digest"] for entry in found["manifests"]} == {digest_of(raw) for raw in raws}
    assert {entry["annotations"]["number"] for entry in found["manifests"]} == {"0", "1", "2", "3"}
    assert "OCI-Filters-Applied" not in answer.headers
    some = world("GET", f"{referrers}?artifactType=application/vnd.kind.1")
    assert some.header("OCI-Filters-Applied") == "artifactType"
    assert {entry["artifactType"] for entry in some.json()["manifests"]} == {"application/vnd.kind.1"}
    assert len(some.json()["manifests"]) == 2
    assert world("DELETE", f"/v2/team/app/manifests/{digest_of(raws[0])}").status == 202
    assert len(world("GET", referrers).json()["manifests"]) == 3


def test_many_referrers_come_in_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyoci.serve.endpoints._REFERRERS_LIMIT", 1000)
    image = sample_image(10)
    digests = set()
    for number in range(5):
        raw = world.artifact(image.root, number)
        world.push_manifest(raw, digest_of(raw))
        digests.add(digest_of(raw))
    path, seen, pages = f"/v2/team/app/referrers/{image.root.digest}?artifactType=application/vnd.example", set(), 0
    while path:
        answer = world("GET", path)
        seen |= {entry["digest"] for entry in answer.json()["manifests"]}
        path = (answer.headers.get("Link") or "").partition("<")[2].partition(">")[0]
        pages += 1
    assert (seen, pages) == (digests, 3)


def test_what_was_pushed_by_digest_is_there_again_and_no_garbage(tmp_path: Path) -> None:
    image = sample_image(10)
    with serving(tmp_path) as world:
        signature = world.artifact(image.root)
        world.push_manifest(signature, digest_of(signature))
        world.push(image)
        world.push_blob(b"nothing points at this")
    with Store(tmp_path / "store") as store, store.alone() as alone:
        assert alone
        removed = prune(store, lambda trees: None, everything=True)
        assert any(digest_of(b"nothing points at this").partition(":")[2] in name for name in removed.names)
    with serving(tmp_path) as world:
        assert len(world("GET", f"/v2/team/app/referrers/{image.root.digest}").json()["manifests"]) == 1
        assert world("GET", f"/v2/team/app/manifests/{digest_of(signature)}").body == signature
        assert world("GET", f"/v2/team/app/blobs/{digest_of(b'note 0')}").body == b"note 0"
        assert not blob(world, b"nothing points at this")
        with Store(tmp_path / "store") as store, store.alone() as alone:
            assert not alone  # nobody collects garbage while it is served


def test_what_an_index_holds_needs_no_remembering(tmp_path: Path) -> None:
    image = sample_image(10)
    index = encode_index(Index((image.root,)))
    with serving(tmp_path) as world:
        world.push(image, image.root.digest)
        assert len(list((tmp_path / "store" / "kept").iterdir())) == 1
        world.push_manifest(index.raw, "1", media_type=media_types.INDEX)
        assert list((tmp_path / "store" / "kept").iterdir()) == []
        assert world("DELETE", f"/v2/team/app/manifests/{image.root.digest}").codes == ["DENIED"]
        assert world("GET", f"/v2/team/app/manifests/{image.root.digest}").status == 200


def test_deletion(tmp_path: Path, world: World) -> None:
    image = sample_image(1000)
    world.push(image, "1")
    world.push(image, "2")
    manifest, layer = f"/v2/team/app/manifests/{image.root.digest}", f"/v2/team/app/blobs/{image.layers[0].digest}"
    assert world("DELETE", layer).codes == ["DENIED"]
    assert world("DELETE", "/v2/team/app/manifests/1").status == 202
    assert world("DELETE", "/v2/team/app/manifests/1").codes == ["MANIFEST_UNKNOWN"]
    assert world("GET", "/v2/team/app/tags/list").json()["tags"] == ["2"]
    assert world("GET", manifest).status == 200
    assert world("DELETE", manifest).status == 202
    assert world("GET", "/v2/team/app/tags/list").json()["tags"] == []
    assert world("GET", manifest).status == 404
    assert world("DELETE", manifest).codes == ["MANIFEST_UNKNOWN"]
    assert world("DELETE", layer).status == 202
    assert world("GET", layer).status == 404
    assert world("DELETE", layer).codes == ["BLOB_UNKNOWN"]
    with Store(tmp_path / "store") as store:
        assert store.tags.all() == []
        assert store.has(image.layers[0])  # until garbage is collected


def test_who_may_change_nothing(tmp_path: Path) -> None:
    image = fill(tmp_path, "app:1")
    requests = [
        ("POST", "/v2/app/blobs/uploads/"),
        ("POST", f"/v2/app/blobs/uploads/?mount={image.config.digest}&from=app"),
        ("PATCH", "/v2/app/blobs/uploads/x"),
        ("PUT", "/v2/app/blobs/uploads/x?digest=x"),
        ("PUT", "/v2/app/manifests/1"),
    ]
    deletions = [
        ("DELETE", "/v2/app/manifests/1"),
        ("DELETE", f"/v2/app/manifests/{image.root.digest}"),
        ("DELETE", f"/v2/app/blobs/{image.config.digest}"),
    ]
    with serving(tmp_path, write=False, delete=False) as world:
        for method, path in [*requests, *deletions]:
            answer = world(method, path, b"x")
            assert (answer.status, answer.codes) == (403, ["DENIED"])
    with serving(tmp_path, delete=False) as world:
        for method, path in deletions:
            answer = world(method, path)
            assert (answer.status, answer.codes) == (405, ["UNSUPPORTED"])
        assert world("GET", "/v2/app/manifests/1").status == 200


def test_a_web_page_may_change_nothing(world: World) -> None:
    origin = {"Origin": "http://evil.example"}
    assert world("POST", "/v2/app/blobs/uploads/", b"", origin).codes == ["DENIED"]
    assert world("GET", "/v2/", headers=origin).status == 200


def test_a_password(tmp_path: Path) -> None:
    fill(tmp_path, "app:1")
    with serving(tmp_path, user="joe", password="hunter2") as world:
        for path in ("/v2/", "/v2/app/manifests/1", "/nothing"):
            answer = world("GET", path)
            assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
            assert answer.header("WWW-Authenticate").startswith('Basic realm="pyoci"')
        for header in ("Basic am9lOndyb25n", "Bearer x"):
            assert world("GET", "/v2/", headers={"Authorization": header}).status == 401
        right = {"Authorization": "Basic am9lOmh1bnRlcjI="}
        assert world("GET", "/v2/app/manifests/1", headers=right).status == 200
    assert not any("hunter2" in line for line in world.heard.lines)


def test_limits(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(blob_bytes=100, uploads=2, idle_seconds=0.5)) as world:
        answer = world("POST", f"/v2/a/blobs/uploads/?digest={digest_of(bytes(101))}", bytes(101))
        assert (answer.status, answer.codes) == (413, ["SIZE_INVALID"])
        first = world.begin()
        world.begin()
        answer = world("POST", "/v2/a/blobs/uploads/")
        assert (answer.status, answer.codes, answer.header("Retry-After")) == (429, ["TOOMANYREQUESTS"], "5")
        assert settled(lambda: world("GET", first).status == 404 and not world.uploading)
        world("DELETE", world.begin())


def test_a_body_that_does_not_move_is_ended_and_what_arrived_counts(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(stall_seconds=0.3)) as world:
        upload = world.begin()
        host, _, port = world.address.partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            head = f"PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
            connection.sendall(head.encode() + bytes(400))
            assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert world("GET", upload).header("Range") == "0-399"
        assert world("PATCH", upload, bytes(600), {"Content-Range": "400-999"}).status == 202


def test_what_arrived_before_the_client_hung_up_counts(world: World) -> None:
    upload = world.begin()
    host, _, port = world.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
        connection.sendall(head.encode() + bytes(1_500_000))
    assert settled(lambda: world("GET", upload).header("Range") == "0-1499999")
    assert world("DELETE", upload).status == 204


def test_many_push_the_same_at_once(tmp_path: Path, world: World) -> None:
    images = [sample_image(5000, 100 + number) for number in range(6)]  # the first layer is one for all
    start = threading.Barrier(6)

    def push(number: int) -> int:
        start.wait(20)
        return world.push(images[number], f"t{number}").status

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(push, range(6))) == [201] * 6
    with Store(tmp_path / "store") as store:
        assert len(store.tags.all()) == 6
        for image in images:
            for piece in image.pieces:
                with store.open(piece) as stream:
                    assert digest_of(stream.read()) == piece.digest


def test_what_rmi_removed_is_asked_for_again(tmp_path: Path, world: World) -> None:
    image = sample_image(1000)
    world.push(image, "1")
    with Store(tmp_path / "store") as store:
        store.tags.remove(parse_reference("team/app:1"))
        remove_graph(image.root, store)
    assert world("GET", f"/v2/team/app/blobs/{image.layers[0].digest}").status == 404
    answer = world.push_manifest(image.manifest, "1")
    assert (answer.status, set(answer.codes)) == (404, {"MANIFEST_BLOB_UNKNOWN"})
    assert world.push(image, "1").status == 201


def test_a_fault_of_the_server_is_told_here_and_not_there(tmp_path: Path) -> None:
    image = sample_image(10)
    with serving(tmp_path) as world:
        world.push(image, image.root.digest)
        (kept,) = (tmp_path / "store" / "kept").iterdir()
        kept.write_bytes(b"{")
        answer = world("GET", f"/v2/team/app/manifests/{digest_of(b'x')}")
        assert (answer.status, answer.codes) == (500, ["UNKNOWN"])
        assert str(tmp_path) not in answer.body.decode()
        assert any(f"{kept} is damaged" in line for line in world.heard.lines)


def test_a_layout_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="served for reading"), serving(tmp_path, source="oci-layout:x", write=True):
        pass
