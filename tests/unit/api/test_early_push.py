"""What leaves for the registry while a build still runs, what must not, and what is said when it cannot."""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from pyoci.api.bake import BakeRequest, bake
from pyoci.api.build import BuildResult, build
from pyoci.api.leaks import LeakSearch
from pyoci.api.services import Options, opened
from pyoci.build.request import BuildRequest, Output, SecretSource
from pyoci.build.secrets import Secrets
from pyoci.digest import DiffID, sha256_digest
from pyoci.errors import BuildError, PreflightError, RegistryError
from pyoci.image import Descriptor, Layer, media_types
from pyoci.progress import Reporter
from tests.builders import make_image, make_layer
from tests.fakes.registry import FakeRegistry, Fault, Respond, Stall, fake_registry
from tests.unit.api.world import options_in

TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
FAILING = (
    "FROM scratch AS files\nCOPY first /first\n"
    "FROM scratch\nCOPY first /one\nCOPY second /two\nCOPY --from=files /nothing /three\n"
)
TWO = "FROM scratch\nCOPY first /first\nCOPY second /second\n"
PATIENCE_SECONDS = 30


@dataclass
class Pausing(Reporter):
    """Holds a step until something has happened, or a long time has passed."""

    step: str = ""
    until: Callable[[], bool] = lambda: True
    waited: bool = False
    """Whether what the step was held for has happened."""
    titles: list[str] = field(default_factory=list)
    transfers: list[tuple[str, str]] = field(default_factory=list)

    def step_started(self, step: str, title: str) -> None:
        self.titles.append(title)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.step and self.step in title and not self.waited and time.monotonic() < deadline:
            self.waited = self.until()
            time.sleep(0.01)

    def transfer_started(self, name: str, kind: str, total_bytes: int) -> None:
        self.transfers.append((kind, name))


@dataclass
class World:
    path: Path
    registry: FakeRegistry
    reporter: Pausing
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.context = self.path / "context"
        self.context.mkdir()
        for name in ("first", "second"):
            (self.context / name).write_text(f"the {name} file\n" * 5000)

    def options(self) -> Options:
        return options_in(self.path, self.reporter)

    def name(self, repository: str = "team/app:1") -> str:
        return f"{self.registry.host}/{repository}"

    def request(self, *names: str, dockerfile: str = TWO, **fields: Any) -> BuildRequest:
        (self.context / "Dockerfile").write_text(dockerfile)
        tags = tuple(self.name(name) for name in names or ("team/app:1",))
        return BuildRequest(**{"context": self.context, "tags": tags, "outputs": (Output("registry"),), **fields})

    def build(self, *names: str, **fields: Any) -> BuildResult:
        return build(self.request(*names, **fields), options=self.options())

    def blobs(self, repository: str = "team/app") -> list[bytes]:
        return list(self.registry.repo(repository).blobs.values())

    def sent_blobs(self) -> list[str]:
        """The digests of uploads that were completed, each as often as it was."""
        return [seen.path.partition("digest=")[2] for seen in self.registry.requests("PUT", "/uploads/")]

    def is_nameless(self, repository: str = "team/app") -> bool:
        repo = self.registry.repo(repository)
        return not repo.manifests and not repo.tags


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_registry() as registry:
        yield World(tmp_path, registry, Pausing())


def test_a_layer_is_there_before_the_next_step_is_done(world: World) -> None:
    world.reporter.step, world.reporter.until = "COPY second", lambda: bool(world.blobs())
    result = world.build()
    assert world.reporter.waited
    (image,) = result.images
    layers = [layer.descriptor.digest for layer in image.layers]
    assert sha256_digest(world.blobs()[0]) == layers[0]
    assert sorted(world.sent_blobs()) == sorted(
        digest.replace(":", "%3A") for digest in [image.config.descriptor().digest, *layers]
    )
    assert world.registry.repo("team/app").tags == {"1": result.digest}
    assert [name for kind, name in world.reporter.transfers if kind == "push"].count(layers[0]) == 1
    for digest in layers:
        assert len(world.registry.requests("HEAD", f"/blobs/{digest}")) <= 1


def test_a_small_build_asks_for_nothing_in_vain(world: World) -> None:
    content, base = make_image([make_layer({"etc/passwd": b"root:x:0:0::/:/bin/sh\n"})])
    for piece in (base.config.descriptor(), base.layers[0].descriptor):
        world.registry.add_blob("team/base", content.open(piece).read())
    world.registry.add_manifest("team/base", base.manifest.raw, base.manifest.media_type, "1")
    world.build(dockerfile=f"FROM {world.name('team/base:1')}\nCOPY first /first\n")
    paths = [(seen.method, re.sub("((sha256:|uploads/)).*", r"\1", seen.path)) for seen in world.registry.seen]
    asked = Counter(" ".join(pair) for pair in paths)
    assert asked == {
        "GET /v2/": 1,  # does it speak HTTP or HTTPS?
        "GET /v2/team/base/manifests/1": 1,
        "GET /v2/team/base/blobs/sha256:": 2,
        "HEAD /v2/team/app/blobs/sha256:": 2,
        "POST /v2/team/app/blobs/uploads/": 3,  # one asks for permission, one mounts the base, one is for the layer
        "PUT /v2/team/app/blobs/uploads/": 2,
        "PUT /v2/team/app/manifests/1": 1,
    }


