"""Manifests with a subject: listed by the registry, or under a tag that clients keep."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from pyoci.content import MemoryContent
from pyoci.content.referrers import Referrer
from pyoci.digest import Digest
from pyoci.errors import InvalidDocument, RegistryError
from pyoci.image import Manifest, encode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from tests.fakes.registry import INDEX_TYPE, Change, FakeRegistry, Fault, Respond
from tests.registry_world import World, sample_image, world

IMAGE = sample_image(10_000)
TAG = "sha256-" + IMAGE.root.digest.removeprefix("sha256:")
"""distribution-spec, "Referrers Tag Schema"."""
SIGNATURE = "application/vnd.example.signature"
SBOM = "application/vnd.example.sbom"
FOREVER = 1000


def artifact(text: bytes, kind: str = SIGNATURE, subject: Descriptor = IMAGE.root) -> tuple[Descriptor, MemoryContent]:
    content = MemoryContent()
    config = content.add(b"{}", media_types.EMPTY)
    blob = content.add(text, "text/plain")
    manifest = Manifest(config, (blob,), artifact_type=kind, subject=subject, annotations={"text": text.decode()})
    document = encode_manifest(manifest)
    return content.add(document.raw, document.media_type), content


def attach(here: World, text: bytes, kind: str = SIGNATURE, subject: Descriptor = IMAGE.root) -> Descriptor:
    """Pushes an artifact that refers to the image, under a tag of its own."""
    root, content = artifact(text, kind, subject)
    here.repository(f"team/app:{text.decode()}").push(root, content)
    return root


def listed(here: World) -> list[str]:
    """The digests under the fallback tag, in order, by the server's own account."""
    repo = here.registry.repo("team/app")
    entries = json.loads(repo.manifests[repo.tags[TAG]][1])["manifests"]
    return [entry["digest"] for entry in entries]


def listing(*entries: Descriptor) -> bytes:
    manifests = [{"mediaType": each.media_type, "digest": each.digest, "size": each.size} for each in entries]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}).encode()


def somebody_lists(here: World, *texts: bytes) -> Callable[[bytes], bytes]:
    """What another client does while an answer is on its way to this one: it lists just these artifacts."""
    made = [artifact(text) for text in texts]
    entries = [root for root, _ in made]

    def meanwhile(body: bytes) -> bytes:
        for root, content in made:
            here.registry.add_manifest("team/app", content.open(root).read(), root.media_type)
        here.registry.add_manifest("team/app", listing(*entries), INDEX_TYPE, TAG)
        return body

    return meanwhile


@pytest.mark.parametrize("lists", [True, False], ids=["by-the-registry", "by-the-tag-schema"])
def test_what_was_attached_is_listed(lists: bool) -> None:
    with world(FakeRegistry(lists_referrers=lists)) as here:
        here.publish(IMAGE)
        repository = here.repository()
        assert repository.referrers(IMAGE.root.digest) == ()
        one = attach(here, b"one")
        two = attach(here, b"two", SBOM)
        found = {entry.digest: entry for entry in repository.referrers(IMAGE.root.digest)}
        assert {digest: entry.artifact_type for digest, entry in found.items()} == {
            one.digest: SIGNATURE,
            two.digest: SBOM,
        }
        assert [entry.digest for entry in repository.referrers(IMAGE.root.digest, artifact_type=SBOM)] == [two.digest]
        assert attach(here, b"one") == one
        assert len(repository.referrers(IMAGE.root.digest)) == 2
        assert (TAG in here.registry.repo("team/app").tags) is not lists


def test_an_entry_says_what_distribution_spec_wants_of_it() -> None:
    """ "Pushing Manifests with Subject": artifactType and annotations of the manifest, no duplicates."""
    with world(FakeRegistry(lists_referrers=False)) as here:
        here.publish(IMAGE)
        root = attach(here, b"one")
        attach(here, b"one")
        repo = here.registry.repo("team/app")
        media_type, raw = repo.manifests[repo.tags[TAG]]
        assert media_type == INDEX_TYPE
        assert json.loads(raw) == {
            "schemaVersion": 2,
            "mediaType": INDEX_TYPE,
            "manifests": [
                {
                    "mediaType": media_types.MANIFEST,
                    "digest": root.digest,
                    "size": root.size,
                    "artifactType": SIGNATURE,
                    "annotations": {"text": "one"},
                }
            ],
        }


