"""What a repository can do, against a server that holds to distribution-spec."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence

import pytest

from pyoci.content import MemoryContent, copy_graph
from pyoci.digest import sha256_digest
from pyoci.errors import (
    Cancelled,
    ContentError,
    ContentNotFound,
    DigestMismatch,
    InvalidDocument,
    RegistryError,
    UsageError,
)
from pyoci.image import Index, encode_index, media_types
from pyoci.image.descriptor import Descriptor
from pyoci.reference import Reference, parse_reference
from pyoci.registry.client import RegistryClient
from pyoci.registry.hosts import HostsConfig, HostSettings
from tests.fakes.registry import (
    Change,
    FakeRegistry,
    Fault,
    Reset,
    Respond,
    digest_of,
    fake_registry,
)
from tests.registry_world import CALM, Recorder, sample_image, settled, world

IMAGE = sample_image(100_000, 30_000)
LAYER = IMAGE.layers[0]


def app(origin: Descriptor) -> Sequence[str]:
    return ["team/app"]


# -- reading


@pytest.mark.parametrize("header", ["Docker-Content-Digest", "Content-Length"])
def test_a_head_that_says_too_little_is_followed_by_a_get(header: str) -> None:
    with world() as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Change(headers={header: ""}), "HEAD")]
        assert here.repository().resolve() == IMAGE.root
        assert here.registry.requests("GET", "/manifests/")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=utf-8", ""])
def test_a_manifest_whose_server_does_not_know_its_type(content_type: str) -> None:
    with world() as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Change(headers={"Content-Type": content_type}), path="/manifests/", times=9)]
        assert here.repository().resolve() == IMAGE.root


def test_a_manifest_without_media_type_is_known_by_its_shape() -> None:
    index = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    with world() as here:
        here.registry.add_manifest("team/app", index, "application/json", "1")
        assert here.repository().resolve().media_type == media_types.INDEX


def test_a_digest_is_asked_for_by_digest() -> None:
    with world() as here:
        here.publish(IMAGE)
        pinned = here.client.repository(here.reference().with_digest(IMAGE.root.digest))
        assert pinned.resolve() == IMAGE.root
        assert pinned.fetch_manifest() == (IMAGE.manifest, IMAGE.root)
        assert here.repository().resolve(IMAGE.root.digest) == IMAGE.root
        assert not here.registry.requests(path="/manifests/1$")


def test_a_name_without_tag_and_digest_means_nothing() -> None:
    with world() as here, pytest.raises(UsageError, match="has neither tag nor digest"):
        here.client.repository(Reference(here.registry.host, "team/app")).resolve()


def test_urls_of_a_descriptor_are_not_followed() -> None:
    with fake_registry() as elsewhere, world() as here:
        foreign = Descriptor(LAYER.media_type, LAYER.digest, LAYER.size, urls=(f"{elsewhere.url}/blob",))
        with pytest.raises(ContentNotFound):
            here.repository().open(foreign)
        assert elsewhere.seen == []


def test_having_is_one_head() -> None:
    with world() as here:
        here.publish(IMAGE)
        repository = here.repository()
        assert all(repository.has(piece) for piece in IMAGE.pieces)
        assert not repository.has(Descriptor(LAYER.media_type, sha256_digest(b"other"), 5))
        assert {seen.method for seen in here.registry.requests(path="/team/")} == {"HEAD"}
        with pytest.raises(DigestMismatch, match="has 100000 bytes instead of 7"):
            repository.has(Descriptor(LAYER.media_type, LAYER.digest, 7))


def test_reading_in_small_pieces_and_stopping_early() -> None:
    with world() as here:
        here.publish(IMAGE)
        with here.repository().open(LAYER) as stream:
            assert stream.read(10) == IMAGE.content.open(LAYER).read(10)
        with here.repository().open(LAYER) as stream:
            assert b"".join(iter(lambda: stream.read(777), b"")) == IMAGE.content.open(LAYER).read()


def test_an_empty_blob() -> None:
    nothing = Descriptor("application/octet-stream", sha256_digest(b""), 0)
    with world() as here:
        here.repository().put(nothing, io.BytesIO(b""))
        assert here.registry.repo("team/app").blobs[nothing.digest] == b""
        assert here.repository().open(nothing).read() == b""
        with pytest.raises(DigestMismatch):
            here.repository().put(nothing, io.BytesIO(b"x"))


# -- mounting


def test_what_another_repository_has_is_mounted_and_not_sent() -> None:
    with world(FakeRegistry(auth="bearer")) as here:
        here.publish(IMAGE)
        here.registry.seen.clear()
        here.repository("other/app:2", mount_from=app).push(IMAGE.root, IMAGE.content)
        assert here.has_whole(IMAGE, "other/app")
        assert here.registry.sent_bytes() == IMAGE.root.size
        outcomes = here.reporter.outcomes
        assert {outcomes[piece.digest] for piece in (IMAGE.config, *IMAGE.layers)} == {"mounted"}
        assert settled(lambda: not here.registry.uploads)


def test_the_token_for_a_mount_covers_both_repositories() -> None:
    with world(FakeRegistry(auth="bearer")) as here:
        here.publish(IMAGE)
        here.repository("other/app:2", mount_from=app).push(IMAGE.root, IMAGE.content)
        scopes = [seen.path for seen in here.registry.requests("GET", "^/token")]
        assert any(
            "repository%3Ateam%2Fapp%3Apull&" in path + "&" and "other%2Fapp%3Apull%2Cpush" in path for path in scopes
        )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_a_mount_that_is_refused_is_a_plain_upload(status: int) -> None:
    with world(FakeRegistry(auth="bearer")) as here:
        here.registry.faults = [Fault(Respond(status), "POST", "mount=", 99)]
        here.repository("other/app:2", mount_from=app).push(IMAGE.root, IMAGE.content)
        assert here.has_whole(IMAGE, "other/app")


def test_a_token_server_that_refuses_the_other_repository_is_no_hindrance() -> None:
    with world(FakeRegistry(auth="bearer")) as here:
        here.registry.faults = [Fault(Respond(403), "GET", "^/token.*team%2Fapp", 99)]
        here.repository("other/app:2", mount_from=app).push(IMAGE.root, IMAGE.content)
        assert here.has_whole(IMAGE, "other/app")


def test_an_upload_that_a_mount_has_opened_is_used() -> None:
    with world(FakeRegistry(mounts=False)) as here:
        here.repository("other/app:2", mount_from=lambda _: ["other/app", "a/a", "b/b"]).push(IMAGE.root, IMAGE.content)
        assert here.has_whole(IMAGE, "other/app")
        assert settled(lambda: not here.registry.uploads)
        assert not here.registry.requests("POST", "/uploads/$")
        assert not here.registry.requests("POST", "from=other")


def test_what_is_there_is_neither_mounted_nor_sent() -> None:
    with world() as here:
        here.publish(IMAGE)
        here.registry.seen.clear()
        here.repository("team/app:2", mount_from=app).push(IMAGE.root, IMAGE.content)
        assert here.registry.repo("team/app").tags == {"1": IMAGE.root.digest, "2": IMAGE.root.digest}
        assert not here.registry.requests("POST")
        assert here.registry.sent_bytes() == IMAGE.root.size
        assert here.reporter.outcomes == {IMAGE.root.digest: "exists"}


# -- writing


@pytest.mark.parametrize("minimum", [0, 40_000, 70_000, 1_000_000])
def test_chunks_are_as_large_as_both_sides_want(minimum: int) -> None:
    with fake_registry(FakeRegistry(chunk_min=minimum)) as registry:
        config = HostsConfig(hosts={registry.host: HostSettings(chunk_bytes=30_000)}, network=CALM)
        with RegistryClient(config, sleep=lambda _: None) as client:
            repository = client.repository(parse_reference(f"{registry.host}/team/app:1"))
            repository.push(IMAGE.root, IMAGE.content)
        assert digest_of(registry.repo("team/app").blobs[LAYER.digest]) == LAYER.digest
        chunk = max(30_000, minimum)
        patches = [seen for seen in registry.requests("PATCH") if seen.body_bytes]
        sizes = [seen.body_bytes for seen in patches]
        assert all(size == chunk for size in sizes if size not in (100_000 % chunk, 30_000 % chunk or 30_000))
        assert (len(sizes) == 0) == (chunk >= 100_000)
        ranges = [seen.headers["Content-Range"] for seen in patches]
        assert all(text.count("-") == 1 and not text.startswith("bytes") for text in ranges)


def test_a_chunk_that_breaks_off_is_taken_up_again() -> None:
    for keeps in (True, False):
        with fake_registry(FakeRegistry(keeps_partial=keeps)) as registry:
            registry.faults = [Fault(Reset(10_000), "PATCH", times=2)]
            config = HostsConfig(hosts={registry.host: HostSettings(chunk_bytes=30_000)}, network=CALM)
            with RegistryClient(config, sleep=lambda _: None) as client:
                repository = client.repository(parse_reference(f"{registry.host}/team/app:1"))
                repository.put(LAYER, io.BytesIO(IMAGE.content.open(LAYER).read()))
            assert digest_of(registry.repo("team/app").blobs[LAYER.digest]) == LAYER.digest


def test_a_stream_that_cannot_be_rewound_is_sent_once() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self._left = io.BytesIO(IMAGE.content.open(LAYER).read())

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            return self._left.readinto(buffer)

    with world() as here:
        here.repository().put(LAYER, io.BufferedReader(Pipe()))
        assert LAYER.digest in here.registry.repo("team/app").blobs
    with world() as here:
        here.registry.faults = [Fault(Respond(500), "POST"), Fault(Reset(50_000), "PUT")]
        with pytest.raises(RegistryError, match=r"broke|closed"):
            here.repository().put(LAYER, io.BufferedReader(Pipe()))
        assert settled(lambda: not here.registry.uploads)


def test_a_source_that_fails_is_not_the_registrys_fault() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with world() as here:
        with pytest.raises(ContentError, match=rf"^cannot read {LAYER.digest}: Input/output error$"):
            here.repository().put(LAYER, Failing())
        assert settled(lambda: not here.registry.uploads)
        assert len(here.registry.requests("PUT")) <= 1


def test_a_push_permission_is_known_without_a_push() -> None:
    with world(FakeRegistry(auth="bearer")) as here:
        here.repository().check_push()
        assert len(here.registry.uploads) == 1
        here.client.close()
        assert settled(lambda: not here.registry.uploads)
        assert here.registry.repo("team/app").blobs == {}
        here.registry.faults = [Fault(Respond(202, headers={"Location": "/v2/team/app/blobs/uploads/u9"}), "POST")]
        here.repository().check_push()
        here.client.close()  # a registry that cannot cancel does not matter


def test_an_index_with_all_its_platforms() -> None:
    other = sample_image(5_000, seed=7)
    content = MemoryContent(
        content.open(piece).read()
        for content, image in ((IMAGE.content, IMAGE), (other.content, other))
        for piece in image.pieces
    )
    index = encode_index(Index((IMAGE.root, other.root)))
    root = content.add(index.raw, index.media_type)
    with world() as here:
        here.repository().push(root, content)
        assert here.repository().resolve() == root
        target = MemoryContent()
        copy_graph(root, here.repository(), target)
        assert all(target.has(piece) for piece in (root, *IMAGE.pieces, *other.pieces))
        order = [seen.path.rpartition("/")[2] for seen in here.registry.requests("PUT", "/manifests/")]
        assert sorted(order[:-1]) == sorted([IMAGE.root.digest, other.root.digest])
        assert order[-1] == "1"


def test_an_interrupt_stops_a_push_and_leaves_nothing() -> None:
    cancelled = threading.Event()

    class Interrupting(Recorder):
        def transfer_advanced(self, name: str, done_bytes: int) -> None:
            cancelled.set()

    with fake_registry() as registry:
        config = HostsConfig(network=CALM)
        with RegistryClient(config, reporter=Interrupting(), cancelled=cancelled) as client:
            repository = client.repository(parse_reference(f"{registry.host}/team/app:1"))
            with pytest.raises(Cancelled):
                repository.push(IMAGE.root, IMAGE.content)
        assert not registry.repo("team/app").manifests
        assert LAYER.digest not in registry.repo("team/app").blobs
        assert settled(lambda: not registry.uploads)


# -- lists and deletion


def test_tags_page_by_page() -> None:
    names = [f"v{number}" for number in range(7)]
    with world(FakeRegistry(page=3)) as here:
        here.publish(IMAGE, "team/app", *names)
        assert list(here.repository().tags()) == names
        assert len(here.registry.requests("GET", "/tags/list")) == 3
        with pytest.raises(ContentNotFound, match="repository name not known"):
            list(here.repository("nobody/app:1").tags())


def test_a_next_page_on_another_host_is_asked_for_here() -> None:
    with fake_registry() as elsewhere, world(FakeRegistry(auth="bearer", page=1)) as here:
        here.publish(IMAGE, "team/app", "a", "b")
        link = f'<{elsewhere.url}/v2/team/app/tags/list?n=1&last=a>; rel="next"'
        here.registry.faults = [Fault(Change(headers={"Link": link}), "GET", "tags/list")]
        assert list(here.repository().tags()) == ["a", "b"]
        assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ('</v2/other/app/tags/list?last=a>; rel="next"', "the next page of /v2/team/app/tags/list is said to be"),
        ('</v2/team/app/tags/list?last=a>; rel="next"', "lists the same page twice"),
    ],
)
def test_a_next_page_that_leads_astray(link: str, message: str) -> None:
    with world() as here:
        here.publish(IMAGE, "team/app", "a")
        here.registry.faults = [Fault(Change(headers={"Link": link}), "GET", "tags/list", 99)]
        with pytest.raises(RegistryError, match=message):
            list(here.repository().tags())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"tags": 7}', b'{"tags": [7]}', b"{}x"])
def test_lists_that_are_none(body: bytes) -> None:
    with world() as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Respond(200, body), "GET", "tags/list")]
        with pytest.raises(InvalidDocument, match="is not a list of tags"):
            list(here.repository().tags())


def test_no_tags() -> None:
    with world() as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Respond(200, b'{"name": "team/app", "tags": null}'), "GET", "tags/list")]
        assert list(here.repository().tags()) == []


def test_deleting() -> None:
    with world(FakeRegistry(auth="bearer")) as here:
        here.publish(IMAGE, "team/app", "1", "2")
        here.repository().delete("1")
        assert here.registry.repo("team/app").tags == {"2": IMAGE.root.digest}
        here.repository().delete(IMAGE.root.digest)
        assert here.registry.repo("team/app").manifests == {}
        with pytest.raises(ContentNotFound, match="manifest unknown"):
            here.repository().delete("2")
        here.registry.deletes = False
        here.publish(IMAGE)
        with pytest.raises(RegistryError, match="unsupported") as caught:
            here.repository().delete("1")
        assert caught.value.hint == f"{here.registry.host} does not allow deletion"
