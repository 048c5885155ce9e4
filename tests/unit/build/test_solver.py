"""The solver against the faults that caches are known for: what may run again is named exactly."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from pyoci.build.cache import Own
from pyoci.build.filesystem import Result
from pyoci.build.graph import Graph, Vertex, VertexID, vertex
from pyoci.build.solver import solve
from pyoci.build.steps import ContextStep, CopySource, CopyStep, ImageStep, RunStep
from pyoci.digest import Digest
from pyoci.errors import BuildError, Cancelled
from pyoci.location import Location, SourceFile
from pyoci.progress import Reporter
from tests.fakes.executor import FakeExecutor, MemoryCache

SOURCE = SourceFile("Dockerfile", "FROM x\nRUN y\n")


def graph_of(*vertices: Vertex) -> Graph:
    return Graph({v.id: v for v in vertices})


def copy(title: str, parent: Vertex, source: Vertex, *, no_cache: bool = False, path: str = "a") -> Vertex:
    step = CopyStep((CopySource(1, path),), f"/{title}")
    return vertex(step, (parent.id, source.id), title=title, no_cache=no_cache, location=Location(SOURCE, 2))


def run(title: str, parent: Vertex, *, args: tuple[str, ...] = ("make",)) -> Vertex:
    return vertex(RunStep(args, (), "/", ""), (parent.id,), title=title, location=Location(SOURCE, 2))


@dataclass
class TwoStages:
    """`COPY src`, `RUN build`, and a final stage that copies the product: the shape of nearly every Go Dockerfile."""

    args: tuple[str, ...] = ("make",)
    cache: MemoryCache = field(default_factory=MemoryCache)

    def build(self, source: str, product: str) -> list[str]:
        base = vertex(ImageStep(()))
        context = vertex(ContextStep("."))
        src = copy("src", base, context)
        built = run("build", src, args=self.args)
        final = copy("final", base, built, path="product")
        executor = _Products(contexts={".": source}, product=product)
        solve(
            graph_of(base, context, src, built, final), executor=executor, cache=self.cache, reporter=Reporter(), jobs=4
        )
        return sorted(executor.ran)


@dataclass
class _Products(FakeExecutor):
    product: str = ""

    def read_digest(self, vertex: Vertex, position: int, source: Result) -> Digest:
        from pyoci.build.cache_key import structural_digest

        if vertex.title == "final":
            return structural_digest(self.product if "build" in self.ran else _kept(source))
        return super().read_digest(vertex, position, source)

    def execute(self, vertex: Vertex, inputs: tuple[Result, ...]) -> Own:
        own = super().execute(vertex, inputs)
        if vertex.title == "build":
            PRODUCTS[str(own)] = self.product
        return own


PRODUCTS: dict[str, str] = {}


def _kept(source: Result) -> str:
    from pyoci.build.filesystem import Filesystem

    assert isinstance(source, Filesystem)
    return PRODUCTS[str(source.stack[-1])]


def test_cold_everything_runs_and_warm_nothing_does() -> None:
    stages = TwoStages()
    assert stages.build("one", "binary 1") == ["build", "final", "src"]
    for _ in range(3):
        assert stages.build("one", "binary 1") == []


def test_an_edit_with_the_same_output_stops_downstream() -> None:
    stages = TwoStages()
    stages.build("one", "binary 1")
    assert stages.build("one, with a comment", "binary 1") == ["build", "src"]


def test_an_edit_with_a_new_output_reaches_the_final_stage() -> None:
    stages = TwoStages()
    stages.build("one", "binary 1")
    assert stages.build("two", "binary 2") == ["build", "final", "src"]


def test_reverting_twice_runs_nothing() -> None:
    stages = TwoStages()
    stages.build("one", "binary 1")
    stages.build("two", "binary 2")
    assert stages.build("one", "binary 1") == []
    assert stages.build("two", "binary 2") == []
    assert stages.build("one", "binary 1") == []


def test_another_flag_with_the_same_output_stops_downstream() -> None:
    stages = TwoStages()
    stages.build("one", "binary 1")
    changed = TwoStages(args=("make", "-j2"), cache=stages.cache)
    assert changed.build("one", "binary 1") == ["build"]


def test_a_stale_product_is_never_copied() -> None:
    """The binary of an earlier build must not come back when the sources go on changing."""
    stages = TwoStages()
    stages.build("one", "binary 1")
    stages.build("two", "binary 2")
    stages.build("three", "binary 1")
    assert stages.build("two", "binary 2") == []
    assert stages.build("four", "binary 3") == ["build", "final", "src"]


def test_a_hit_whose_content_is_gone_is_no_hit() -> None:
    stages = TwoStages()
    stages.build("one", "binary 1")
    kept = [own for own in stages.cache.records.values() if isinstance(own, str)]
    stages.cache.gone.update(kept)
    assert "build" in stages.build("one", "binary 1")


def test_warm_costs_one_look_up_per_step_with_known_inputs() -> None:
    base = vertex(ImageStep(()))
    first = run("first", base)
    second = run("second", first, args=("two",))
    cache = MemoryCache()
    solve(graph_of(base, first, second), executor=FakeExecutor(), cache=cache, reporter=Reporter(), jobs=2)
    cache.asked = 0
    executor = FakeExecutor()
    solve(graph_of(base, first, second), executor=executor, cache=cache, reporter=Reporter(), jobs=2)
    assert (executor.ran, executor.digested, cache.asked) == ([], [], 2)


def test_no_cache_asks_nothing_and_saves_all_the_same() -> None:
    base = vertex(ImageStep(()))
    context = vertex(ContextStep("."))
    cache = MemoryCache()
    graph = graph_of(base, context, copy("src", base, context, no_cache=True))
    for _ in range(2):
        executor = FakeExecutor(contexts={".": "x"})
        solve(graph, executor=executor, cache=cache, reporter=Reporter(), jobs=2)
        assert executor.ran == ["src"]
    assert cache.asked == 0
    assert len(cache.records) == 1


def test_equal_work_is_one_vertex_and_runs_once() -> None:
    base = vertex(ImageStep(()))
    one, same = run("one", base), run("the same under another title", base)
    assert one.id == same.id
    executor = FakeExecutor()
    solve(graph_of(base, one, same), executor=executor, cache=MemoryCache(), reporter=Reporter(), jobs=2)
    assert len(executor.ran) == 1


def test_independent_steps_run_at_once() -> None:
    barrier = threading.Barrier(3, timeout=10)

    class Meeting(FakeExecutor):
        def execute(self, vertex: Vertex, inputs: tuple[Result, ...]) -> Own:
            barrier.wait()
            return super().execute(vertex, inputs)

    base = vertex(ImageStep(()))
    steps = [run(str(i), base, args=(str(i),)) for i in range(3)]
    solve(graph_of(base, *steps), executor=Meeting(), cache=MemoryCache(), reporter=Reporter(), jobs=3)


def test_a_failure_is_located_and_starts_nothing_new() -> None:
    base = vertex(ImageStep(()))
    bad = run("bad", base)
    after = run("after", bad, args=("later",))
    executor = FakeExecutor(fail="bad")
    cache = MemoryCache()
    with pytest.raises(BuildError, match="bad failed") as caught:
        solve(graph_of(base, bad, after), executor=executor, cache=cache, reporter=Reporter(), jobs=2)
    assert caught.value.location is not None
    assert caught.value.location.line == 2
    assert executor.ran == ["bad"]
    assert cache.records == {}


def test_every_field_of_a_step_is_in_its_identity() -> None:
    """A field that is forgotten in the key would show up as two equal IDs."""
    base = vertex(ImageStep(()))
    plain = RunStep(("make",), (), "/", "")
    variants = [
        plain,
        RunStep(("make", ""), (), "/", ""),
        RunStep(("make",), ("A=1",), "/", ""),
        RunStep(("make",), (), "/src", ""),
        RunStep(("make",), (), "/", "app"),
        RunStep(("make",), (), "/", "", network="none"),
        RunStep(("make",), (), "/", "", insecure=True),
        RunStep(("make",), (), "/", "", hostname="x"),
    ]
    names: set[VertexID] = {vertex(step, (base.id,)).id for step in variants}
    assert len(names) == len(variants)


@dataclass
class _Begun(Reporter):
    """The steps that were begun."""

    titles: list[str] = field(default_factory=list)

    def step_started(self, step: str, title: str) -> None:
        self.titles.append(title)


class TestWhoMayRun:
    def graph(self) -> Graph:
        base, context = vertex(ImageStep(())), vertex(ContextStep("."))
        src = copy("src", base, context)
        return graph_of(base, context, src, run("build", src))

    def solve(self, begun: _Begun, cache: MemoryCache, asked: list[str], *, refused: bool = False) -> None:
        def may_run() -> None:
            asked.append(", ".join(begun.titles))
            if refused:
                raise Cancelled

        executor = FakeExecutor(contexts={".": "one"})
        solve(self.graph(), executor=executor, cache=cache, reporter=begun, jobs=4, may_run=may_run)

    def test_it_is_asked_for_before_a_command_begins_and_after_files_were_copied(self) -> None:
        begun, cache, asked = _Begun(), MemoryCache(), list[str]()
        self.solve(begun, cache, asked)
        assert (asked, begun.titles) == (["src"], ["src", "build"])

    def test_nobody_is_asked_for_a_command_that_is_in_the_cache(self) -> None:
        cache, asked = MemoryCache(), list[str]()
        self.solve(_Begun(), cache, asked)
        self.solve(_Begun(), cache, asked)
        assert len(asked) == 1

    def test_where_none_may_run_none_begins(self) -> None:
        begun = _Begun()
        with pytest.raises(Cancelled):
            self.solve(begun, MemoryCache(), [], refused=True)
        assert begun.titles == ["src"]

    def test_nothing_begins_when_all_was_cancelled(self) -> None:
        begun, cancelled = _Begun(), threading.Event()
        cancelled.set()
        executor = FakeExecutor(contexts={".": "one"})
        with pytest.raises(Cancelled):
            solve(self.graph(), executor=executor, cache=MemoryCache(), reporter=begun, jobs=4, cancelled=cancelled)
        assert begun.titles == []
