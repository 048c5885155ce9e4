"""Trees of one process: a layer is read once, however many steps ask for it at the same time, and several at once."""

from __future__ import annotations

import io
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import pytest

from pyoci.build import trees
from pyoci.build.filesystem import SCRATCH, Filesystem
from pyoci.build.trees import Trees
from pyoci.content import ContentSource, MemoryContent, PullThrough
from pyoci.content.verify import VerifyingReader
from pyoci.digest import Digest
from pyoci.errors import ContentNotFound, DigestMismatch, LayerError
from pyoci.image import Descriptor
from pyoci.image.image import Layer
from pyoci.layer.index import LayerIndex, index_layer
from pyoci.snapshot.protocols import Snapshotter
from pyoci.store import Store
from tests.builders import directory, make_image, make_layer, opaque

PATIENCE_SECONDS = 30


@dataclass
class Slow:
    """Content of which the first `together` streams come when as many were asked for."""

    content: MemoryContent
    together: int
    opened: Counter[Digest] = field(default_factory=Counter)
    gone: bool = False

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.together)

    def has(self, descriptor: Descriptor) -> bool:
        return self.content.has(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        self.opened[descriptor.digest] += 1
        self.barrier.wait(PATIENCE_SECONDS)
        if self.gone:
            raise ContentNotFound("it is gone")
        return self.content.open(descriptor)


@pytest.fixture
def two() -> tuple[MemoryContent, Filesystem]:
    content, image = make_image([make_layer({"a": b"a"}), make_layer({"b": b"b"})])
    filesystem = SCRATCH
    for layer in image.layers:
        filesystem = filesystem.plus(layer)
    return content, filesystem


def trees_over(content: ContentSource, directory: Path) -> Trees:
    store = Store(directory / "store")
    content_of = PullThrough(store, content)
    return Trees(store, content_of, cast("Snapshotter", SimpleNamespace(open_unpacked=None)))


def test_steps_that_ask_at_once_read_each_layer_once(two: tuple[MemoryContent, Filesystem], tmp_path: Path) -> None:
    content, filesystem = Slow(two[0], together=3), two[1]
    trees = trees_over(content, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(trees.of, filesystem) for _ in range(8)]
        content.barrier.wait(PATIENCE_SECONDS)
        found = {id(future.result(PATIENCE_SECONDS)) for future in asked}
    assert len(found) == 1
    assert list(content.opened.values()) == [1, 1]


def test_layers_of_one_stack_are_fetched_side_by_side(two: tuple[MemoryContent, Filesystem], tmp_path: Path) -> None:
    tree = trees_over(Slow(two[0], together=2), tmp_path).of(two[1])
    assert tree.lookup("a") is not None
    assert tree.lookup("b") is not None


def test_a_layer_that_could_not_be_read_is_asked_for_again(
    two: tuple[MemoryContent, Filesystem], tmp_path: Path
) -> None:
    content = Slow(two[0], together=2, gone=True)
    trees = trees_over(content, tmp_path)
    with pytest.raises(ContentNotFound):
        trees.of(two[1])
    content.gone = False
    assert trees.of(two[1]).lookup("b") is not None


class Held:
    """Gives the end of a blob when `event` has come; the bytes may be wrong, and others be had elsewhere."""

    def __init__(
        self, content: MemoryContent, event: threading.Event, *, wrong: int = 0, elsewhere: bool = False
    ) -> None:
        self._content = content
        self._event = event
        self._wrong = wrong
        self._elsewhere = elsewhere
        self.waited: list[bool] = []

    def has(self, descriptor: Descriptor) -> bool:
        return self._content.has(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        data = io.BytesIO(self._content.open(descriptor).read())
        if self._wrong:
            self._wrong -= 1
            data = io.BytesIO(b"\xff" * descriptor.size)  # not even an empty tar
        held = self

        class Holding(io.RawIOBase):
            def read(self, size: int | None = -1, /) -> bytes:
                if data.tell() >= 2 << 20:
                    held.waited.append(held._event.wait(PATIENCE_SECONDS))
                return data.read(min(size or 0, 1 << 20))

        def refused(error: DigestMismatch) -> None:
            error.elsewhere = self._elsewhere

        return cast("BinaryIO", VerifyingReader(cast("BinaryIO", Holding()), descriptor, refused=refused))


@pytest.fixture
def large() -> tuple[MemoryContent, Filesystem]:
    content, image = make_image([make_layer({"big": random.Random(1).randbytes(3 << 20)})])
    return content, SCRATCH.plus(image.layers[0])


def test_a_layer_is_read_while_it_arrives(
    large: tuple[MemoryContent, Filesystem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    layer = large[1].stack[0]
    assert isinstance(layer, Layer)
    blob = large[0].open(layer.descriptor).read()

    def reading(stream: BinaryIO, *arguments: Any, **more: Any) -> LayerIndex:
        assert stream.read(1)
        begun.set()
        return index_layer(io.BytesIO(blob), *arguments, **more)

    monkeypatch.setattr(trees, "index_layer", reading)
    origin = Held(large[0], begun)
    assert trees_over(origin, tmp_path).of(large[1]).lookup("big") is not None
    assert set(origin.waited) == {True}


@pytest.mark.parametrize("elsewhere", [True, False])
def test_wrong_bytes_are_called_so_and_had_elsewhere(
    large: tuple[MemoryContent, Filesystem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    """Also where what there was of them had seemed to be something else by then."""
    refused = threading.Event()

    def reading(*arguments: Any, **more: Any) -> LayerIndex:
        try:
            return index_layer(*arguments, **more)
        except LayerError:
            refused.set()
            raise

    monkeypatch.setattr(trees, "index_layer", reading)
    origin = Held(large[0], refused, wrong=1, elsewhere=elsewhere)
    if elsewhere:
        assert trees_over(origin, tmp_path).of(large[1]).lookup("big") is not None
    else:
        with pytest.raises(DigestMismatch, match="expected"):
            trees_over(origin, tmp_path).of(large[1])
    assert set(origin.waited) == {True}


def test_a_directory_that_a_layer_only_empties_is_what_it_was(tmp_path: Path) -> None:
    """As in containerd, which makes the directory of an opaque marker with the attributes that it has below."""
    below = make_layer({"a": directory(mode=0o700, uid=10), "a/x": b"x", "b": directory(uid=3)})
    above = make_layer({"a": opaque()}, parents=False)
    content, image = make_image([below, above])
    trees = trees_over(content, tmp_path)
    implied = trees.implied(image.layers)
    assert {path: (entry.mode, entry.uid) for path, entry in implied.items() if path} == {"a": (0o700, 10)}