@pytest.mark.parametrize(
    "answer",
    [
        Respond(404),
        Respond(400, b'{"errors":[{"code":"NAME_INVALID"}]}'),
        Respond(405),
        Respond(406),
        Respond(200, b"<html>hello</html>", {"Content-Type": "text/html; charset=utf-8"}),
    ],
    ids=["404", "400", "405", "406", "a-web-page"],
)
def test_a_registry_that_knows_no_referrers_is_asked_for_the_tag(answer: Respond) -> None:
    with world(FakeRegistry(lists_referrers=False)) as here:
        here.publish(IMAGE)
        root = attach(here, b"one")
        here.registry.faults = [Fault(answer, "GET", "/referrers/", FOREVER)]
        assert [entry.digest for entry in here.repository().referrers(IMAGE.root.digest)] == [root.digest]


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_registry_that_refuses_is_not_one_that_lists_nothing(status: int) -> None:
    with world() as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Respond(status), "GET", "/referrers/", FOREVER)]
        with pytest.raises(RegistryError, match=r"cannot list the referrers of .*@sha256:"):
            here.repository().referrers(IMAGE.root.digest)


# -- several clients, one list


@pytest.mark.parametrize("heeds", [True, False], ids=["conditions-heeded", "conditions-ignored"])
def test_an_entry_that_is_overwritten_at_once_is_written_again(heeds: bool) -> None:
    other, _ = artifact(b"other")
    with world(FakeRegistry(lists_referrers=False, heeds_conditions=heeds)) as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Change(body=somebody_lists(here, b"other")), "PUT", TAG)]
        root = attach(here, b"one")
        assert sorted(listed(here)) == sorted([other.digest, root.digest])


@pytest.mark.parametrize("before", [0, 1])
def test_somebody_elses_entry_is_kept_where_the_registry_heeds_conditions(before: int) -> None:
    first, second = artifact(b"first")[0], artifact(b"second")[0]
    with world(FakeRegistry(lists_referrers=False, heeds_conditions=True)) as here:
        here.publish(IMAGE)
        if before:
            somebody_lists(here, b"first")(b"")
        action = Change(body=somebody_lists(here, b"first", b"second"), status=0 if before else 404)
        here.registry.faults = [Fault(action, "GET", f"/manifests/{TAG}")]
        root = attach(here, b"one")
        assert sorted(listed(here)) == sorted([first.digest, second.digest, root.digest])


def test_a_registry_that_misunderstands_conditions_gets_none_in_the_end() -> None:
    with world(FakeRegistry(lists_referrers=False)) as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Respond(412), "PUT", TAG, 3)]
        root = attach(here, b"one")
        assert listed(here) == [root.digest]
        last = here.registry.requests("PUT", TAG)[-1]
        assert not {"If-Match", "If-None-Match"} & set(last.headers)


def test_a_list_that_others_change_all_the_time_is_an_error_that_says_so() -> None:
    with world(FakeRegistry(lists_referrers=False)) as here:
        here.publish(IMAGE)
        here.registry.faults = [Fault(Change(body=somebody_lists(here, b"other")), "PUT", TAG, FOREVER)]
        with pytest.raises(RegistryError, match="cannot be kept: somebody else wrote it at the same time") as caught:
            attach(here, b"one")
        assert caught.value.hint == "push again: what is stored already is not sent again"


