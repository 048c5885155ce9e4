"""copy_graph: what moves, in which order, what does not move, and what hostile graphs come to."""

from __future__ import annotations

import io
import json
import threading
import time
from dataclasses import replace
from typing import Any, BinaryIO

import pytest

from pyoci.content import MemoryContent, copy_graph, read_graph
from pyoci.content.limits import DEFAULT_CONTENT_LIMITS, ContentLimits
from pyoci.digest import Digest
from pyoci.errors import Cancelled, ContentNotFound, DigestMismatch, InvalidDocument
from pyoci.image import Descriptor, Index, Manifest, encode_index, encode_manifest, media_types
from pyoci.progress import Reporter, TransferKind, TransferOutcome

RAISE = "if an image may be so, raise {} in the table [limits] of config.toml"


class Recorder(MemoryContent):
    """Memory that writes down what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[Digest] = []
        self.stored: list[Digest] = []

    def open(self, descriptor: Descriptor) -> BinaryIO:
        self.opened.append(descriptor.digest)
        return super().open(descriptor)

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        super().put(descriptor, stream)
        self.stored.append(descriptor.digest)


class Events(Reporter):
    def __init__(self) -> None:
        self.outcomes: dict[str, TransferOutcome] = {}
        self.done_bytes: dict[str, int] = {}
        self.kinds: set[TransferKind] = set()

    def transfer_started(self, name: str, kind: TransferKind, total_bytes: int) -> None:
        self.kinds.add(kind)

    def transfer_advanced(self, name: str, done_bytes: int) -> None:
        self.done_bytes[name] = done_bytes

    def transfer_done(self, name: str, outcome: TransferOutcome) -> None:
        self.outcomes[name] = outcome


def add_manifest(content: MemoryContent, *layers: bytes, config: bytes = b"{}") -> Descriptor:
    descriptors = tuple(content.add(layer, media_types.LAYER) for layer in layers)
    return add_document(content, encode_manifest(Manifest(content.add(config, media_types.CONFIG), descriptors)).raw)


def add_index(content: MemoryContent, *manifests: Descriptor) -> Descriptor:
    return content.add(encode_index(Index(manifests)).raw, media_types.INDEX)


def add_document(content: MemoryContent, raw: bytes, media_type: str = media_types.MANIFEST) -> Descriptor:
    return content.add(raw, media_type)


@pytest.mark.parametrize("jobs", [1, 4])
def test_everything_moves_and_what_is_pointed_at_comes_first(jobs: int) -> None:
    source, sink, events = Recorder(), Recorder(), Events()
    first, second = add_manifest(source, b"a", b"b"), add_manifest(source, b"c", b"a")
    root = add_index(source, first, second)
    copy_graph(root, source, sink, kind="push", jobs=jobs, reporter=events)
    assert sink.stored[-3:] == [first.digest, second.digest, root.digest]
    assert len(sink.stored) == len(set(sink.stored)) == 3 + 3 + 1
    assert set(events.outcomes.values()) == {"done"}
    assert events.done_bytes[root.digest] == root.size
    assert events.kinds == {"push"}
    assert read_graph(root, sink) == read_graph(root, source)


def test_the_largest_blob_does_not_wait_for_the_small_ones() -> None:
    source, sink = Recorder(), Recorder()
    layers = (b"s", b"m" * 500, b"l" * 9000, b"n" * 700)
    copy_graph(add_manifest(source, *layers), source, sink, jobs=1)
    sizes = [len(sink._blobs[digest]) for digest in sink.stored]
    assert sizes[:5] == [9000, 700, 500, 2, 1], "and the manifest, which comes last"


def test_what_the_sink_has_is_not_opened_at_the_source() -> None:
    source, sink, events = Recorder(), Recorder(), Events()
    root = add_manifest(source, b"a", b"b")
    there = sink.add(b"a", media_types.LAYER)
    copy_graph(root, source, sink, reporter=events)
    assert there.digest not in source.opened
    assert events.outcomes[there.digest] == "exists"


def test_a_sink_that_vouches_for_its_documents_is_not_asked_for_what_is_below() -> None:
    source, sink, events = Recorder(), Recorder(), Events()
    root = add_manifest(source, b"a")
    copy_graph(root, source, sink)
    source.opened.clear()
    copy_graph(root, source, sink, reporter=events, assume_complete=True)
    assert source.opened == []
    assert events.outcomes == {root.digest: "exists"}


def test_a_sink_with_gaps_is_filled() -> None:
    source, sink, events = Recorder(), Recorder(), Events()
    root = add_manifest(source, b"a", b"b")
    copy_graph(root, source, sink)
    missing = source.add(b"a", media_types.LAYER)
    del sink._blobs[missing.digest]
    copy_graph(root, source, sink, reporter=events)
    assert sink.has(missing)
    assert [digest for digest, outcome in events.outcomes.items() if outcome == "done"] == [missing.digest]


def test_what_can_be_mounted_is_not_opened() -> None:
    source, sink, events = Recorder(), Recorder(), Events()
    root = add_manifest(source, b"a", b"b")
    mounted = source.add(b"a", media_types.LAYER)
    copy_graph(root, source, sink, reporter=events, mount=lambda blob: blob.digest == mounted.digest)
    assert mounted.digest not in source.opened
    assert events.outcomes[mounted.digest] == "mounted"


def test_a_sink_may_begin_a_stream_again() -> None:
    class Forgetful(Recorder):
        def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
            assert stream.read(2)
            assert stream.seekable()
            stream.seek(0)
            super().put(descriptor, stream)

    source, sink = Recorder(), Forgetful()
    root = add_manifest(source, b"layer")
    copy_graph(root, source, sink)
    assert read_graph(root, sink) == read_graph(root, source)


def test_a_lone_blob_is_a_graph_too() -> None:
    source, sink = Recorder(), Recorder()
    root = source.add(b"blob", "application/octet-stream")
    copy_graph(root, source, sink)
    assert sink.stored == [root.digest]


def test_a_subject_is_not_followed() -> None:
    """manifest.md: a subject is a weak association; what is copied is what the manifest needs."""
    source, sink = MemoryContent(), MemoryContent()
    subject = add_manifest(source, b"a")
    root = add_document(
        source, encode_manifest(Manifest(source.add(b"{}", media_types.CONFIG), (), subject=subject)).raw
    )
    copy_graph(root, source, sink)
    assert not sink.has(subject)


def test_of_an_index_the_images_that_are_there_can_be_enough() -> None:
    """containerd exports and imports so: the archives of `docker save` hold the platforms that were pulled."""
    source, sink = MemoryContent(), Recorder()
    whole, lacking, absent = add_manifest(source, b"a"), add_manifest(source, b"b"), add_manifest(source, b"c")
    nested, empty = add_index(source, lacking, whole), add_index(source, lacking)
    root = add_index(source, absent, lacking, whole, nested, empty)
    for gone in (absent.digest, source.add(b"b", media_types.LAYER).digest):
        del source._blobs[gone]
    with pytest.raises(ContentNotFound):
        copy_graph(root, source, MemoryContent())
    copy_graph(root, source, sink, sparse=True)
    assert {whole.digest, nested.digest, root.digest} <= set(sink.stored)
    assert not {lacking.digest, absent.digest, empty.digest} & set(sink.stored)


def test_none_of_the_images_of_an_index_is_not_enough() -> None:
    source = MemoryContent()
    root = add_index(source, add_manifest(source, b"a"), add_manifest(source, b"b"))
    for layer in (b"a", b"b"):
        del source._blobs[source.add(layer, media_types.LAYER).digest]
    with pytest.raises(ContentNotFound) as caught:
        copy_graph(root, source, MemoryContent(), sparse=True)
    assert caught.value.message == f"none of the 2 images of {root.digest} is there whole"
    copy_graph(add_index(source), source, MemoryContent(), sparse=True)


def test_a_lone_manifest_is_never_sparse() -> None:
    source = MemoryContent()
    root = add_manifest(source, b"a")
    del source._blobs[source.add(b"a", media_types.LAYER).digest]
    with pytest.raises(ContentNotFound):
        copy_graph(root, source, MemoryContent(), sparse=True)


def test_a_missing_blob_writes_no_document() -> None:
    source, sink = MemoryContent(), Recorder()
    gone = Descriptor(media_types.LAYER, Digest("sha256:" + "0" * 64), 3)
    root = add_document(source, encode_manifest(Manifest(source.add(b"{}", media_types.CONFIG), (gone,))).raw)
    with pytest.raises(ContentNotFound):
        copy_graph(root, source, sink)
    assert root.digest not in sink.stored


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_changed_blob_writes_no_document(jobs: int) -> None:
    source, sink = MemoryContent(), Recorder()
    root = add_manifest(source, b"one", b"two", b"three")
    source._blobs[source.add(b"two", media_types.LAYER).digest] = b"TWO"
    with pytest.raises(DigestMismatch):
        copy_graph(root, source, sink, jobs=jobs)
    assert root.digest not in sink.stored


def test_a_document_that_is_manifest_and_index_is_refused() -> None:
    source = MemoryContent()
    config = {"mediaType": media_types.CONFIG, "digest": source.add(b"{}", "a/b").digest, "size": 2}
    raw = json.dumps({"schemaVersion": 2, "config": config, "layers": [], "manifests": []}).encode()
    for media_type in (media_types.MANIFEST, media_types.INDEX):
        with pytest.raises(InvalidDocument, match="cannot have"):
            copy_graph(add_document(source, raw, media_type), source, MemoryContent())


def test_a_document_that_is_announced_as_another_kind_is_refused() -> None:
    source = MemoryContent()
    manifest = replace(add_manifest(source, b"a"), media_type=media_types.INDEX)
    with pytest.raises(InvalidDocument, match="mediaType is"):
        copy_graph(add_index(source, manifest), source, MemoryContent())


def test_a_manifest_that_is_first_named_as_a_blob_is_still_followed() -> None:
    source, sink = MemoryContent(), Recorder()
    manifest = add_manifest(source, b"layer")
    root = add_index(source, replace(manifest, media_type="application/octet-stream"), manifest)
    copy_graph(root, source, sink)
    assert read_graph(root, sink) == read_graph(root, source)
    assert sink.stored.count(manifest.digest) == 1


def test_one_digest_cannot_have_two_sizes() -> None:
    source = MemoryContent()
    layer = source.add(b"layer", media_types.LAYER)
    config = source.add(b"{}", media_types.CONFIG)
    root = add_document(source, encode_manifest(Manifest(config, (layer, replace(layer, size=4)))).raw)
    with pytest.raises(InvalidDocument) as caught:
        copy_graph(root, source, MemoryContent())
    assert caught.value.message == f"{layer.digest} is said to have 5 bytes in one place and 4 in another"


def test_indexes_may_be_nested_but_not_without_end() -> None:
    source = MemoryContent()
    root = add_manifest(source, b"a")
    for _ in range(8):
        root = add_index(source, root)
    copy_graph(root, source, MemoryContent())
    deeper = add_index(source, root)
    with pytest.raises(InvalidDocument, match="nested more than 8 deep") as caught:
        copy_graph(deeper, source, MemoryContent())
    assert caught.value.hint == RAISE.format("index-depth")
    copy_graph(deeper, source, MemoryContent(), limits=lambda: ContentLimits(index_depth=9))


def test_more_pieces_than_are_allowed_are_refused_before_any_moves() -> None:
    source, sink = MemoryContent(), Recorder()
    root = add_index(source, add_manifest(source, b"a"), add_manifest(source, b"b"))
    pieces = 6  # the index, two manifests, their layers, and the config that they share
    copy_graph(root, source, MemoryContent(), limits=lambda: ContentLimits(pieces=pieces))
    with pytest.raises(InvalidDocument, match="more than 5 pieces of content below one root") as caught:
        copy_graph(root, source, sink, limits=lambda: ContentLimits(pieces=pieces - 1))
    assert caught.value.hint == RAISE.format("image-pieces")
    assert sink.stored == []


def test_more_bytes_than_are_allowed_are_refused_before_any_moves() -> None:
    source, sink = MemoryContent(), Recorder()
    root = add_manifest(source, b"a" * 1000)
    graph = read_graph(root, source)
    size = sum(piece.size for piece in (*graph.blobs, *(document for document, _ in graph.documents)))
    copy_graph(root, source, MemoryContent(), limits=lambda: ContentLimits(image_bytes=size))
    with pytest.raises(InvalidDocument, match=f"more than {size - 1} bytes of content below one root") as caught:
        copy_graph(root, source, sink, limits=lambda: ContentLimits(image_bytes=size - 1))
    assert caught.value.hint == RAISE.format("image-size")
    assert sink.stored == []


def test_an_index_that_contains_itself_ends_in_an_error() -> None:
    """Digests rule that out, so the source must lie; it is caught by verification before depth matters."""
    raw = encode_index(Index((Descriptor(media_types.INDEX, Digest("sha256:" + "1" * 64), 0),))).raw
    loop = Descriptor(media_types.INDEX, Digest("sha256:" + "1" * 64), len(raw))
    raw = encode_index(Index((loop,))).raw

    class Loop(MemoryContent):
        def open(self, descriptor: Descriptor) -> BinaryIO:
            return io.BytesIO(raw)

    with pytest.raises(DigestMismatch):
        copy_graph(replace(loop, size=len(raw)), Loop(), MemoryContent())


def test_an_index_of_too_many_pieces_is_refused() -> None:
    source = MemoryContent()
    blobs = tuple(Descriptor("a/b", Digest(f"sha256:{number:064x}"), 1) for number in range(10_001))
    with pytest.raises(InvalidDocument, match="more than 10000 pieces"):
        copy_graph(add_index(source, *blobs), source, MemoryContent())


def test_a_document_beyond_the_limit_is_not_read() -> None:
    source = Recorder()
    root = Descriptor(media_types.INDEX, Digest("sha256:" + "0" * 64), DEFAULT_CONTENT_LIMITS.document_bytes + 1)
    source._blobs[root.digest] = b""
    with pytest.raises(InvalidDocument, match="more than the 4194304"):
        copy_graph(root, source, MemoryContent())


class Slow(MemoryContent):
    """Gives a byte at a time, as long as nobody stops it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Semaphore(0)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        stream = super().open(descriptor)
        if media_types.is_manifest(descriptor.media_type):
            return stream
        begun = self.begun

        class OneByOne(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def read(self, size: int = -1, /) -> bytes:
                begun.release()
                time.sleep(0.005)
                return stream.read(1)

        result: Any = OneByOne()
        return result  # type: ignore[no-any-return]


@pytest.mark.parametrize("jobs", [1, 2])
def test_it_stops_when_it_is_told_to(jobs: int) -> None:
    source, sink, cancelled = Slow(), Recorder(), threading.Event()
    root = add_manifest(source, *(bytes([number]) * 100_000 for number in range(6)))

    def cancel() -> None:
        source.begun.acquire()
        cancelled.set()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        copy_graph(root, source, sink, jobs=jobs, cancelled=cancelled)
    canceller.join()
    assert time.monotonic() - begun < 5
    assert sink.stored == []


def test_one_failure_stops_the_others() -> None:
    source, sink = Slow(), Recorder()
    layers = [bytes([number]) * 100_000 for number in range(3)]
    root = add_manifest(source, b"short", *layers)
    source._blobs[source.add(b"short", media_types.LAYER).digest] = b"SHORT"
    begun = time.monotonic()
    with pytest.raises(DigestMismatch):
        copy_graph(root, source, sink, jobs=4)
    assert time.monotonic() - begun < 5
    assert root.digest not in sink.stored