def test_a_step_that_fails_leaves_blobs_without_a_name(world: World) -> None:
    world.reporter.step, world.reporter.until = "COPY second", lambda: bool(world.blobs())
    with pytest.raises(BuildError, match="nothing"):
        world.build(dockerfile=FAILING)
    assert world.reporter.waited
    assert world.is_nameless()
    before = set(world.sent_blobs())
    assert before
    world.registry.seen.clear()
    world.build(dockerfile=FAILING.replace("COPY --from=files /nothing /three\n", ""))
    assert world.registry.repo("team/app").tags
    assert not before & set(world.sent_blobs())


def test_an_image_that_preflight_refuses_has_no_name(world: World) -> None:
    with pytest.raises(PreflightError):
        world.build(dockerfile=f'{TWO}ENTRYPOINT ["/nothing"]\n', preflight="error")
    assert world.is_nameless()


def test_a_layer_with_a_secret_never_leaves(world: World) -> None:
    (world.path / "token").write_text(TOKEN)
    (world.context / "second").write_text(f"key {TOKEN}\n")
    secrets = (SecretSource("token", file=str(world.path / "token")),)
    world.reporter.step, world.reporter.until = "COPY first", lambda: world.sent_blobs() == []
    last = "COPY first /third\n"
    with pytest.raises(PreflightError, match=r'^secret "token" is in /second '):
        world.build(dockerfile=f"FROM scratch\nCOPY second /second\n{last}", secrets=secrets)
    assert world.is_nameless()
    assert not [blob for blob in world.blobs() if TOKEN.encode() in gzip.decompress(blob)]
    world.build(dockerfile=f"FROM scratch\nCOPY second /second\n{last}", secrets=secrets, preflight="off")
    assert [blob for blob in world.blobs() if blob[:2] == b"\x1f\x8b" and TOKEN.encode() in gzip.decompress(blob)]


def test_a_clean_layer_of_a_build_with_secrets_leaves_early(world: World) -> None:
    (world.path / "token").write_text(TOKEN)
    world.reporter.step, world.reporter.until = "COPY second", lambda: bool(world.blobs())
    world.build(secrets=(SecretSource("token", file=str(world.path / "token")),))
    assert world.reporter.waited


def test_the_password_for_what_is_downloaded_later_is_searched_for(world: World) -> None:
    secret = "correct-horse-battery"
    docker = world.path / ".docker"
    docker.mkdir()
    auth = base64.b64encode(f"joe:{secret}".encode()).decode()
    (docker / "config.json").write_text(json.dumps({"auths": {"elsewhere.example": {"auth": auth}}}))
    digest = sha256_digest(b"a layer of a base")
    base = Layer(Descriptor(media_types.LAYER, digest, 17), DiffID(digest))
    (world.context / "first").write_text(secret)
    (made,) = world.build(outputs=()).images[0].layers[:1]
    with opened(world.options()) as services:
        services.store.add_origin(digest, "elsewhere.example/team/base")
        request = world.request("team/app:1")
        search = LeakSearch(request, services, Secrets((), {}, Path))
        assert search.is_clean(made, made)
        search.expect_credentials([base])
        assert not search.is_clean(made, made)


def test_an_upload_that_fails_ends_the_push_and_not_the_build(world: World) -> None:
    refusal = Respond(403, b'{"errors":[{"code":"DENIED","message":"the quota is used up"}]}')
    world.registry.faults.append(Fault(refusal, "PUT", "/uploads/", times=1))
    refused = lambda: any(fault.times == 0 for fault in world.registry.faults)  # noqa: E731
    world.reporter.step, world.reporter.until = "COPY second", refused
    with pytest.raises(RegistryError) as caught:
        world.build()
    assert world.reporter.waited
    assert "COPY second" in world.reporter.titles[-1]
    assert caught.value.message.startswith(f"cannot push {world.name('team/app')}@sha256:")
    assert "the quota is used up" in caught.value.message
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f"go on with: pyoci push {world.name()}")
    assert world.is_nameless()


