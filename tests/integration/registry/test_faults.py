"""The fault matrix: whatever goes wrong between client and registry ends in success after retries or in one clear
error.

After each case: content that arrived is whole and right, no document is where something below it is missing, no
upload is left open, and no password or token is in anything that a person or a log could read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pyoci.content import MemoryContent, copy_graph
from pyoci.digest import sha256_digest
from pyoci.errors import ContentNotFound, DigestMismatch, InvalidDocument, PyociError, RegistryError, Unauthorized
from pyoci.registry.hosts import Network
from tests.fakes.registry import (
    Action,
    Change,
    Cut,
    EchoSecrets,
    FakeRegistry,
    Fault,
    LoseAnswer,
    Reset,
    Respond,
    Stall,
)
from tests.registry_world import CALM, FAST, SampleImage, World, sample_image, settled, world

FOREVER = 1000
IMAGE = sample_image(200_000, 70_000)
LAYER = IMAGE.layers[0].digest
CONFIG = IMAGE.config.digest
OTHER = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of request in the course of a pull or a push."""

    name: str
    method: str
    path: str


@pytest.fixture(params=["short", "long"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is short and what is long go over two libraries; nobody may see a difference."""
    if request.param == "long":
        monkeypatch.setattr("pyoci.registry.transport._SHORT_BYTES", -1)


PULL_STAGES = (
    Stage("resolve", "HEAD", "/manifests/1"),
    Stage("manifest", "GET", "/manifests/"),
    Stage("config", "GET", f"/blobs/{CONFIG}"),
    Stage("layer", "GET", f"/blobs/{LAYER}"),
    Stage("token", "GET", "/token"),
)
PUSH_STAGES = (
    Stage("name", "HEAD", "/manifests/1"),
    Stage("root", "HEAD", f"/manifests/{IMAGE.root.digest}"),
    Stage("look", "HEAD", "/blobs/"),
    Stage("begin", "POST", "/blobs/uploads/"),
    Stage("send", "PUT", "/blobs/uploads/"),
    Stage("tag", "PUT", "/manifests/1"),
    Stage("token", "GET", "/token"),
)

TRANSIENT: dict[str, Action] = {
    "408": Respond(408),
    "429": Respond(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'),
    "429-retry-after": Respond(429, headers={"Retry-After": "7"}),
    "500": Respond(500, b"oops"),
    "502-html": Respond(502, b"<html><h1>Bad Gateway</h1></html>", {"Content-Type": "text/html"}),
    "503-retry-after-date": Respond(
        503,
        headers={"Retry-After": "Wed, 21 Oct 2015 07:28:05 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"},
    ),
    "504": Respond(504),
    "reset": Reset(),
    "lost-answer": LoseAnswer(),
    "stall": Stall(0.5),
}
"""What passes: the second attempt, or the third, succeeds."""

LASTING: dict[str, tuple[Action, type[PyociError], str]] = {
    "400": (Respond(400, b"{}"), RegistryError, "answered 400"),
    "401": (Respond(401), Unauthorized, "answered 401|unauthorized"),
    "403-denied": (
        Respond(403, b'{"errors":[{"code":"DENIED","message":"requested access is denied"}]}'),
        Unauthorized,
        "requested access is denied|answered 403",
    ),
    "418": (Respond(418), RegistryError, "answered 418"),
    "429-for-an-hour": (Respond(429, headers={"Retry-After": "3600"}), RegistryError, "429"),
    "500-for-good": (Respond(500), RegistryError, "answered 500"),
    "503-for-good": (Respond(503, headers={"Retry-After": "1"}), RegistryError, "answered 503"),
    "huge-error": (Respond(500, b"x" * 3_000_000), RegistryError, "answered 500"),
    "nested-error": (Respond(403, b"[" * 60_000), Unauthorized, "answered 403"),
    "control-characters": (
        Respond(403, b'{"errors":[{"code":"DENIED\\u001b[2J","message":"a\\nb\\u0007c\\u202ed"}]}'),
        RegistryError,
        "a b c d|answered 403",
    ),
    "echo-403": (EchoSecrets(403), Unauthorized, "go away|answered 403"),
    "echo-500": (EchoSecrets(500), RegistryError, "go away|answered 500"),
    "reset-for-good": (Reset(), RegistryError, "broke|closed"),
    "stall-for-good": (Stall(0.5), RegistryError, "stopped answering|broke|closed"),
    "redirect-in-circles": (
        Respond(307, headers={"Location": "?again"}),
        RegistryError,
        "redirects more than|answered 307",
    ),
    "redirect-to-file": (
        Respond(307, headers={"Location": "file:///etc/passwd"}),
        RegistryError,
        "not an address|answered 307",
    ),
    "redirect-with-password": (
        Respond(307, headers={"Location": "http://joe:pw@127.0.0.1:1/"}),
        RegistryError,
        "not an address|answered 307",
    ),
    "no-length": (Respond(599, headers={"Content-Length": "many"}), RegistryError, "answered 599"),
}
"""What does not pass: one error, of this type, saying this."""


def pull(world: World, *, jobs: int = 4) -> MemoryContent:
    repository = world.repository()
    target = MemoryContent()
    try:
        copy_graph(repository.resolve(), repository, target, kind="pull", jobs=jobs, reporter=world.reporter)
    finally:
        check_target(target)
    return target


def push(world: World, image: SampleImage = IMAGE, *, jobs: int = 4) -> None:
    world.repository().push(image.root, image.content, jobs=jobs)


def check_target(target: MemoryContent) -> None:
    """A document is there only with all that it points at."""
    if target.has(IMAGE.root):
        assert all(target.has(piece) for piece in IMAGE.pieces)
    for piece in IMAGE.pieces:
        if target.has(piece):
            assert sha256_digest(target.open(piece).read()) == piece.digest


def check_silence(world: World, caplog: pytest.LogCaptureFixture, error: PyociError | None = None) -> None:
    """No secret in an error with all its causes, in a log or on the terminal; every message is one line."""
    said = [*world.reporter.lines, *(record.getMessage() for record in caplog.records if "pyoci" in record.name)]
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, PyociError):
            said += [link.message, link.hint or ""]
            assert link.message.isprintable(), link.message
        if isinstance(link, RegistryError):
            said += [link.url, link.detail, link.code]
        link = link.__cause__
    for secret in (world.registry.password, *world.registry.tokens):
        assert not [line for line in said if secret in line]


def patience(fault: str) -> Network:
    """Short timeouts where one is what happens; a busy machine must not make one elsewhere."""
    return FAST if "stall" in fault or fault == "no-length" else CALM


def cases(stages: tuple[Stage, ...], faults: dict[str, object]) -> list[object]:
    return [pytest.param(stage, name, id=f"{stage.name}-{name}") for stage in stages for name in faults]


@pytest.fixture(autouse=True)
def debug_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="pyoci")


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("stage", "fault"), cases(PULL_STAGES, dict(TRANSIENT)))
def test_a_pull_outlives_what_passes(stage: Stage, fault: str, times: int, caplog: pytest.LogCaptureFixture) -> None:
    with world(FakeRegistry(auth="bearer"), network=patience(fault)) as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(TRANSIENT[fault], stage.method, stage.path, times)]
        assert all(pull(here).has(piece) for piece in IMAGE.pieces)
        assert here.registry.faults[0].times == 0
        assert here.slept
        if fault == "429-retry-after":
            assert here.slept == [7.0] * times
        if fault == "503-retry-after-date":
            assert here.slept == [5.0] * times
        check_silence(here, caplog)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("stage", "fault"), cases(PUSH_STAGES, dict(TRANSIENT)))
def test_a_push_outlives_what_passes(stage: Stage, fault: str, times: int, caplog: pytest.LogCaptureFixture) -> None:
    with world(FakeRegistry(auth="bearer"), network=patience(fault)) as here:
        here.registry.faults = [Fault(TRANSIENT[fault], stage.method, stage.path, times)]
        push(here)
        assert here.has_whole(IMAGE)
        assert here.registry.repo("team/app").tags == {"1": IMAGE.root.digest}
        assert here.registry.faults[0].times == 0
        assert here.slept
        if fault == "429-retry-after":
            assert here.slept == [7.0] * times
        if (stage.name, fault) != ("begin", "lost-answer"):  # nobody can know where such an upload is
            assert settled(lambda: not here.registry.uploads)
        check_silence(here, caplog)


@pytest.mark.parametrize(("stage", "fault"), cases(PULL_STAGES, dict(LASTING)))
def test_a_pull_that_cannot_succeed_says_why(stage: Stage, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    action, kind, pattern = LASTING[fault]
    with world(FakeRegistry(auth="bearer"), network=patience(fault)) as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(action, stage.method, stage.path, FOREVER)]
        with pytest.raises(RegistryError, match=pattern) as caught:
            pull(here)
        if stage.name != "token":
            assert isinstance(caught.value, kind)
        check_silence(here, caplog, caught.value)
        assert len(here.registry.requests(stage.method, stage.path)) <= 40


@pytest.mark.parametrize(("stage", "fault"), cases(PUSH_STAGES, dict(LASTING)))
def test_a_push_that_cannot_succeed_says_why(stage: Stage, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    action, kind, pattern = LASTING[fault]
    with world(FakeRegistry(auth="bearer"), network=patience(fault)) as here:
        here.registry.faults = [Fault(action, stage.method, stage.path, FOREVER)]
        with pytest.raises(RegistryError, match=pattern) as caught:
            push(here)
        if stage.name != "token":
            assert isinstance(caught.value, kind)
        assert not here.registry.repo("team/app").tags
        assert settled(lambda: not here.registry.uploads)
        check_silence(here, caplog, caught.value)


def flip_last(body: bytes) -> bytes:
    return body[:-1] + bytes([body[-1] ^ 1]) if body else body


BROKEN_BODIES: dict[str, list[Action]] = {
    "cut-at-once": [Cut(0)],
    "cut-in-the-first-piece": [Cut(10)],
    "cut-in-the-middle": [Cut(100_000)],
    "cut-before-the-last-byte": [Cut(199_999)],
    "cut-thrice": [Cut(50_000), Cut(50_000), Cut(10)],
    "cut-seven-times-with-progress": [Cut(20_000)] * 7,
    "short-but-honest": [Cut(100_000, honest=True)],
    "stall-in-the-middle": [Stall(0.5, after=100_000)],
    "ranges-ignored": [Cut(100_000), Change(headers={"Content-Range": "", "Content-Length": ""}, status=200)],
    "500-on-resume": [Cut(100_000), Respond(500), Respond(503)],
    "token-refused-on-resume": [Cut(100_000), Respond(401)],
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_blob_that_breaks_off_is_taken_up_again(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with world(FakeRegistry(auth="bearer"), network=patience(name)) as here:
        here.publish(IMAGE)
        faults = [Fault(action, "GET", f"/blobs/{LAYER}") for action in BROKEN_BODIES[name]]
        if name == "ranges-ignored":
            whole = IMAGE.content.open(IMAGE.layers[0]).read()
            faults[1] = Fault(
                Change(
                    headers={"Content-Range": "", "Content-Length": str(len(whole))}, body=lambda _: whole, status=200
                ),
                "GET",
                f"/blobs/{LAYER}",
            )
        if name == "token-refused-on-resume":
            challenge = f'Bearer realm="{here.registry.url}/token",service="fake"'
            faults[1] = Fault(Respond(401, headers={"WWW-Authenticate": challenge}), "GET", f"/blobs/{LAYER}")
        here.registry.faults = faults
        assert all(pull(here).has(piece) for piece in IMAGE.pieces)
        assert not [fault for fault in here.registry.faults if fault.times]
        check_silence(here, caplog)


def test_a_resumed_download_asks_only_for_what_is_missing() -> None:
    with world() as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Cut(131_072), "GET", f"/blobs/{LAYER}")]
        pull(here)
        ranges = [seen.headers.get("Range", "") for seen in here.registry.requests("GET", LAYER)]
        assert ranges[0] == ""
        start = int(ranges[1].removeprefix("bytes=").removesuffix("-"))
        assert 0 < start <= 131_072


BAD_CONTENT: dict[str, tuple[str, str, Action, type[PyociError], str]] = {
    "layer-flipped": ("GET", f"/blobs/{LAYER}", Change(body=flip_last), DigestMismatch, "expected sha256:"),
    "config-flipped": ("GET", f"/blobs/{CONFIG}", Change(body=flip_last), DigestMismatch, "expected sha256:"),
    "layer-longer": (
        "GET",
        f"/blobs/{LAYER}",
        Change(body=lambda body: body + b"x"),
        DigestMismatch,
        "sends 200001 bytes where the descriptor says 200000",
    ),
    "layer-longer-unannounced": (
        "GET",
        f"/blobs/{LAYER}",
        Change(body=lambda body: body + b"x", headers={"Content-Length": "", "Connection": "close"}),
        DigestMismatch,
        "longer than",
    ),
    "layer-always-short": ("GET", f"/blobs/{LAYER}", Cut(0, honest=True), RegistryError, "ended after 0 of 200000"),
    "layer-gone": (
        "GET",
        f"/blobs/{LAYER}",
        Respond(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}'),
        ContentNotFound,
        "blob unknown",
    ),
    "manifest-flipped": ("GET", "/manifests/", Change(body=flip_last), DigestMismatch, "expected sha256:"),
    "manifest-of-another-digest": (
        "GET",
        "/manifests/",
        Change(headers={"Docker-Content-Digest": OTHER}),
        DigestMismatch,
        f"got {OTHER}",
    ),
    "manifest-digest-malformed": (
        "HEAD",
        "/manifests/",
        Change(headers={"Docker-Content-Digest": "sha256:../../etc"}),
        InvalidDocument,
        "not a sha256 digest",
    ),
    "manifest-too-large": (
        "GET",
        "/manifests/",
        Change(body=lambda body: b" " * 5_000_000, headers={"Content-Length": "5000000"}),
        InvalidDocument,
        "longer than the 4194304 bytes",
    ),
    "manifest-too-large-unannounced": (
        "GET",
        "/manifests/",
        Change(body=lambda body: b" " * 5_000_000, headers={"Content-Length": "", "Connection": "close"}),
        InvalidDocument,
        "longer than the 4194304 bytes",
    ),
    "manifest-is-schema-1": (
        "HEAD",
        "/manifests/",
        Change(headers={"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"}),
        InvalidDocument,
        "schema 1",
    ),
    "manifest-is-a-web-page": (
        "HEAD",
        "/manifests/",
        Change(headers={"Content-Type": "text/html"}),
        InvalidDocument,
        'media type "text/html"',
    ),
    "manifest-says-index": (
        "GET",
        "/manifests/",
        Change(headers={"Content-Type": "application/vnd.oci.image.index.v1+json"}),
        InvalidDocument,
        "mediaType",
    ),
    "manifest-gone": (
        "HEAD",
        "/manifests/",
        Respond(404),
        ContentNotFound,
        "does not have it",
    ),
}


@pytest.mark.parametrize("name", BAD_CONTENT)
def test_content_that_cannot_be_right_is_refused(name: str, caplog: pytest.LogCaptureFixture) -> None:
    method, path, action, kind, pattern = BAD_CONTENT[name]
    with world(FakeRegistry(auth="bearer")) as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(action, method, path, FOREVER)]
        with pytest.raises(kind, match=pattern) as caught:
            pull(here)
        check_silence(here, caplog, caught.value)


def test_a_range_that_was_not_asked_for_is_refused() -> None:
    with world() as here:
        here.publish(IMAGE)
        here.registry.faults = [
            Fault(Cut(100_000), "GET", f"/blobs/{LAYER}"),
            Fault(Change(headers={"Content-Range": "bytes 0-199999/200000"}), "GET", f"/blobs/{LAYER}", FOREVER),
        ]
        with pytest.raises(RegistryError, match="another range"):
            pull(here)


BROKEN_UPLOADS: dict[str, Callable[[FakeRegistry], list[Fault]]] = {
    "reset-at-once": lambda _: [Fault(Reset(0), "PUT", "/blobs/uploads/")],
    "reset-in-the-middle": lambda _: [Fault(Reset(100_000), "PUT", LAYER.removeprefix("sha256:"))],
    "reset-before-the-last-byte": lambda _: [Fault(Reset(199_999), "PUT", LAYER.removeprefix("sha256:"))],
    "reset-after-the-last-byte": lambda _: [Fault(Reset(200_000), "PUT", LAYER.removeprefix("sha256:"))],
    "reset-again-when-resumed": lambda _: [
        Fault(Reset(100_000), "PUT", LAYER.removeprefix("sha256:")),
        Fault(Reset(50_000), "PATCH"),
    ],
    "status-unknown": lambda _: [
        Fault(Reset(100_000), "PUT", LAYER.removeprefix("sha256:")),
        Fault(Respond(404), "GET", "/blobs/uploads/"),
    ],
    "status-nonsense": lambda _: [
        Fault(Reset(100_000), "PUT", LAYER.removeprefix("sha256:")),
        Fault(Change(headers={"Range": "bytes=5-zzz"}), "GET", "/blobs/uploads/"),
    ],
    "status-beyond-the-end": lambda _: [
        Fault(Reset(100_000), "PUT", LAYER.removeprefix("sha256:")),
        Fault(Change(headers={"Range": "0-999999999"}), "GET", "/blobs/uploads/"),
    ],
    "status-lies": lambda _: [
        Fault(Reset(100_000), "PUT", LAYER.removeprefix("sha256:")),
        Fault(Change(headers={"Range": "0-49999"}), "GET", "/blobs/uploads/"),
    ],
    "damaged-on-the-way": lambda _: [
        Fault(
            Respond(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"did not match"}]}'),
            "PUT",
            LAYER.removeprefix("sha256:"),
        )
    ],
    "upload-forgotten": lambda _: [
        Fault(
            Respond(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"unknown"}]}'),
            "PUT",
            LAYER.removeprefix("sha256:"),
        )
    ],
    "committed-and-answer-lost": lambda _: [Fault(LoseAnswer(), "PUT", LAYER.removeprefix("sha256:"))],
    "too-busy-for-the-body": lambda _: [
        Fault(Respond(429, headers={"Retry-After": "3"}), "PUT", LAYER.removeprefix("sha256:"))
    ],
}


@pytest.mark.parametrize("keeps_partial", [True, False], ids=["partial-kept", "partial-lost"])
@pytest.mark.parametrize("name", BROKEN_UPLOADS)
def test_an_upload_that_breaks_off_is_taken_up_again(
    name: str, keeps_partial: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with world(FakeRegistry(auth="bearer", keeps_partial=keeps_partial)) as here:
        here.registry.faults = BROKEN_UPLOADS[name](here.registry)
        push(here)
        assert here.has_whole(IMAGE)
        assert here.registry.repo("team/app").tags == {"1": IMAGE.root.digest}
        check_silence(here, caplog)


def test_a_resumed_upload_sends_only_what_is_missing() -> None:
    with world() as here:
        here.registry.faults = [Fault(Reset(150_000), "PUT", LAYER.removeprefix("sha256:"))]
        push(here)
        assert here.has_whole(IMAGE)
        whole = sum(piece.size for piece in IMAGE.pieces)
        assert here.registry.sent_bytes() == whole


def test_a_push_that_was_stopped_sends_only_what_is_missing_the_next_time() -> None:
    with world() as here:
        here.registry.faults = [Fault(Respond(403), "PUT", "/manifests/", FOREVER)]
        with pytest.raises(RegistryError):
            push(here)
        here.registry.faults, here.registry.seen = [], []
        push(here)
        assert here.has_whole(IMAGE)
        assert here.registry.sent_bytes() == IMAGE.root.size


def test_a_pull_that_was_stopped_fetches_only_what_is_missing_the_next_time() -> None:
    with world() as here:
        here.publish(IMAGE)
        repository, target = here.repository(), MemoryContent()
        here.registry.faults = [Fault(Respond(403), "GET", f"/blobs/{IMAGE.layers[1].digest}", FOREVER)]
        with pytest.raises(RegistryError):
            copy_graph(repository.resolve(), repository, target, jobs=1)
        here.registry.faults, here.registry.seen = [], []
        copy_graph(repository.resolve(), repository, target, jobs=1)
        fetched = [seen.path.rpartition("/")[2] for seen in here.registry.requests("GET", "/blobs/")]
        assert fetched == [IMAGE.layers[1].digest, IMAGE.config.digest]  # in the order of their sizes


@pytest.mark.parametrize("uses", range(1, 13))
@pytest.mark.parametrize("direction", ["pull", "push"])
def test_a_token_that_runs_out_is_renewed(direction: str, uses: int, caplog: pytest.LogCaptureFixture) -> None:
    """Tokens die after so many requests, wherever that falls."""
    jobs = 1 if uses < 4 else 4  # with fewer uses than threads, a thread may never see a fresh one
    with world(FakeRegistry(auth="bearer", token_uses=uses)) as here:
        if direction == "pull":
            here.publish(IMAGE)
            assert pull(here, jobs=jobs).has(IMAGE.root)
        else:
            push(here, jobs=jobs)
            assert here.has_whole(IMAGE)
        assert settled(lambda: not here.registry.uploads)
        check_silence(here, caplog)


WRONG_ANSWERS: dict[str, tuple[str, str, Action, str]] = {
    "no-location": ("POST", "/blobs/uploads/", Change(headers={"Location": ""}), "does not say where to upload"),
    "location-is-no-url": ("POST", "/blobs/uploads/", Change(headers={"Location": "ftp://x/y"}), "not an address"),
    "begin-answers-200": ("POST", "/blobs/uploads/", Respond(200), "answered 200"),
    "stored-as-another": (
        "PUT",
        "/blobs/uploads/",
        Change(headers={"Docker-Content-Digest": OTHER}),
        f"stored it as {OTHER}",
    ),
    "too-large": ("PUT", "/blobs/uploads/", Respond(413), "answered 413"),
    "read-only": (
        "POST",
        "/blobs/uploads/",
        Respond(405, b'{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}'),
        "The operation is unsupported",
    ),
    "bad-name": (
        "POST",
        "/blobs/uploads/",
        Respond(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known"}]}'),
        "repository name not known",
    ),
    "always-damaged": (
        "PUT",
        "/blobs/uploads/",
        Respond(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"did not match"}]}'),
        "did not match",
    ),
    "manifest-invalid": (
        "PUT",
        "/manifests/",
        Respond(400, b'{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}'),
        "manifest invalid",
    ),
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_a_push_is_not_believed_done_when_it_is_not(name: str, caplog: pytest.LogCaptureFixture) -> None:
    method, path, action, pattern = WRONG_ANSWERS[name]
    with world(FakeRegistry(auth="bearer")) as here:
        here.registry.faults = [Fault(action, method, path, FOREVER)]
        with pytest.raises(RegistryError, match=pattern) as caught:
            push(here)
        assert not here.registry.repo("team/app").tags
        check_silence(here, caplog, caught.value)


def test_a_manifest_that_is_stored_as_another_is_an_error() -> None:
    with world() as here:
        here.registry.faults = [Fault(Change(headers={"Docker-Content-Digest": OTHER}), "PUT", "/manifests/", FOREVER)]
        with pytest.raises(DigestMismatch, match=f"stored {OTHER}"):
            push(here)


def test_a_source_that_lies_completes_no_upload() -> None:
    wrong = sample_image(200_000, 70_000, seed=1)
    lying = MemoryContent()
    lying._blobs = dict(IMAGE.content._blobs)
    lying._blobs[IMAGE.layers[0].digest] = wrong.content.open(wrong.layers[0]).read()
    with world() as here:
        with pytest.raises(DigestMismatch, match="expected sha256:"):
            here.repository().push(IMAGE.root, lying)
        assert IMAGE.layers[0].digest not in here.registry.repo("team/app").blobs
        assert not here.registry.repo("team/app").manifests
        assert settled(lambda: not here.registry.uploads)
