"""Manifests without a tag: remembered by repository, and no garbage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyoci.content import copy_graph
from pyoci.errors import ContentError
from pyoci.image import Descriptor
from pyoci.reference import parse_reference
from pyoci.store import Store
from pyoci.store.collect import prune, remove_graph
from pyoci.store.kept import KeptManifests
from tests.registry_world import sample_image

APP, OTHER = "docker.io/team/app", "ghcr.io/team/app"


def digests(*descriptors: Descriptor) -> set[str]:
    return {descriptor.digest for descriptor in descriptors}


def test_each_repository_has_its_own(tmp_path: Path) -> None:
    first, second = sample_image(1).root, sample_image(2).root
    with Store(tmp_path) as store:
        kept = KeptManifests(store)
        assert kept.of(APP) == ()
        assert list(kept.all()) == []
        for name, root in ((APP, first), (APP, second), (APP, first), (OTHER, first)):
            kept.add(name, root)
        assert kept.of(APP) == (first, second)
        assert [each.digest for each in kept.all()].count(first.digest) == 2
        kept.remove(APP, [first.digest, second.digest, "sha256:" + "0" * 64])  # type: ignore[list-item]
        assert kept.of(APP) == ()
        assert KeptManifests(store).of(OTHER) == (first,)


def test_what_is_kept_is_no_garbage(tmp_path: Path) -> None:
    kept, loose = sample_image(100), sample_image(200)
    with Store(tmp_path) as store:
        for image in (kept, loose):
            copy_graph(image.root, image.content, store)
        KeptManifests(store).add(APP, kept.root)
        prune(store, lambda trees: None, everything=True)
        assert all(store.has(piece) for piece in kept.pieces)
        assert not any(store.has(piece) for piece in loose.pieces)
        store.tags.set(parse_reference("app:1"), kept.root)
        store.tags.remove(parse_reference("app:1"))
        assert remove_graph(kept.root, store) == []
        KeptManifests(store).remove(APP, [kept.root.digest])
        assert set(remove_graph(kept.root, store)) == digests(*kept.pieces)


def test_many_at_once_lose_none(tmp_path: Path) -> None:
    roots = [sample_image(number).root for number in range(1, 21)]
    with Store(tmp_path) as store, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda root: KeptManifests(store).add(APP, root), roots))
        assert digests(*KeptManifests(store).of(APP)) == digests(*roots)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        KeptManifests(store).add(APP, sample_image(1).root)
        (path,) = (tmp_path / "kept").iterdir()
        path.write_bytes(b"[]")
        with pytest.raises(ContentError, match="is damaged"):
            KeptManifests(store).of(APP)
        assert list(KeptManifests(store).all()) == []
