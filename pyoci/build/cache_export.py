"""Which records of a build other machines can use, and under which keys.

A kept RUN is known here by a name of this store's own, and the keys of what comes after it are made from that name. In
an export it is a layer, and so everything is named anew, from the bottom up, as if each RUN had given its layer at
once: where the records are imported, the same names come about by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pyoci.build.builder import Built
from pyoci.build.cache_key import content_key, identity_key
from pyoci.build.cache_records import CacheRecord
from pyoci.build.filesystem import Filesystem, Result
from pyoci.build.graph import Graph, Vertex, VertexID
from pyoci.build.steps import RunStep, SourceStep
from pyoci.digest import Digest
from pyoci.image.image import Layer
from pyoci.snapshot.protocols import SnapshotID
from pyoci.values import replace

__all__ = ["cache_records"]


def cache_records(
    built: Iterable[Built], *, whole: bool, epoch: int, layer_of: Callable[[SnapshotID], Layer]
) -> list[CacheRecord]:
    """Records of the steps that the images' own layers came from, or with `whole` of all steps.

    `layer_of` makes the layer of a kept RUN, whose latest time is `epoch`. It is called for what the images have
    anyway, and with `whole` for builder stages as well.

    Raises:
        LayerError, ContentError, RegistryError: a layer cannot be made, or its files not be read.
    """
    found: dict[tuple[Digest, ...], CacheRecord] = {}
    for one in built:
        for record in _Export(one, whole, epoch, layer_of).records():
            found.setdefault(record.keys, record)
    return list(found.values())


class _Export:
    """What is exported of one image."""

    def __init__(self, built: Built, whole: bool, epoch: int, layer_of: Callable[[SnapshotID], Layer]) -> None:
        self._built = built
        self._whole = whole
        self._epoch = epoch
        self._layer_of = layer_of
        self._graph = built.plan.graph.needed_for([built.plan.target])
        self._shipped = _shipped(self._graph, built.plan.target)
        self._named: dict[VertexID, Result | None] = {}
        """Results under their names elsewhere; None where a name cannot be had without making a layer."""

    def records(self) -> list[CacheRecord]:
        found = []
        for vertex in self._graph.vertices.values():
            result = self._built.results[vertex.id]
            if isinstance(vertex.step, SourceStep):
                self._named[vertex.id] = result
                continue
            assert isinstance(result, Filesystem)
            inputs = [self._named[name] for name in vertex.inputs]
            layer = self._layer(vertex, result)
            parent = inputs[0]
            if layer is None or parent is None:
                self._named[vertex.id] = None
                continue
            assert isinstance(parent, Filesystem)
            self._named[vertex.id] = replace(result, result_id=parent.plus(layer).result_id)
            keys = self._keys(vertex, parent, inputs) if self._whole or vertex.id in self._shipped else ()
            if keys:
                found.append(CacheRecord(keys, layer, self._epoch if isinstance(vertex.step, RunStep) else None))
        return found

    def _layer(self, vertex: Vertex, result: Filesystem) -> Layer | None:
        own = result.stack[-1]
        if isinstance(own, Layer):
            return own
        return self._layer_of(own) if self._whole or vertex.id in self._shipped else None

    def _keys(self, vertex: Vertex, parent: Filesystem, inputs: Sequence[Result | None]) -> tuple[Digest, ...]:
        """The keys that the solver will ask for, as far as they are known."""
        identity = None
        if None not in inputs:
            identity = identity_key(vertex.step, [one.result_id for one in inputs if one is not None])
        if identity is not None and len(inputs) == 1:
            return (identity,)
        read = []
        for position, one in enumerate(inputs[1:], 1):
            source = one
            if source is None:
                if isinstance(vertex.step, RunStep):  # what a mount shows as a whole goes by its name
                    return (identity,) if identity is not None else ()
                source = self._built.results[vertex.inputs[position]]
            read.append(self._built.executor.read_digest(vertex, position, source))
        content = content_key(vertex.step, parent.result_id, read)
        return (identity, content) if identity is not None else (content,)


def _shipped(graph: Graph, target: VertexID) -> set[VertexID]:
    """The vertices whose layers the image has: those that were added to one another, from the target down."""
    found = set()
    current = target
    while True:
        found.add(current)
        inputs = graph.vertices[current].inputs
        if not inputs:
            return found
        current = inputs[0]
