"""Content-addressed bytes wherever they are: a store, a registry, an archive, memory.

`ContentSource` and `ContentSink` are the two seams; `copy_graph` is pull, push and export in one function;
`VerifyingReader` makes untrusted bytes count only once their size and digest are proven. Knows documents only as far
as they name other content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyoci.content.copy import copy_graph
    from pyoci.content.graph import Graph, read_graph
    from pyoci.content.memory import MemoryContent
    from pyoci.content.protocols import ContentSink, ContentSource
    from pyoci.content.pull_through import PullThrough
    from pyoci.content.successors import successors
    from pyoci.content.verify import VerifyingReader, read_document

__all__ = [
    "ContentSink",
    "ContentSource",
    "Graph",
    "MemoryContent",
    "PullThrough",
    "VerifyingReader",
    "copy_graph",
    "read_document",
    "read_graph",
    "successors",
]

_HOME = {
    "ContentSink": "protocols",
    "ContentSource": "protocols",
    "Graph": "graph",
    "MemoryContent": "memory",
    "PullThrough": "pull_through",
    "VerifyingReader": "verify",
    "copy_graph": "copy",
    "read_document": "verify",
    "read_graph": "graph",
    "successors": "successors",
}


def __getattr__(name: str) -> object:
    """Imports what a name needs when it is first used: a build in which nothing changed moves no content."""
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)
