"""Content-addressed bytes wherever they are: a store, a registry, an archive, memory.

`ContentSource` and `ContentSink` are the two seams; `copy_graph` is pull, push and export in one function; `verified` makes
untrusted bytes count only once their size and digest are proven. Knows documents only as far as they name other content.
"""

from pyoci.content.copy import copy_graph
from pyoci.content.memory import MemoryContent
from pyoci.content.protocols import ContentSink, ContentSource
from pyoci.content.pull_through import PullThrough
from pyoci.content.successors import successors
from pyoci.content.verify import VerifyingReader, read_document

__all__ = [
    "ContentSink",
    "ContentSource",
    "MemoryContent",
    "PullThrough",
    "VerifyingReader",
    "copy_graph",
    "read_document",
    "successors",
]
