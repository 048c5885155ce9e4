"""Tags that belong to a manifest by its digest: which are found, and what hostile lists of tags come to."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from pyoci.content import MemoryContent
from pyoci.content.digest_tags import DigestTag, find_digest_tags
from pyoci.content.limits import ContentLimits
from pyoci.content.names import IMAGE_NAME, REF_NAME, images_of, tag_subject, tags_of
from pyoci.content.referrers import fallback_tag
from pyoci.errors import ContentNotFound, InvalidDocument
from pyoci.image import Index, Manifest, encode_index, encode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from tests.registry_world import sample_image

FIRST, SECOND = sample_image(100), sample_image(200)
HEX = "0123456789abcdef" * 4


@dataclass
class Tagged:
    """Two images in an index, and tags."""

    content: MemoryContent = field(default_factory=MemoryContent)
    tags: dict[str, Descriptor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for image in (FIRST, SECOND):
            for piece in image.pieces:
                self.content.put(piece, image.content.open(piece))
        self.root = self.content.add(encode_index(Index((FIRST.root, SECOND.root))).raw, media_types.INDEX)

    def attach(self, subject: Descriptor, suffix: str) -> DigestTag:
        blob = self.content.add(f"{suffix} of {subject.digest}".encode(), "text/plain")
        raw = encode_manifest(Manifest(self.content.add(b"{}", media_types.CONFIG), (blob,))).raw
        tag = f"{fallback_tag(subject.digest)}.{suffix}"
        self.tags[tag] = self.content.add(raw, media_types.MANIFEST)
        return DigestTag(tag, self.tags[tag])

    def resolve(self, tag: str) -> Descriptor:
        try:
            return self.tags[tag]
        except KeyError:
            raise ContentNotFound(f"no {tag}") from None

    def found(self, *roots: Descriptor, limits: ContentLimits | None = None) -> tuple[DigestTag, ...]:
        bounds = limits or ContentLimits()
        return find_digest_tags(roots, self.content, self.tags, self.resolve, limits=lambda: bounds)


def test_tags_of_all_that_is_copied_are_found_and_those_of_what_they_attach() -> None:
    source = Tagged()
    of_image = source.attach(SECOND.root, "sig")
    signature, sbom = source.attach(source.root, "sig"), source.attach(source.root, "sbom")
    of_sbom = source.attach(sbom.descriptor, "sig")
    source.tags["latest"] = source.root
    source.tags[fallback_tag(source.root.digest)] = source.root
    source.tags[f"sha256-{HEX}.sig"] = FIRST.root
    assert source.found(source.root) == (of_image, sbom, signature, of_sbom)
    assert source.found(SECOND.root) == (of_image,)
    assert source.found(FIRST.root, SECOND.root) == (of_image,)
    assert source.found(FIRST.root) == ()


def test_a_tag_that_is_gone_is_doubted_and_left_out() -> None:
    source = Tagged()
    kept, gone = source.attach(source.root, "sig"), source.attach(source.root, "att")
    listed = list(source.tags)
    del source.tags[gone.tag]
    doubts: list[str] = []
    found = find_digest_tags([source.root], source.content, listed, source.resolve, doubted=doubts.append)
    assert found == (kept,)
    assert doubts == [f"the tag {gone.tag} is listed, and is not there"]


def test_where_no_tag_can_belong_to_anything_nothing_is_read() -> None:
    missing = Descriptor(media_types.INDEX, FIRST.root.digest, 5)
    assert find_digest_tags([missing], MemoryContent(), ["latest", "sha256-1.sig"], lambda tag: missing) == ()


def test_more_than_are_allowed_are_refused() -> None:
    source = Tagged()
    for number in range(3):
        source.attach(source.root, f"sig{number}")
    assert len(source.found(source.root, limits=ContentLimits(referrers=3))) == 3
    with pytest.raises(InvalidDocument, match="more than 2 tags belong to what is copied") as caught:
        source.found(source.root, limits=ContentLimits(referrers=2))
    assert caught.value.hint == "if an image may be so, raise referrers in the table [limits] of config.toml"


def test_a_chain_without_end_is_refused() -> None:
    source = Tagged()
    subject = source.root
    for _ in range(9):
        subject = source.attach(subject, "sig").descriptor
    assert len(source.found(source.root, limits=ContentLimits(referrer_depth=9))) == 9
    with pytest.raises(InvalidDocument, match="tags belong to each other more than 8 deep"):
        source.found(source.root)


def test_a_tag_that_means_what_it_belongs_to_ends() -> None:
    source = Tagged()
    tag = f"{fallback_tag(source.root.digest)}.sig"
    source.tags[tag] = source.root
    assert source.found(source.root) == (DigestTag(tag, source.root),)


@pytest.mark.parametrize(
    ("tag", "subject"),
    [
        (f"sha256-{HEX}.sig", f"sha256-{HEX}"),
        (f"sha512-{HEX}.att", f"sha512-{HEX}"),
        (f"sha256-{HEX}.sig.old_1-2", f"sha256-{HEX}"),
        (f"sha256-{HEX}", ""),
        (f"sha256-{HEX}.", ""),
        (f"sha256-{HEX[1:]}.sig", ""),
        (f"sha256-{HEX}0.sig", ""),
        (f"sha256-{HEX.upper()}.sig", ""),
        (f"md5-{HEX}.sig", ""),
        (f"x-sha256-{HEX}.sig", ""),
        ("1.0", ""),
    ],
)
def test_which_tags_attach_something(tag: str, subject: str) -> None:
    assert tag_subject(tag) == subject


def test_in_a_layout_they_are_no_images_and_found_by_their_tag() -> None:
    by_name = {IMAGE_NAME: f"docker.io/library/app:sha256-{HEX}.sig", REF_NAME: f"sha256-{HEX}.sig"}
    roots = [
        Descriptor(media_types.MANIFEST, SECOND.root.digest, 1, annotations={REF_NAME: "1.0"}),
        Descriptor(media_types.MANIFEST, FIRST.root.digest, 1, annotations=by_name),
        Descriptor(media_types.MANIFEST, FIRST.root.digest, 2, annotations={REF_NAME: f"sha256-{HEX}.att"}),
    ]
    assert [root.digest for _, root in images_of(roots)] == [SECOND.root.digest]
    assert tags_of(roots) == {
        "1.0": Descriptor(media_types.MANIFEST, SECOND.root.digest, 1),
        f"sha256-{HEX}.sig": Descriptor(media_types.MANIFEST, FIRST.root.digest, 1),
        f"sha256-{HEX}.att": Descriptor(media_types.MANIFEST, FIRST.root.digest, 2),
    }
    assert tags_of([Descriptor(media_types.MANIFEST, FIRST.root.digest, 1)]) == {}
