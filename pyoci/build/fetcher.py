"""The seam to what fetches: files that ADD and contexts take from the network."""

from __future__ import annotations

from typing import Protocol

from pyoci.build.filesystem import SourceFiles
from pyoci.build.steps import GitStep, HttpStep

__all__ = ["Fetcher"]


class Fetcher(Protocol):
    """Gives the files of network sources. Called from several threads at once.

    A result's ID says what it holds, so that what was made of it is found in the cache. What is pinned by a checksum is
    fetched when its files are first looked at, and never if they are not.
    """

    def http(self, step: HttpStep) -> SourceFiles:
        """A tree with one file.

        Raises:
            BuildError, ContentError: it cannot be had, or is not what its checksum says.
        """

    def git(self, step: GitStep) -> SourceFiles:
        """A checkout.

        Raises:
            BuildError: it cannot be had, or its commit is another one.
        """
