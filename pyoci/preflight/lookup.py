"""Finding a program by its name, as runtimes and shells do it: through PATH, or from the working directory."""

from __future__ import annotations

from pyoci.preflight.access import Reached, may_execute
from pyoci.preflight.subject import Subject
from pyoci.values import dataclass

__all__ = ["Located", "find_in_path", "locate"]


@dataclass(frozen=True, slots=True)
class Located:
    """Where a name led."""

    reached: Reached | None
    """The first file in PATH that the user may execute, or wherever a name with a slash leads."""
    refused: Reached | None = None
    """The first one in PATH that is there and that the user may not execute."""


def locate(subject: Subject, word: str) -> Located:
    """Where the first word of a command leads."""
    return Located(subject.reach(word)) if "/" in word else find_in_path(subject, word)


def find_in_path(subject: Subject, name: str) -> Located:
    """The program of that name in PATH. The working directory is not searched, unless PATH says so."""
    if "/" in name:
        return Located(subject.reach(name))
    refused = None
    for directory in subject.search_path.split(":"):
        reached = subject.reach(f"{directory or '.'}/{name}")
        entry = reached.entry
        if reached.obstacle == "elsewhere":
            return Located(reached)
        if reached.obstacle == "not searchable" and refused is None and subject.exists(f"{directory}/{name}"):
            refused = reached
        if reached.obstacle is not None or entry is None or entry.type == "dir":
            continue
        if may_execute(entry, subject.account):
            return Located(reached)
        refused = refused or reached
    return Located(None, refused)
