"""Runs the build graph: inputs first, independent vertices at once, each only if no cache key knows its result.

The algorithm knows neither Dockerfiles nor files: it asks an `Executor` and a `Cache` and tells a `Reporter`.
Cost: one cache look-up per vertex when nothing changed, two when an input did; nothing is executed twice in one build.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from pyoci.build.cache import Cache, Own
from pyoci.build.cache_key import content_key, identity_key
from pyoci.build.filesystem import Filesystem, Result
from pyoci.build.graph import Graph, Vertex, VertexID
from pyoci.build.steps import ContextStep, GitStep, HostStep, HttpStep, ImageStep, RunStep
from pyoci.digest import Digest
from pyoci.errors import Cancelled, PyociError, located
from pyoci.progress import Reporter
from pyoci.values import dataclass

__all__ = ["Executor", "solve"]


class Executor(Protocol):
    """What the solver cannot do itself. Called from several threads at once."""

    def source(self, vertex: Vertex) -> Result:
        """The result of a step without inputs."""

    def read_digest(self, vertex: Vertex, position: int, source: Result) -> Digest:
        """The digest of everything that the step reads from the input at `position` (not the first)."""

    def execute(self, vertex: Vertex, inputs: tuple[Result, ...]) -> Own:
        """Carries the step out; returns what it adds to its first input."""


@dataclass(slots=True)
class _State:
    """What changes while one graph is solved. Guarded by `lock`; `done` wakes the scheduler."""

    results: dict[VertexID, Result]
    lock: threading.Lock
    done: queue.SimpleQueue[tuple[Vertex, _Outcome | None, BaseException | None]]


@dataclass(frozen=True, slots=True)
class _Outcome:
    result: Result
    is_new: bool
    """The step was carried out; it was not in the cache, and is no source."""


def solve(
    graph: Graph,
    *,
    executor: Executor,
    cache: Cache,
    reporter: Reporter,
    jobs: int,
    cancelled: threading.Event | None = None,
    may_run: Callable[[], None] = lambda: None,
    finished: Callable[[Vertex, Result, bool], None] = lambda vertex, result, is_new: None,
) -> Mapping[VertexID, Result]:
    """The result of every vertex. `finished` hears of each when it is known, in the caller's thread, and whether its
    step was carried out for it. `may_run` is asked before a RUN begins that is not in the cache; it waits, and raises
    where none may run.

    Raises:
        Cancelled: `cancelled` was set.
        PyociError: of the first vertex that failed, located at its instruction. Vertices under way are waited for, and
            no new one starts.
    """
    cancelled = cancelled or threading.Event()
    state = _State({}, threading.Lock(), queue.SimpleQueue())
    waiting = {name: set(vertex.inputs) for name, vertex in graph.vertices.items()}
    users = _users(graph)
    ready = [name for name, inputs in waiting.items() if not inputs]
    slots = threading.BoundedSemaphore(jobs)
    under_way = 0
    failure: BaseException | None = None
    while ready or under_way:
        if cancelled.is_set():
            failure = failure or Cancelled()
        while ready and failure is None:
            vertex = graph.vertices[ready.pop(0)]
            under_way += 1
            _start(vertex, state, executor, cache, reporter, may_run, slots)
        if not under_way:
            break
        try:
            vertex, outcome, error = state.done.get()
        except KeyboardInterrupt as interrupt:
            cancelled.set()
            failure = failure or interrupt
            continue
        under_way -= 1
        if error is not None or outcome is None:
            failure = failure or error
            continue
        state.results[vertex.id] = outcome.result
        finished(vertex, outcome.result, outcome.is_new)
        for user in users[vertex.id]:
            waiting[user].discard(vertex.id)
            if not waiting[user]:
                ready.append(user)
    if isinstance(failure, KeyboardInterrupt):
        raise Cancelled() from failure
    if failure is not None:
        raise failure
    return state.results


def _users(graph: Graph) -> dict[VertexID, list[VertexID]]:
    """The vertices that each vertex is an input of."""
    users: dict[VertexID, list[VertexID]] = {name: [] for name in graph.vertices}
    for name, vertex in graph.vertices.items():
        for source in set(vertex.inputs):
            users[source].append(name)
    return users


def _start(
    vertex: Vertex,
    state: _State,
    executor: Executor,
    cache: Cache,
    reporter: Reporter,
    may_run: Callable[[], None],
    slots: threading.BoundedSemaphore,
) -> None:
    inputs = tuple(state.results[name] for name in vertex.inputs)

    def work() -> None:
        try:
            with slots, located(vertex.location):
                outcome = _result(vertex, inputs, executor, cache, reporter, may_run)
        except BaseException as error:  # handed to the scheduler, which raises it
            if isinstance(error, PyociError):
                reporter.step_failed(vertex.id, error.message)
            state.done.put((vertex, None, error))
        else:
            state.done.put((vertex, outcome, None))

    threading.Thread(target=work, name=f"step-{vertex.id[:8]}", daemon=True).start()


def _result(
    vertex: Vertex,
    inputs: tuple[Result, ...],
    executor: Executor,
    cache: Cache,
    reporter: Reporter,
    may_run: Callable[[], None],
) -> _Outcome:
    if isinstance(vertex.step, ImageStep | HostStep | ContextStep | HttpStep | GitStep):
        return _Outcome(executor.source(vertex), is_new=False)
    parent = inputs[0]
    assert isinstance(parent, Filesystem)
    identity = identity_key(vertex.step, [source.result_id for source in inputs])
    content: Digest | None = None
    if identity is not None and not vertex.no_cache:
        own = cache.get(identity)
        if own is not None:
            reporter.step_cached(vertex.id, vertex.title)
            return _Outcome(parent.plus(own), is_new=False)
    if len(inputs) > 1 or identity is None:
        read = [executor.read_digest(vertex, position, inputs[position]) for position in range(1, len(inputs))]
        content = content_key(vertex.step, parent.result_id, read)
        own = None if vertex.no_cache else cache.get(content)
        if own is not None:
            if identity is not None:
                cache.put(identity, own)
            reporter.step_cached(vertex.id, vertex.title)
            return _Outcome(parent.plus(own), is_new=False)
    if isinstance(vertex.step, RunStep):
        may_run()
    reporter.step_started(vertex.id, vertex.title)
    own = executor.execute(vertex, inputs)
    for key in (identity, content):
        if key is not None:
            cache.put(key, own)
    reporter.step_done(vertex.id)
    return _Outcome(parent.plus(own), is_new=True)
