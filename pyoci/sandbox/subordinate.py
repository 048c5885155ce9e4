"""Ranges of subordinate IDs that a user was given. Source: subuid(5)."""

from __future__ import annotations

from pathlib import Path

from pyoci.errors import SandboxError

__all__ = ["own_ranges", "subordinate_ranges"]


def subordinate_ranges(path: Path, user: str, number: int) -> list[tuple[int, int]]:
    """First ID and count of every range that the file gives to a user, by name or number; none where there is no file.

    Raises:
        SandboxError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SandboxError(f'cannot read "{path}": {error.strerror}') from error
    ranges = []
    for line in text.splitlines():
        owner, *numbers = line.strip().split(":")
        if owner in (user, str(number)) and len(numbers) == 2 and all(part.isdigit() for part in numbers):
            first, count = map(int, numbers)
            if count:
                ranges.append((first, count))
    return ranges


def own_ranges(uid_map: str) -> list[tuple[int, int]]:
    """First ID and count of what exists in a user namespace, from its own uid_map or gid_map (user_namespaces(7))."""
    lines = [line.split() for line in uid_map.splitlines()]
    return [(int(fields[0]), int(fields[2])) for fields in lines if len(fields) == 3]
