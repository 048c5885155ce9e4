"""An executor over made-up file systems: says what ran, and lets a test decide what comes out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyoci.build.cache import Own
from pyoci.build.cache_key import structural_digest
from pyoci.build.files import FileView
from pyoci.build.filesystem import SCRATCH, Result, SourceFiles
from pyoci.build.graph import Vertex
from pyoci.build.steps import ContextStep, RunStep
from pyoci.digest import DiffID, Digest
from pyoci.errors import BuildError
from pyoci.image import Descriptor, Layer
from pyoci.layer.tree import Tree

__all__ = ["FakeExecutor", "MemoryCache", "layer_of"]


def layer_of(content: str) -> Layer:
    """A layer that stands for some content."""
    digest = structural_digest(content)
    return Layer(Descriptor("application/vnd.oci.image.layer.v1.tar", digest, 1), DiffID(digest))


@dataclass
class MemoryCache:
    """Records in a dict. `gone` is what a garbage collector took."""

    records: dict[Digest, Own] = field(default_factory=dict)
    gone: set[Own] = field(default_factory=set)
    asked: int = 0

    def get(self, key: Digest) -> Own | None:
        self.asked += 1
        own = self.records.get(key)
        return None if own in self.gone else own

    def put(self, key: Digest, own: Own) -> None:
        self.records[key] = own


@dataclass
class FakeExecutor:
    """`contexts` holds what stands in each context; `outputs` what each step makes of it, by title."""

    contexts: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    fail: str = ""
    ran: list[str] = field(default_factory=list)
    digested: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _runs: int = 0

    def source(self, vertex: Vertex) -> Result:
        if isinstance(vertex.step, ContextStep):
            files: FileView = Tree()
            return SourceFiles(files, None)
        return SCRATCH

    def read_digest(self, vertex: Vertex, position: int, source: Result) -> Digest:
        with self._lock:
            self.digested.append(vertex.title)
        if isinstance(source, SourceFiles):
            return structural_digest(self.contexts["."])
        own = source.stack[-1]
        return own.diff_id if isinstance(own, Layer) else structural_digest(self.outputs[f"snapshot {own}"])

    def execute(self, vertex: Vertex, inputs: tuple[Result, ...]) -> Own:
        with self._lock:
            self.ran.append(vertex.title)
            self._runs += 1
        if vertex.title == self.fail:
            raise BuildError(f"{vertex.title} failed")
        if isinstance(vertex.step, RunStep):
            return f"{vertex.title}-{id(self)}-{self._runs}"
        return layer_of(self.outputs.get(vertex.title, self.contexts.get(".", "")))
