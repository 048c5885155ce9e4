"""Mirrors: asked first, believed no more than anybody else, and left for the registry as soon as they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyoci.content import MemoryContent, PullThrough, copy_graph
from pyoci.errors import ContentNotFound, DigestMismatch, RegistryError
from pyoci.reference import parse_reference
from pyoci.registry.client import RegistryClient
from pyoci.registry.hosts import HostsConfig, Mirror, Network, Rule
from pyoci.registry.repository import Repository
from pyoci.store import Store
from tests.fakes.registry import Action, Change, Cut, FakeRegistry, Fault, Reset, Respond, Stall, fake_registry
from tests.integration.real.registry import free_port
from tests.registry_world import CALM, FAST, Recorder, sample_image

IMAGE = sample_image(200_000, 70_000)
LAYER = IMAGE.layers[0]
LOGIN_PAGE = b"<html><title>Sign in</title>" + b"x" * 500 + b"</html>"
FOREVER = 1000


@dataclass(slots=True)
class Pair:
    """A registry, a mirror of it and somebody who pulls."""

    mirror: FakeRegistry
    origin: FakeRegistry
    client: RegistryClient
    reporter: Recorder = field(default_factory=Recorder)
    slept: list[float] = field(default_factory=list)

    def repository(self, name: str = "team/app") -> Repository:
        return self.client.repository(parse_reference(f"{self.origin.host}/{name}:1"))

    @property
    def told(self) -> list[str]:
        """What the user read about the mirror being left out."""
        return [line for line in self.reporter.lines if "is left out" in line]


@contextmanager
def mirrored(*, fallback: bool = True, network: Network = CALM, mirror_host: str = "") -> Iterator[Pair]:
    with fake_registry() as mirror, fake_registry() as origin:
        for registry, name in ((mirror, "mirror/team/app"), (origin, "team/app")):
            publish(registry, name)
        reporter, slept = Recorder(), list[float]()
        rule = Rule(origin.host, mirrors=(Mirror(f"{mirror_host or mirror.host}/mirror"),), fallback=fallback)
        hosts = HostsConfig(rules=(rule,), network=network)
        client = RegistryClient(hosts, reporter=reporter, sleep=slept.append, random=lambda: 0.5)
        with client:
            yield Pair(mirror, origin, client, reporter, slept)


def publish(registry: FakeRegistry, name: str) -> None:
    for descriptor in (IMAGE.config, *IMAGE.layers):
        registry.add_blob(name, IMAGE.content.open(descriptor).read())
    registry.add_manifest(name, IMAGE.manifest, IMAGE.root.media_type, "1")


def flipped(body: bytes) -> bytes:
    return body[:-1] + bytes([body[-1] ^ 1]) if body else body


def page(body: bytes) -> bytes:
    return LOGIN_PAGE


FAILURES: dict[str, Callable[[], list[Fault]]] = {
    "500": lambda: [Fault(Respond(500), path="/v2/mirror", times=FOREVER)],
    "401": lambda: [Fault(Respond(401), path="/v2/mirror", times=FOREVER)],
    "403": lambda: [Fault(Respond(403), path="/v2/mirror", times=FOREVER)],
    "429": lambda: [Fault(Respond(429, headers={"Retry-After": "30"}), path="/v2/mirror", times=FOREVER)],
    "503-retry-after": lambda: [Fault(Respond(503, headers={"Retry-After": "30"}), path="/v2/mirror", times=FOREVER)],
    "reset": lambda: [Fault(Reset(), path="/v2/mirror", times=FOREVER)],
    "stall": lambda: [Fault(Stall(0.5), path="/v2/mirror", times=FOREVER)],
    "manifest-flipped": lambda: [Fault(Change(body=flipped), "GET", "/manifests/", FOREVER)],
    "manifest-is-a-login-page": lambda: [
        Fault(Change(body=page, headers={"Content-Type": "text/html"}), "GET", "/manifests/", FOREVER)
    ],
    "head-is-a-login-page": lambda: [
        Fault(Change(headers={"Content-Type": "text/html"}), "HEAD", "/manifests/", FOREVER)
    ],
    "manifest-digest-lies": lambda: [
        Fault(Change(headers={"Docker-Content-Digest": "sha256:" + "0" * 64}), "GET", "/manifests/", FOREVER)
    ],
    "layer-flipped": lambda: [Fault(Change(body=flipped), "GET", LAYER.digest, FOREVER)],
    "layer-is-a-login-page": lambda: [
        Fault(Change(body=page, headers={"Content-Type": "text/html"}), "GET", LAYER.digest, FOREVER)
    ],
    "layer-is-a-login-page-without-length": lambda: [
        Fault(Change(body=page, headers={"Content-Length": "", "Connection": "close"}), "GET", LAYER.digest, FOREVER)
    ],
    "layer-short-but-honest": lambda: [Fault(Cut(100_000, honest=True), "GET", LAYER.digest, FOREVER)],
    "layer-longer": lambda: [Fault(Change(body=lambda body: body + b"x"), "GET", LAYER.digest, FOREVER)],
    "layer-always-cut": lambda: [
        Fault(Cut(100_000), "GET", LAYER.digest, 1),
        Fault(Cut(0), "GET", LAYER.digest, FOREVER),
    ],
    "layer-503-on-resume": lambda: [
        Fault(Cut(100_000), "GET", LAYER.digest, 1),
        Fault(Respond(503), "GET", LAYER.digest, FOREVER),
    ],
    "layer-flipped-on-resume": lambda: [
        Fault(Cut(100_000), "GET", LAYER.digest, 1),
        Fault(Change(body=flipped), "GET", LAYER.digest, FOREVER),
    ],
}
"""What a mirror can do wrong; each is told once."""

WRONG = ("manifest", "head", "layer-flipped", "layer-is-a-login-page", "layer-short", "layer-longer")
"""Those that are a warning: the mirror is not down, it gives something else than the image."""


def test_a_mirror_is_asked_first_and_alone_if_it_has_all() -> None:
    with mirrored() as pair:
        repository = pair.repository()
        copy_graph(repository.resolve(), repository, MemoryContent())
        assert pair.origin.seen == []


@pytest.mark.parametrize("failure", FAILURES)
def test_a_mirror_that_fails_does_not_matter(failure: str) -> None:
    with mirrored(network=FAST if failure == "stall" else CALM) as pair:
        pair.mirror.faults = FAILURES[failure]()
        repository, target = pair.repository(), MemoryContent()
        copy_graph(repository.resolve(), repository, target, kind="pull", jobs=1)
        for piece in IMAGE.pieces:
            assert target.open(piece).read() == IMAGE.content.open(piece).read()
        (told,) = pair.told
        is_wrong = failure.startswith(WRONG) and failure != "layer-is-a-login-page-without-length"
        assert told.startswith(f"{'warning: ' if is_wrong else ''}mirror {pair.mirror.host} is left out: ")
        assert max(pair.slept, default=0) <= 1  # nobody waits for a mirror


@pytest.mark.parametrize("failure", ["layer-flipped", "layer-flipped-on-resume", "layer-is-a-login-page"])
def test_what_fills_a_store_is_right_although_the_mirror_is_not(failure: str, tmp_path: Path) -> None:
    with mirrored() as pair, Store(tmp_path) as store:
        pair.mirror.faults = FAILURES[failure]()
        repository = pair.repository()
        with PullThrough(store, repository).open(LAYER) as stream:
            assert stream.read() == IMAGE.content.open(LAYER).read()
        assert len(pair.told) == 1
        assert list((tmp_path / "tmp").iterdir()) == []
        pair.mirror.seen = []
        assert repository.open(IMAGE.layers[1]).read() == IMAGE.content.open(IMAGE.layers[1]).read()
        assert pair.mirror.seen == []  # not even for what it may have right


def test_a_mirror_that_is_down_is_tried_for_one_repository_of_many() -> None:
    with mirrored(mirror_host=f"127.0.0.1:{free_port()}") as pair:
        publish(pair.origin, "team/other")
        assert pair.repository().resolve() == pair.repository("team/other").resolve() == IMAGE.root
        (told,) = pair.told
        assert "connection refused" in told


def test_a_mirror_that_lacks_something_is_asked_for_the_rest() -> None:
    with mirrored() as pair:
        del pair.mirror.repo("mirror/team/app").blobs[LAYER.digest]
        repository, target = pair.repository(), MemoryContent()
        copy_graph(repository.resolve(), repository, target)
        assert [seen.path.rpartition("/")[2] for seen in pair.origin.requests("GET", "/blobs/")] == [LAYER.digest]
        assert pair.told == []


def test_a_mirror_that_breaks_off_is_relieved_where_it_stopped() -> None:
    with mirrored() as pair:
        pair.mirror.faults = FAILURES["layer-503-on-resume"]()
        assert pair.repository().open(LAYER).read() == IMAGE.content.open(LAYER).read()
        (request,) = pair.origin.requests("GET", "/blobs/")
        assert request.headers["Range"].startswith("bytes=")


def test_wrong_bytes_from_everybody_are_an_error() -> None:
    with mirrored() as pair:
        for registry in (pair.mirror, pair.origin):
            registry.faults = FAILURES["layer-flipped"]()
        repository, target = pair.repository(), MemoryContent()
        with pytest.raises(DigestMismatch, match="expected sha256:"):
            copy_graph(IMAGE.root, repository, target)
        assert not target.has(LAYER)
        assert not target.has(IMAGE.root)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Respond(404), ContentNotFound), (Respond(500), RegistryError), (Change(body=flipped), DigestMismatch)],
)
def test_without_fallback_the_mirror_is_all_there_is(fault: Action, kind: type[Exception]) -> None:
    with mirrored(fallback=False) as pair:
        pair.mirror.faults = [Fault(fault, "GET", LAYER.digest, FOREVER)]
        with pytest.raises(kind):
            copy_graph(IMAGE.root, pair.repository(), MemoryContent())
        assert pair.origin.seen == []
        assert pair.told == []


def test_what_is_to_be_changed_is_looked_up_where_it_is() -> None:
    with mirrored() as pair:
        reference = parse_reference(f"{pair.origin.host}/team/app:1")
        assert pair.client.repository(reference, direct=True).resolve() == IMAGE.root
        assert pair.mirror.seen == []


def test_pushes_go_to_the_registry_itself() -> None:
    with mirrored() as pair:
        pair.origin.repos.clear()
        repository = pair.repository()
        repository.check_push()
        repository.push(IMAGE.root, IMAGE.content)
        assert pair.mirror.seen == []
        assert IMAGE.root.digest in pair.origin.repo("team/app").manifests
