"""How many requests a command costs, exactly: round trips are what a push over a distance is made of."""

from __future__ import annotations

from collections import Counter

from pyoci.content import MemoryContent, copy_graph
from pyoci.image import Index, encode_index, media_types
from tests.fakes.registry import FakeRegistry
from tests.registry_world import SampleImage, World, sample_image, world

IMAGE = sample_image(*range(1000, 1009))
"""Nine layers and a config."""


def made(here: World) -> Counter[str]:
    """What was asked since the last call, by method and kind of path; probes of the scheme left out."""
    kinds = Counter[str]()
    for seen in here.registry.seen:
        path = seen.path.partition("?")[0]
        for kind in ("/token", "/blobs/uploads/", "/blobs/", "/manifests/sha256:", "/manifests/"):
            if kind in path:
                kinds[f"{seen.method} {kind}"] += 1
                break
        else:
            assert seen.path == "/v2/"
    here.registry.seen.clear()
    return kinds


def push(here: World, name: str = "team/app:1", image: SampleImage = IMAGE) -> None:
    here.repository(name).push(image.root, image.content)


def test_a_first_push() -> None:
    with world() as here:
        push(here)
        assert made(here) == {
            "HEAD /manifests/": 1,
            "HEAD /manifests/sha256:": 1,
            "HEAD /blobs/": 10,
            "POST /blobs/uploads/": 10,
            "PUT /blobs/uploads/": 10,
            "PUT /manifests/": 1,
        }


def test_a_push_of_what_is_known_to_be_new_asks_for_layers_alone() -> None:
    with world() as here:
        here.repository().push(IMAGE.root, IMAGE.content, is_new=True)
        assert made(here) == {
            "HEAD /blobs/": 9,
            "POST /blobs/uploads/": 10,
            "PUT /blobs/uploads/": 10,
            "PUT /manifests/": 1,
        }
        assert here.has_whole(IMAGE)


def test_the_same_push_again_is_one_head() -> None:
    with world() as here:
        push(here)
        made(here)
        push(here)
        assert made(here) == {"HEAD /manifests/": 1}
        assert here.reporter.outcomes[IMAGE.root.digest] == "exists"


def test_another_tag_of_what_is_there_asks_for_no_blob() -> None:
    with world() as here:
        push(here)
        made(here)
        push(here, "team/app:2")
        assert made(here) == {"HEAD /manifests/": 1, "HEAD /manifests/sha256:": 1, "PUT /manifests/": 1}
        assert here.registry.repo("team/app").tags == {"1": IMAGE.root.digest, "2": IMAGE.root.digest}


def test_a_tag_that_meant_something_else_is_moved() -> None:
    other = sample_image(500)
    with world() as here:
        push(here, image=other)
        push(here)
        made(here)
        push(here, image=other)
        assert made(here) == {"HEAD /manifests/": 1, "HEAD /manifests/sha256:": 1, "PUT /manifests/": 1}
        assert here.registry.repo("team/app").tags == {"1": other.root.digest}


def test_a_tag_that_means_what_nobody_can_use_is_pushed_over() -> None:
    with world() as here:
        here.registry.add_manifest("team/app", b"{}", "application/vnd.docker.distribution.manifest.v1+json", "1")
        push(here)
        assert here.registry.repo("team/app").tags == {"1": IMAGE.root.digest}


def test_of_an_index_only_the_image_that_is_new_is_looked_at() -> None:
    new = sample_image(2000, 2001)
    content = MemoryContent()
    for image in (IMAGE, new):
        for piece in image.pieces:
            content.put(piece, image.content.open(piece))
    index = encode_index(Index((IMAGE.root, new.root)))
    root = content.add(index.raw, media_types.INDEX)
    with world() as here:
        push(here)
        made(here)
        here.repository("team/app:2").push(root, content)
        assert made(here) == {
            "HEAD /manifests/": 1,
            "HEAD /manifests/sha256:": 3,
            "HEAD /blobs/": 3,
            "POST /blobs/uploads/": 3,
            "PUT /blobs/uploads/": 3,
            "PUT /manifests/sha256:": 1,
            "PUT /manifests/": 1,
        }


def test_a_token_is_asked_for_once() -> None:
    with world(FakeRegistry(auth="bearer")) as here:
        push(here)
        assert made(here)["GET /token"] == 1
        push(here)
        assert made(here) == {"HEAD /manifests/": 1}


def test_a_pull_asks_for_each_piece_once() -> None:
    with world() as here:
        push(here)
        made(here)
        repository = here.repository()
        copy_graph(repository.resolve(), repository, MemoryContent())
        assert made(here) == {"HEAD /manifests/": 1, "GET /manifests/sha256:": 1, "GET /blobs/": 10}


def test_a_push_permission_costs_an_upload_that_is_used_or_given_up() -> None:
    """Only the registry itself knows: a token says what its server would allow, not whether the registry takes
    pushes.
    """
    with world(FakeRegistry(auth="bearer")) as here:
        here.repository().check_push()
        assert made(here) == {"POST /blobs/uploads/": 2, "GET /token": 1}
        here.repository().check_push()
        assert made(here) == {"POST /blobs/uploads/": 1, "DELETE /blobs/uploads/": 1}
        push(here)
        assert made(here)["POST /blobs/uploads/"] == 9
        here.repository().check_push()
        here.repository("other/app:1").check_push()
        made(here)
        here.client.close()
        assert made(here) == {"DELETE /blobs/uploads/": 2}
        assert here.registry.uploads == {}
