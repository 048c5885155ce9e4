"""What the builder asks the worker to unpack, when, and what becomes of it: with a worker in this process."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

import pytest

from pyoci.content import MemoryContent, PullThrough
from pyoci.content.verify import VerifyingReader
from pyoci.digest import DiffID, sha256_digest
from pyoci.errors import ContentError, DigestMismatch, LayerError, SandboxError
from pyoci.image.descriptor import Descriptor
from pyoci.image.image import Layer
from pyoci.layer.entry import Entry, LayerPath
from pyoci.layer.index import dump_index, index_layer
from pyoci.layer.limits import DEFAULT_LIMITS
from pyoci.sandbox.failure import Failure
from pyoci.sandbox.protocols import Mode
from pyoci.sandbox.worker import Reply
from pyoci.snapshot import operations, unpacked
from pyoci.snapshot.protocols import Stacked
from pyoci.snapshot.snapshotter import StoreSnapshotter
from pyoci.snapshot.unpacked import UnpackedLayers
from pyoci.store import Store
from tests.builders import BuiltLayer, file, make_layer
from tests.registry_world import settled

LOWER = make_layer({"a/one": b"1", "b/two": b"2"})
UPPER = make_layer({"a/more": b"m", "c/x": file(b"x", uid=0)}, parents=False)


class Pending:
    """A request that is carried out when its answer is asked for."""

    def __init__(self, operation: Callable[[], Reply]) -> None:
        self._operation = operation
        self.killed = False

    def reply(self) -> Reply:
        return self._operation()

    def kill(self) -> None:
        self.killed = True


class WorkerHere:
    """Carries operations out in this process, and remembers them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.requests: list[Mapping[str, Any]] = []
        self.pending: list[Pending] = []
        self.begun: list[Mapping[str, Any]] = []
        self.gone = False

    def begin(self, operation: str, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Pending:
        self.begun.append(request)
        self.pending.append(Pending(lambda: self.call(operation, request, descriptors)))
        return self.pending[-1]

    def call(self, operation: str, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Reply:
        self.asked.append(operation)
        self.requests.append(request)
        if self.gone:
            raise SandboxError("the worker of the sandbox was killed")
        try:
            values = getattr(operations, operation)(dict(request), list(descriptors))
        except Failure as failure:
            kinds = {"DigestMismatch": DigestMismatch, "LayerError": LayerError}
            raise kinds[failure.kind](failure.message) from None
        return Reply(values)


class Stacks:
    """Indexes in memory, and the directories that a layer leaves to those below, by hand."""

    def __init__(self) -> None:
        self.indexes: dict[str, bytes] = {}
        self.directories: dict[str, list[Entry]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def has_index(self, layer: Layer) -> bool:
        return layer.diff_id in self.indexes

    @contextmanager
    def indexing(self, layer: Layer) -> Iterator[Callable[[bytes], None] | None]:
        with self._locks.setdefault(layer.diff_id, threading.Lock()):
            yield None if self.has_index(layer) else lambda data: self.indexes.update({layer.diff_id: data})

    def implied(self, stack: Sequence[Stacked]) -> Mapping[LayerPath, Entry]:
        top = stack[-1]
        assert isinstance(top, Layer)
        return {entry.path: entry for entry in self.directories.get(top.diff_id, [])}

    def root(self, stack: Sequence[Stacked]) -> Entry:
        return Entry(LayerPath(""), "dir", 0o755)


class Registry(MemoryContent):
    """Counts; may have wrong bytes once, and then others elsewhere."""

    def __init__(self, *layers: BuiltLayer) -> None:
        super().__init__(layer.blob for layer in layers)
        self.opened = 0
        self.wrong: dict[str, bytes] = {}

    def open(self, descriptor: Descriptor) -> BinaryIO:
        self.opened += 1
        wrong = self.wrong.pop(descriptor.digest, None)
        if wrong is None:
            return super().open(descriptor)

        def refused(error: DigestMismatch) -> None:
            error.elsewhere = True

        return io.BufferedReader(VerifyingReader(io.BytesIO(wrong), descriptor, refused=refused))


class World:
    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self.worker = WorkerHere()
        self.stacks = Stacks()
        self.warnings: list[str] = []
        self.layers = self.another_command()

    def another_command(self) -> UnpackedLayers:
        """What a command that comes later has."""
        return UnpackedLayers(
            self.store.root,
            PullThrough(self.store, self.registry),
            self.worker,
            lambda: "single",
            lambda: self.stacks,
            self.warnings.append,
            lambda: DEFAULT_LIMITS,
        )

    def directories(self) -> list[str]:
        return sorted(path.name for path in self.store.root.glob("unpacked/*/*"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store(tmp_path) as store:
        yield World(store, Registry(LOWER, UPPER))


def hex_of(layer: BuiltLayer) -> str:
    return layer.diff_id.removeprefix("sha256:")


def test_a_new_layer_is_read_once_for_its_files_and_its_index(world: World) -> None:
    found = world.layers.unpack([LOWER.layer])
    path, hides = found[0]
    assert (path / "a/one").read_bytes() == b"1"
    assert not hides
    assert world.worker.asked == ["unpack"]
    assert world.registry.opened == 1
    read = index_layer(io.BytesIO(LOWER.blob), "gzip", diff_id=LOWER.diff_id)
    assert world.stacks.indexes == {LOWER.diff_id: dump_index(read)}
    assert world.directories() == [hex_of(LOWER)]
    assert world.layers.unpack([LOWER.layer]) == found
    assert world.another_command().unpack([LOWER.layer]) == found
    assert world.worker.asked == ["unpack"]


def test_a_layer_whose_index_is_known_is_only_unpacked(world: World) -> None:
    world.stacks.indexes[LOWER.diff_id] = b"known"
    world.layers.unpack([LOWER.layer])
    assert world.stacks.indexes == {LOWER.diff_id: b"known"}
    [request] = world.worker.requests
    assert [layer["indexed"] for layer in request["layers"]] == [False]


@pytest.mark.parametrize("indexed", [False, True])
def test_directories_are_as_the_layers_below_have_them(world: World, indexed: bool) -> None:
    known = [Entry(LayerPath("a"), "dir", 0o750, mtime=99), Entry(LayerPath("b"), "dir", 0o700)]
    world.stacks.directories[UPPER.diff_id] = known
    if indexed:
        world.stacks.indexes = {LOWER.diff_id: b"known", UPPER.diff_id: b"known"}
    found = world.layers.unpack([LOWER.layer, UPPER.layer])
    status = (found[1][0] / "a").stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o750, 99)
    assert (found[1][0] / "c").stat().st_mode & 0o7777 == 0o755
    assert not (found[1][0] / "b").exists()
    assert ("describe_directories" in world.worker.asked) != indexed
    lower, upper = world.directories()[0], world.directories()[1]
    assert {hex_of(LOWER), hex_of(UPPER)} == {lower.partition("-")[0], upper.partition("-")[0]}
    assert world.another_command().unpack([LOWER.layer, UPPER.layer]) == found


def test_over_another_base_a_layer_has_another_directory(world: World) -> None:
    world.stacks.directories[UPPER.diff_id] = [Entry(LayerPath("a"), "dir", 0o750)]
    world.layers.unpack([LOWER.layer, UPPER.layer])
    world.stacks.directories[UPPER.diff_id] = [Entry(LayerPath("a"), "dir", 0o711)]
    found = world.another_command().unpack([LOWER.layer, UPPER.layer])
    assert (found[1][0] / "a").stat().st_mode & 0o7777 == 0o711
    assert len([name for name in world.directories() if name.startswith(hex_of(UPPER))]) == 2


def test_another_diff_id_leaves_neither_directory_nor_index(world: World) -> None:
    wrong = Layer(LOWER.descriptor, UPPER.diff_id)
    with pytest.raises(DigestMismatch, match="the layer unpacks to"):
        world.layers.unpack([wrong])
    assert world.directories() == []
    assert world.stacks.indexes == {}


def test_wrong_bytes_end_the_worker_before_it_is_asked(world: World) -> None:
    world.registry._blobs[LOWER.descriptor.digest] = bytes(LOWER.descriptor.size)
    with pytest.raises(DigestMismatch, match="expected"):
        world.layers.unpack([LOWER.layer])
    assert all(pending.killed for pending in world.worker.pending)
    assert "unpack" not in world.worker.asked
    assert world.directories() == []
    assert world.stacks.indexes == {}


def test_right_bytes_from_elsewhere_are_unpacked_instead(world: World) -> None:
    world.registry.wrong[LOWER.descriptor.digest] = bytes(LOWER.descriptor.size)
    found = world.layers.unpack([LOWER.layer])
    assert (found[0][0] / "a/one").read_bytes() == b"1"
    assert world.registry.opened == 2
    assert world.directories() == [hex_of(LOWER)]


def test_a_worker_that_is_gone_says_so_itself(world: World) -> None:
    world.worker.gone = True
    with pytest.raises(SandboxError, match="was killed"):
        world.layers.unpack([LOWER.layer])
    assert world.stacks.indexes == {}


def test_what_a_killed_worker_left_is_removed(world: World) -> None:
    def die() -> Reply:
        target = Path(world.worker.requests[-1]["target"])
        (target.parent / f"{target.name}.partial-1/files").mkdir(parents=True)
        raise SandboxError("a process of the sandbox was killed")

    def begin(operation: str, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Pending:
        world.worker.requests.append(request)
        return Pending(die)

    world.worker.begin = begin  # type: ignore[method-assign]
    with pytest.raises(SandboxError):
        world.layers.unpack([LOWER.layer])
    assert world.directories() == []


def test_threads_that_need_the_same_unpack_it_once(world: World) -> None:
    together = threading.Barrier(6)
    found: list[Path] = []

    def unpack() -> None:
        together.wait(30)
        found.append(world.layers.unpack([LOWER.layer, UPPER.layer])[1][0])

    threads = [threading.Thread(target=unpack) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    assert len(set(found)) == 1
    assert world.worker.asked.count("unpack") == 2
    assert world.registry.opened == 2


def test_stacks_that_have_the_same_layers_in_another_order(world: World) -> None:
    stacks = [[LOWER.layer, UPPER.layer], [UPPER.layer, LOWER.layer]] * 3
    done: list[int] = []
    threads = [
        threading.Thread(target=lambda stack=stack: done.append(len(world.layers.unpack(stack)))) for stack in stacks
    ]
    for thread in threads:
        thread.start()
    assert settled(lambda: len(done) == len(stacks), seconds=60)


def test_the_largest_layer_is_read_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what all wait for in the end, and what is small fits beside it."""
    monkeypatch.setattr(unpacked, "_JOBS", 1)
    small = [make_layer({"s": bytes([48 + number])}) for number in range(3)]
    large = make_layer({"big": random.Random(1).randbytes(100_000)})
    stack = [*small, large]
    for layer in stack:
        world.registry._blobs[layer.descriptor.digest] = layer.blob
    found = world.layers.unpack([layer.layer for layer in stack])
    assert [(path / "s").read_bytes() for path, _ in list(found.values())[:3]] == [b"0", b"1", b"2"]
    begun = [Path(request["target"]).name for request in world.worker.begun]
    assert begun[0].startswith(hex_of(large))
    assert len(begun) == 4


def test_layers_arrive_ahead_of_those_that_are_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "_JOBS", 1)
    stack = [make_layer({"s": bytes([48 + number])}) for number in range(7)]
    for layer in stack:
        world.registry._blobs[layer.descriptor.digest] = layer.blob
    begin = world.worker.begin
    arrived: list[bool] = []

    def slowly(operation: str, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Pending:
        expected = min(len(stack), 5 + len(arrived))
        arrived.append(settled(lambda: world.registry.opened >= expected))
        return begin(operation, request, descriptors)

    monkeypatch.setattr(world.worker, "begin", slowly)
    world.layers.unpack([layer.layer for layer in stack])
    assert arrived == [True] * 7
    assert world.registry.opened == 7


def test_a_failure_leaves_nothing_of_other_layers(world: World) -> None:
    wrong = Layer(LOWER.descriptor, DiffID(sha256_digest(b"another")))
    with pytest.raises(DigestMismatch):
        world.layers.unpack([UPPER.layer, wrong])
    assert world.directories() == []


def test_layers_are_on_their_way_before_the_machine_is_looked_at(world: World) -> None:
    class Machine:
        mode: Mode = "chroot"
        scratch = Path()

        @property
        def storage(self) -> Literal["copy"]:
            assert settled(lambda: world.registry.opened == 2)
            return "copy"

    def unused(*_: object) -> NoReturn:
        raise AssertionError

    snapshotter = StoreSnapshotter(
        world.store.root,
        PullThrough(world.store, world.registry),
        unused,
        Machine,
        stacks=lambda: world.stacks,
        write_layer=unused,
        as_layer=unused,
    )
    snapshotter.unpack([LOWER.layer, UPPER.layer])
    assert world.store.has(LOWER.descriptor)
    assert world.store.has(UPPER.descriptor)


def test_merged_layers_give_their_indexes_too(world: World) -> None:
    files = world.layers.merged([LOWER.layer, UPPER.layer, LOWER.layer])
    assert (files / "a/more").read_bytes() == b"m"
    assert set(world.stacks.indexes) == {LOWER.diff_id, UPPER.diff_id}
    assert world.layers.merged([LOWER.layer, UPPER.layer, LOWER.layer]) == files
    assert world.worker.asked == ["unpack"]


def test_a_record_that_is_damaged(world: World) -> None:
    files = world.layers.merged([LOWER.layer])
    (files.parent / "unpacked.json").write_text("{")
    with pytest.raises(ContentError, match="is damaged"):
        world.layers.merged([LOWER.layer])


def test_where_a_layer_is(world: World) -> None:
    assert list(world.layers.directories_of(LOWER.layer)) == []
    [(path, _)] = world.layers.unpack([LOWER.layer]).values()
    (path.parents[1] / f"{hex_of(LOWER)}.staged-1/files").mkdir(parents=True)
    assert list(world.layers.directories_of(LOWER.layer)) == [path]
