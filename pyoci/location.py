"""Places in text that the user wrote, so that an error can point at them.

Knows nothing of what the text means.
"""

from __future__ import annotations

from pyoci.values import dataclass, field

__all__ = ["Location", "SourceFile"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A text as it was parsed, kept so that an excerpt shows what was really read (also for `-f -`)."""

    name: str
    """As the user typed it: `Dockerfile`, `build/Dockerfile`, `-`."""
    text: str = field(repr=False)
    """Decoded as UTF-8 with `surrogateescape`, without a byte order mark; line ends as they were."""

    def line(self, number: int) -> str:
        """The text of a 1-based line, without its line end; empty beyond the last one."""
        lines = self.text.split("\n")
        if not 1 <= number <= len(lines):
            return ""
        return lines[number - 1].removesuffix("\r")


@dataclass(frozen=True, slots=True)
class Location:
    """A span inside one source file. Lines and columns count from 1, columns in code points."""

    source: SourceFile
    line: int
    column: int = 1
    length: int = 0
    """Code points to underline on `line`; 0 underlines to the end of the line."""
    end_line: int = 0
    """Last line of the construct (an instruction with continuations); 0 means `line`."""

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    @property
    def last_line(self) -> int:
        return self.end_line or self.line