def test_an_upload_that_hangs_does_not_hold_a_build_that_failed(world: World) -> None:
    world.registry.faults.append(Fault(Stall(PATIENCE_SECONDS), "PUT", "/uploads/"))
    hangs = lambda: not world.registry.faults[0].times  # noqa: E731
    world.reporter.step, world.reporter.until = "COPY second", hangs
    started = time.monotonic()
    with pytest.raises(BuildError, match="nothing"):
        world.build(dockerfile=FAILING)
    assert world.reporter.waited
    assert time.monotonic() - started < PATIENCE_SECONDS
    assert world.is_nameless()


def test_uploads_that_hang_do_not_hold_what_refuses_the_image(world: World) -> None:
    world.registry.faults.append(Fault(Stall(PATIENCE_SECONDS), "PUT", "/uploads/", times=99))
    copies = "".join(f"COPY first /{number}\n" for number in range(8))
    started = time.monotonic()
    with pytest.raises(PreflightError):
        world.build(dockerfile=f'FROM scratch\n{copies}ENTRYPOINT ["/nothing"]\n', preflight="error")
    assert time.monotonic() - started < PATIENCE_SECONDS
    assert world.is_nameless()


def test_names_in_one_repository_share_what_was_sent_and_others_mount_it(world: World) -> None:
    world.reporter.step, world.reporter.until = "COPY second", lambda: bool(world.blobs("other/app"))
    digest = world.build("team/app:1", "team/app:2", "other/app:1").digest
    assert world.reporter.waited
    assert world.registry.repo("team/app").tags == {"1": digest, "2": digest}
    assert world.registry.repo("other/app").tags == {"1": digest}
    assert len(world.sent_blobs()) == len(set(world.sent_blobs())) == 3


@pytest.mark.parametrize("kind", ["registry", "image"])
def test_layers_go_in_the_form_of_the_output(world: World, kind: Literal["registry", "image"]) -> None:
    world.reporter.step, world.reporter.until = "COPY second", lambda: bool(world.blobs())
    attributes = {"compression": "zstd", **({"push": "true"} if kind == "image" else {})}
    result = world.build(outputs=(Output(kind, attributes=attributes),))
    assert world.reporter.waited
    assert all(layer.descriptor.media_type.endswith("+zstd") for layer in result.images[0].layers)
    assert len(world.sent_blobs()) == 3


def test_nothing_of_an_image_to_be_squashed_leaves_early(world: World) -> None:
    world.build(squash=True)
    assert len(world.sent_blobs()) == 2  # the one layer and the config


def test_an_image_that_is_all_in_the_cache_is_asked_for_at_once(world: World) -> None:
    digest = world.build().digest
    world.registry.seen.clear()
    (world.context / "Dockerfile").touch()
    assert world.build().digest == digest
    assert not world.registry.requests(path=r"/blobs/sha256:")


def test_an_image_that_is_all_in_the_cache_and_nowhere_else_is_pushed_whole(world: World) -> None:
    world.build(outputs=())
    digest = world.build().digest
    assert world.registry.repo("team/app").tags == {"1": digest}
    assert len(world.sent_blobs()) == len(set(world.sent_blobs())) == 3


def test_targets_of_one_run_send_a_shared_layer_once(world: World) -> None:
    one = world.request("team/app:1")
    other = world.context / "Other"
    other.write_text(f"{TWO}LABEL a=b\n")
    two = world.request("team/app:2", file=other)
    world.reporter.step, world.reporter.until = "COPY second", lambda: bool(world.blobs())
    bake({"one": BakeRequest(one), "two": BakeRequest(two)}, options=world.options())
    assert world.reporter.waited
    assert set(world.registry.repo("team/app").tags) == {"1", "2"}
    assert len(world.sent_blobs()) == len(set(world.sent_blobs())) == 4  # two layers, two configs


def test_several_platforms_share_their_layers(world: World) -> None:
    world.reporter.step, world.reporter.until = "COPY second", lambda: bool(world.blobs())
    digest = world.build(platforms=("linux/amd64,linux/arm64",)).digest
    assert world.reporter.waited
    repo = world.registry.repo("team/app")
    assert repo.tags == {"1": digest}
    assert len(repo.manifests) == 3
    assert len(world.sent_blobs()) == len(set(world.sent_blobs())) == 4


def test_what_is_attested_goes_with_the_image_and_after_its_layers(world: World) -> None:
    world.reporter.step, world.reporter.until = "COPY second", lambda: bool(world.blobs())
    digest = world.build(provenance="min").digest
    assert world.reporter.waited
    repo = world.registry.repo("team/app")
    assert repo.tags == {"1": digest}
    assert len(repo.manifests) == 3  # the image, what is said of it, and the index of both
    assert len(world.sent_blobs()) == len(set(world.sent_blobs())) == 5  # layers, config, statement and "{}"
    puts = [seen.path for seen in world.registry.requests("PUT")]
    assert [("/manifests/" in path) for path in puts] == [False] * 5 + [True] * 3
