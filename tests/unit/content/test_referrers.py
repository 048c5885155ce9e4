"""Referrers found beside an image: in lists that may be wrong, and in layouts of several programs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import pytest

from pyoci.content import MemoryContent, copy_graph
from pyoci.content.layout import DirectoryLayout
from pyoci.content.limits import ContentLimits
from pyoci.content.names import REF_NAME, with_subject
from pyoci.content.referrers import Referrer, fallback_tag, find_referrers
from pyoci.digest import Digest
from pyoci.errors import InvalidDocument
from pyoci.image import Index, Manifest, encode_index, encode_manifest, media_types
from pyoci.image.descriptor import Descriptor
from tests.registry_world import sample_image

SIGNATURE = "application/vnd.example.signature"
FIRST, SECOND = sample_image(100), sample_image(200)


@dataclass
class Listed:
    """Content whose lists of referrers are whatever a test says."""

    content: MemoryContent = field(default_factory=MemoryContent)
    lists: dict[Digest, list[Descriptor]] = field(default_factory=dict)
    asked: list[Digest] = field(default_factory=list)

    def __post_init__(self) -> None:
        for image in (FIRST, SECOND):
            for piece in image.pieces:
                self.content.put(piece, image.content.open(piece))
        index = encode_index(Index((FIRST.root, SECOND.root)))
        self.root = self.content.add(index.raw, media_types.INDEX)

    def has(self, descriptor: Descriptor) -> bool:
        return self.content.has(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        return self.content.open(descriptor)

    def referrers(self, digest: Digest, *, artifact_type: str = "") -> tuple[Descriptor, ...]:
        self.asked.append(digest)
        return tuple(self.lists.get(digest, ()))

    def attach(self, subject: Descriptor, text: bytes = b"x", *, under: Digest | None = None) -> Descriptor:
        config = self.content.add(b"{}", media_types.EMPTY)
        blob = self.content.add(text, "text/plain")
        document = encode_manifest(Manifest(config, (blob,), artifact_type=SIGNATURE, subject=subject))
        made = self.content.add(document.raw, document.media_type)
        entry = replace(made, artifact_type=SIGNATURE)
        self.lists.setdefault(under or subject.digest, []).append(entry)
        return entry


def test_referrers_of_all_that_is_copied_are_found_and_those_of_referrers() -> None:
    source = Listed()
    sbom = source.attach(source.root, b"sbom")
    of_image = source.attach(SECOND.root, b"of one image")
    signature = source.attach(sbom, b"signature of the sbom")
    assert find_referrers(source.root, source) == (
        Referrer(SECOND.root.digest, of_image),
        Referrer(source.root.digest, sbom),
        Referrer(sbom.digest, signature),
    )
    assert sorted(source.asked) == sorted(
        [source.root.digest, FIRST.root.digest, SECOND.root.digest, sbom.digest, of_image.digest, signature.digest]
    )


def test_of_one_image_only_its_own_are_found() -> None:
    source = Listed()
    source.attach(source.root)
    own = source.attach(FIRST.root)
    assert find_referrers(FIRST.root, source) == (Referrer(FIRST.root.digest, own),)


def test_lists_that_are_wrong_are_doubted_and_not_followed() -> None:
    source = Listed()
    good = source.attach(FIRST.root, b"good")
    stray = source.attach(SECOND.root, b"of another", under=FIRST.root.digest)
    gone = replace(good, digest=Digest("sha256:" + "1" * 64))
    blob = Descriptor("text/plain", FIRST.layers[0].digest, FIRST.layers[0].size)
    source.lists[FIRST.root.digest] += [gone, blob]
    doubts: list[str] = []
    assert find_referrers(FIRST.root, source, doubted=doubts.append) == (Referrer(FIRST.root.digest, good),)
    assert doubts == [
        f"{stray.digest} is listed as referring to {FIRST.root.digest}, and does not",
        f"{gone.digest} is listed as referring to {FIRST.root.digest}, and is not there",
        f"{blob.digest} is listed as referring to {FIRST.root.digest}, and does not",
    ]


def test_an_image_that_is_listed_as_its_own_referrer_ends() -> None:
    source = Listed()
    source.lists[FIRST.root.digest] = [FIRST.root]
    assert find_referrers(FIRST.root, source) == ()


def test_referrers_without_end_are_refused() -> None:
    source = Listed()
    subject = FIRST.root
    for number in range(10):
        subject = source.attach(subject, str(number).encode())
    with pytest.raises(InvalidDocument, match="refer to each other more than 8 deep") as caught:
        find_referrers(FIRST.root, source)
    assert caught.value.hint == "if an image may be so, raise referrer-depth in the table [limits] of config.toml"
    assert len(find_referrers(FIRST.root, source, limits=lambda: ContentLimits(referrer_depth=10))) == 10
    with pytest.raises(InvalidDocument, match="refer to each other more than 9 deep"):
        find_referrers(FIRST.root, source, limits=lambda: ContentLimits(referrer_depth=9))


def test_referrers_beyond_number_are_refused() -> None:
    source = Listed()
    for number in range(1001):
        source.attach(FIRST.root, str(number).encode())
    with pytest.raises(InvalidDocument, match="more than 1000 manifests refer to") as caught:
        find_referrers(FIRST.root, source)
    assert caught.value.hint == "if an image may be so, raise referrers in the table [limits] of config.toml"
    assert len(find_referrers(FIRST.root, source, limits=lambda: ContentLimits(referrers=1001))) == 1001


def layout_with(path: Path, entries: list[Descriptor], source: Listed) -> DirectoryLayout:
    """A layout whose index.json has just these entries, after the image's."""
    layout = DirectoryLayout(path)
    copy_graph(source.root, source, layout)
    for entry in entries:
        copy_graph(entry, source, layout)
    layout.add_roots([source.root], entries)
    return layout


def test_containerds_layout(tmp_path: Path) -> None:
    """An entry of its own, with the subject as an annotation."""
    source = Listed()
    made = source.attach(source.root)
    layout = layout_with(tmp_path / "layout", [with_subject(made, source.root.digest)], source)
    assert layout.referrers(source.root.digest) == (made,)
    assert [root.digest for _, root in layout.images()] == [source.root.digest]
    assert layout.find().digest == source.root.digest


def test_oras_layout(tmp_path: Path) -> None:
    """Every manifest is an entry, without a name and with its artifact type."""
    source = Listed()
    made = source.attach(SECOND.root)
    layout = layout_with(tmp_path / "layout", [made], source)
    assert layout.referrers(SECOND.root.digest) == (made,)
    assert layout.referrers(source.root.digest) == ()
    assert layout.find().digest == source.root.digest
    assert layout.find(f"@{made.digest}").digest == made.digest


def test_regclients_layout(tmp_path: Path) -> None:
    """The tag schema of registries, as a name in index.json."""
    source = Listed()
    made = source.attach(source.root)
    index = encode_index(Index((made,)))
    listing = source.content.add(index.raw, media_types.INDEX)
    named = replace(listing, annotations={REF_NAME: fallback_tag(source.root.digest)})
    layout = layout_with(tmp_path / "layout", [named], source)
    assert layout.referrers(source.root.digest) == (made,)
    assert layout.referrers(source.root.digest, artifact_type="text/other") == ()


def test_the_tag_of_the_schema() -> None:
    """distribution-spec, "Referrers Tag Schema": the algorithm and at most 64 characters of the hash."""
    assert fallback_tag(Digest("sha256:" + "a" * 64)) == "sha256-" + "a" * 64
    assert fallback_tag(Digest("sha512:" + "b" * 128)) == "sha512-" + "b" * 64