def test_threads_of_one_push_lose_nothing() -> None:
    with world(FakeRegistry(lists_referrers=False)) as here:
        here.publish(IMAGE)
        repository = here.repository()
        made = [artifact(f"a{number}".encode()) for number in range(8)]

        def put(root: Descriptor, content: MemoryContent) -> None:
            repository.push_referrers([Referrer(IMAGE.root.digest, root)], content)

        threads = [threading.Thread(target=put, args=each) for each in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(listed(here)) == sorted(root.digest for root, _ in made)


@pytest.mark.parametrize("tagged", [True, False])
def test_a_push_that_was_stopped_before_the_list_is_mended_by_the_next(tagged: bool) -> None:
    root, content = artifact(b"one")
    with world(FakeRegistry(lists_referrers=False)) as here:
        here.publish(IMAGE)
        repository = here.repository("team/app:one")
        here.registry.faults = [Fault(Respond(403), "PUT", TAG)]

        def push() -> None:
            if tagged:
                repository.push(root, content)
            else:
                repository.push_referrers([Referrer(IMAGE.root.digest, root)], content)

        with pytest.raises(RegistryError):
            push()
        assert root.digest in here.registry.repo("team/app").manifests
        push()
        assert listed(here) == [root.digest]


def test_an_entry_whose_manifest_is_gone_hinders_nobody() -> None:
    """Registries refuse an index that lists what they have not got; so does Debian's."""
    with world(FakeRegistry(lists_referrers=False)) as here:
        here.publish(IMAGE)
        gone, kept = attach(here, b"gone"), attach(here, b"kept")
        del here.registry.repo("team/app").manifests[gone.digest]
        new = attach(here, b"new")
        assert listed(here) == [kept.digest, new.digest]


def test_a_tag_that_is_used_for_something_else_is_not_overwritten() -> None:
    with world(FakeRegistry(lists_referrers=False)) as here:
        here.publish(IMAGE, "team/app", "1", TAG)
        with pytest.raises(InvalidDocument) as caught:
            attach(here, b"one")
        assert caught.value.hint is not None
        assert f":{TAG} should be an index" in caught.value.hint
        assert here.registry.repo("team/app").tags[TAG] == IMAGE.root.digest


# -- copying and deleting


@pytest.mark.parametrize("lists", [True, False], ids=["by-the-registry", "by-the-tag-schema"])
def test_what_is_listed_already_is_not_sent_again(lists: bool) -> None:
    with world(FakeRegistry(lists_referrers=lists)) as here:
        here.publish(IMAGE)
        content = MemoryContent()
        referrers = []
        for text in (b"one", b"two"):
            root, own = artifact(text)
            referrers.append(Referrer(IMAGE.root.digest, root))
            content = MemoryContent([*content._blobs.values(), *own._blobs.values()])
        repository = here.repository()
        assert repository.push_referrers(referrers, content) == 2
        assert here.registry.repo("team/app").tags.keys() == ({"1"} if lists else {"1", TAG})
        sent = here.registry.sent_bytes()
        assert repository.push_referrers(referrers, content) == 0
        assert here.registry.sent_bytes() == sent
        if not lists:  # listed, and yet gone
            del here.registry.repo("team/app").manifests[referrers[0].descriptor.digest]
            assert repository.push_referrers(referrers, content) == 1
            assert len(listed(here)) == 2


def test_what_is_deleted_leaves_the_list() -> None:
    with world(FakeRegistry(lists_referrers=False)) as here:
        here.publish(IMAGE)
        one, two = attach(here, b"one"), attach(here, b"two")
        repository = here.repository()
        repository.delete(one.digest)
        repository.forget_referrer(IMAGE.root.digest, one.digest)
        assert listed(here) == [two.digest]
        repository.forget_referrer(IMAGE.root.digest, one.digest)
        assert listed(here) == [two.digest]


def test_a_registry_that_keeps_the_list_itself_is_left_to_it() -> None:
    with world() as here:
        here.publish(IMAGE)
        one = attach(here, b"one")
        here.registry.seen.clear()
        here.repository().forget_referrer(Digest(IMAGE.root.digest), one.digest)
        assert [seen.method for seen in here.registry.seen if seen.path != "/v2/"] == ["GET"]
