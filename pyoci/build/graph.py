"""The build graph: vertices that hold a step and name their inputs. Equal work has equal IDs, so it is there once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NewType

from pyoci.build.cache_key import structural_digest
from pyoci.build.steps import Step
from pyoci.digest import digest_hex
from pyoci.location import Location
from pyoci.values import dataclass, field

__all__ = ["Graph", "Vertex", "VertexID", "vertex"]

VertexID = NewType("VertexID", str)


@dataclass(frozen=True, slots=True)
class Vertex:
    """A step with its inputs. What merely accompanies the work is not in its ID."""

    id: VertexID
    step: Step
    inputs: tuple[VertexID, ...]
    title: str = field(default="", compare=False)
    """What the user reads: `[builder 2/4] RUN go build`."""
    location: Location | None = field(default=None, compare=False)
    word_locations: tuple[Location, ...] = field(default=(), compare=False)
    """Of the sources of COPY and ADD, for errors that are about one of them."""
    trailing_comment: Location | None = field(default=None, compare=False)
    """Of what looks like a comment behind the instruction, where docker takes it for sources."""
    no_cache: bool = field(default=False, compare=False)
    """The cache is not asked for this vertex; what it makes is saved all the same."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Vertices by ID, each after its inputs."""

    vertices: Mapping[VertexID, Vertex]

    def needed_for(self, targets: Iterable[VertexID]) -> Graph:
        """The vertices that the targets are made from, and they themselves."""
        needed: set[VertexID] = set()
        waiting = list(targets)
        while waiting:
            current = waiting.pop()
            if current not in needed:
                needed.add(current)
                waiting.extend(self.vertices[current].inputs)
        return Graph({key: value for key, value in self.vertices.items() if key in needed})


def vertex(
    step: Step,
    inputs: tuple[VertexID, ...] = (),
    *,
    title: str = "",
    location: Location | None = None,
    word_locations: tuple[Location, ...] = (),
    trailing_comment: Location | None = None,
    no_cache: bool = False,
) -> Vertex:
    """A vertex whose ID is the digest of its step and inputs."""
    name = VertexID(digest_hex(structural_digest(["vertex", step, list(inputs)]))[:32])
    return Vertex(name, step, inputs, title, location, word_locations, trailing_comment, no_cache)
