"""A text with expressions in it, and where each of its parts stands in the file that it is from."""

from __future__ import annotations

import bisect
import re

from pyoci.location import Location, SourceFile

__all__ = ["Passage"]


class Passage:
    """A whole file, or a text that a file gives in other words: a string of JSON, all of which is in one place."""

    def __init__(self, source: SourceFile, text: str | None = None, place: Location | None = None) -> None:
        """`text` with `place` is a text that stands there; without them it is the file itself."""
        self.source = source
        self.text = source.text if text is None else text
        self._place = place
        self._lines = [0, *(found.end() for found in re.finditer("\n", self.text))]

    def place(self, start: int, end: int) -> Location:
        """Where the characters from `start` up to `end` stand; the rest of the line if they go over its end."""
        if self._place is not None:
            return self._place
        line = bisect.bisect_right(self._lines, start)
        length = 0 if "\n" in self.text[start:end] else max(end - start, 1)
        return Location(self.source, line, start - self._lines[line - 1] + 1, length)
