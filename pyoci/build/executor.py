"""From a step to the operation that carries it out (DESIGN D8): the one `match` over kinds of steps.

Holds what operations work with and what one build remembers: contexts as they are listed once, selections as they are
made once, since the key and the copy ask for the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import assert_never

from pyoci.build.cache import Own
from pyoci.build.cache_key import structural_digest
from pyoci.build.fetcher import Fetcher
from pyoci.build.files import FileView
from pyoci.build.filesystem import SCRATCH, Filesystem, Result, SourceFiles
from pyoci.build.graph import Graph, Vertex, VertexID
from pyoci.build.host import refuse_shown, survey, toolchain_identity
from pyoci.build.layers import write_changes
from pyoci.build.operations.add import place_archive
from pyoci.build.operations.copy import Placement, place_inline, place_selection
from pyoci.build.operations.destination import Destination
from pyoci.build.operations.run import RunServices, run_command
from pyoci.build.operations.selection import Selection, select, selection_digest
from pyoci.build.operations.users import chown_ids
from pyoci.build.operations.workdir import make_workdir
from pyoci.build.steps import (
    BindMountStep,
    CacheMountStep,
    ContextStep,
    CopySource,
    CopyStep,
    GitStep,
    HostStep,
    HttpStep,
    ImageStep,
    RunStep,
    WorkdirStep,
)
from pyoci.digest import Digest
from pyoci.dockerfile.chmod import parse_mode
from pyoci.dockerfile.comments import trailing_comment_error
from pyoci.errors import BuildError, LayerError, PyociError, SandboxError, located, raise_collected
from pyoci.image.image import Layer
from pyoci.layer.entry import Upsert
from pyoci.layer.tree import Tree
from pyoci.progress import Reporter
from pyoci.values import dataclass, field, replace

__all__ = ["StepExecutor"]


@dataclass(slots=True)
class StepExecutor:
    """Implements the solver's `Executor` for one build."""

    services: RunServices
    contexts: Mapping[str, SourceFiles]
    """By name; `.` is the build context."""
    fetcher: Fetcher
    reporter: Reporter
    _selections: dict[tuple[VertexID, int], list[Selection]] = field(default_factory=dict)
    _read: dict[tuple[VertexID, int], Digest] = field(default_factory=dict)
    """What COPY reads, by input. It is asked for again when records are exported, and files may change until then."""
    _below_run: set[VertexID] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def source(self, vertex: Vertex) -> Result:
        step = vertex.step
        match step:
            case ImageStep():
                filesystem = SCRATCH
                for layer in step.layers:
                    filesystem = filesystem.plus(layer)
                return filesystem
            case HostStep():
                return self._host(step)
            case ContextStep():
                return self.contexts[step.name]
            case HttpStep():
                return self.fetcher.http(step)
            case GitStep():
                return self.fetcher.git(step)
            case _:
                raise AssertionError(f"{type(step).__name__} is no source")

    def _host(self, step: HostStep) -> Filesystem:
        machine = survey(step.directories, epoch=step.epoch)
        changes = [Upsert(entry) for entry in machine.entries]
        layer = write_changes(changes, machine.open, self.services.store, epoch=step.epoch)
        return Filesystem((layer,), toolchain_identity(step.directories, machine), machine.mounts)

    def look_ahead(self, graph: Graph) -> None:
        """Notes which steps a RUN comes after: if they are executed, so will it be, and it needs their base on disk."""
        for vertex in graph.vertices.values():
            below = vertex.inputs[0] if isinstance(vertex.step, RunStep) else None
            while below is not None and below not in self._below_run:
                self._below_run.add(below)
                below = next(iter(graph.vertices[below].inputs), None)

    def check_contexts(self, graph: Graph) -> None:
        """Selects what every COPY and ADD takes from contexts, so that a missing file is known before anything runs.

        Raises:
            BuildError: located at the source.
        """
        problems: list[PyociError] = []
        for vertex in graph.vertices.values():
            if isinstance(vertex.step, CopyStep):
                try:
                    self._check_sources(vertex, vertex.step, graph)
                except PyociError as error:
                    problems.append(error)
        raise_collected(problems)

    def _check_sources(self, vertex: Vertex, step: CopyStep, graph: Graph) -> None:
        for number, source in enumerate(step.sources):
            origin = graph.vertices[vertex.inputs[source.input]].step
            if isinstance(origin, ContextStep):
                with located(vertex.location):
                    self._select(vertex, number, self.contexts[origin.name])

    def _select(self, vertex: Vertex, number: int, origin: Result) -> list[Selection]:
        step = vertex.step
        assert isinstance(step, CopyStep)
        key = (vertex.id, number)
        with self._lock:
            known = self._selections.get(key)
        if known is None:
            location = vertex.word_locations[number] if number < len(vertex.word_locations) else None
            files = self._files(origin)
            try:
                with located(location):
                    if isinstance(origin, Filesystem):
                        refuse_shown(step.sources[number], files, origin.mounts)
                    known = select(step, step.sources[number], files)
            except BuildError:
                if vertex.trailing_comment is not None:
                    keyword = vertex.title.partition("] ")[2].partition(" ")[0]
                    raise trailing_comment_error(keyword, vertex.trailing_comment) from None
                raise
            with self._lock:
                self._selections[key] = known
        return known

    def _files(self, source: Result) -> FileView:
        return source.files if isinstance(source, SourceFiles) else self.services.trees.of(source)

    def read_digest(self, vertex: Vertex, position: int, source: Result) -> Digest:
        step = vertex.step
        match step:
            case CopyStep():
                key = (vertex.id, position)
                with self._lock:
                    known = self._read.get(key)
                if known is None:
                    known = self._copied_digest(vertex, step, position, source)
                    with self._lock:
                        self._read[key] = known
                return known
            case RunStep():
                return self._mount_digest(step, position, source)
            case _:
                return structural_digest(source.result_id)

    def _copied_digest(self, vertex: Vertex, step: CopyStep, position: int, source: Result) -> Digest:
        chosen: list[Selection] = []
        for number, argument in enumerate(step.sources):
            if argument.input == position:
                chosen.extend(self._select(vertex, number, source))
        times = isinstance(source, SourceFiles) and source.keeps_times
        return selection_digest(chosen, self._files(source), times=times)

    def _mount_digest(self, step: RunStep, position: int, source: Result) -> Digest:
        """Of what the mounts of a RUN show of an input: one directory by content, the whole by its identity."""
        binds = [mount for mount in step.mounts if isinstance(mount, BindMountStep | CacheMountStep)]
        shown = sorted({m.source if isinstance(m, BindMountStep) else "" for m in binds if m.input == position})
        if "" in shown or source.result_id is None:
            return structural_digest(source.result_id)
        files = self._files(source)
        probe = CopyStep((), "/")
        digests = [selection_digest(select(probe, CopySource(position, p, pattern=False), files), files) for p in shown]
        return structural_digest(digests)

    def execute(self, vertex: Vertex, inputs: tuple[Result, ...]) -> Own:
        step = vertex.step
        parent = inputs[0]
        assert isinstance(parent, Filesystem)
        match step:
            case RunStep():
                output = self._output(vertex)
                return run_command(step, inputs, self.services, output)
            case CopyStep():
                self._read_base(parent, vertex)
                return self._copy(vertex, step, parent, inputs)
            case WorkdirStep():
                self._read_base(parent, vertex)
                return self._layer(make_workdir(step, self.services.trees.of(parent), self._warn(vertex)), step.epoch)
            case ImageStep() | HostStep() | ContextStep() | HttpStep() | GitStep():
                raise AssertionError(f"{type(step).__name__} has no file system below it")
            case _:
                assert_never(step)

    def _read_base(self, parent: Filesystem, vertex: Vertex) -> None:
        """Reads layers that nobody has read yet by unpacking them, where a RUN will need them unpacked: so each is
        decompressed once, while it arrives.
        """
        known = self.services.trees.has_index
        if vertex.id in self._below_run and not all(known(one) for one in parent.stack if isinstance(one, Layer)):
            with suppress(SandboxError, LayerError):  # said by the step that cannot do without
                self.services.snapshotter.unpack(parent.stack)

    def _warn(self, vertex: Vertex) -> Callable[[str], None]:
        return lambda text: self.reporter.warning(text, location=vertex.location)

    def _output(self, vertex: Vertex) -> Callable[[bytes], None]:
        return lambda data: self.reporter.step_output(vertex.id, data)

    def _copy(self, vertex: Vertex, step: CopyStep, parent: Filesystem, inputs: tuple[Result, ...]) -> Layer:
        tree = Tree() if step.link else self.services.trees.of(parent)
        owners = self.services.trees.of(parent) if step.chown and not step.link else tree
        placement = Placement(
            chown_ids(owners, step.chown, self._warn(vertex)) if step.chown else None,
            parse_mode(step.chmod) if step.chmod else None,
            step.epoch,
        )
        to = Destination(tree)
        spool = self.services.store.root / "tmp"
        for number, source in enumerate(step.sources):
            origin = inputs[source.input]
            files = self._files(origin)
            placement = replace(placement, keep_times=isinstance(origin, SourceFiles) and origin.keeps_times)
            for selection in self._select(vertex, number, origin):
                if source.unpack and place_archive(selection, files, step, to, placement, spool):
                    continue
                place_selection(selection, files, step, to, placement)
        placement = replace(placement, keep_times=False)
        for file in step.inline:
            place_inline(file, step, to, placement)
        return self._layer(to, step.epoch)

    def _layer(self, to: Destination, epoch: int) -> Layer:
        store = self.services.store
        with to.opened(store.root / "tmp") as open_content:
            return write_changes(to.changes(), open_content, store, epoch=epoch, indexed=True)
