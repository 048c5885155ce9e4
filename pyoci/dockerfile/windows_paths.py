"""Paths of images for Windows: with either slash, on the system drive, whose letter is left out.

Behaviour: BuildKit, which thinks in slashes as well, knows no other drive than C:, and writes the config's WorkingDir
with backslashes and no letter.
"""

from __future__ import annotations

from pyoci.errors import DockerfileError

__all__ = ["is_absolute", "with_backslashes", "without_drive"]


def without_drive(path: str) -> str:
    """The path with slashes, without `C:`; relative if it was (`C:sub` is).

    Raises:
        DockerfileError: another drive, a drive alone, or a share.
    """
    slashed = path.replace("\\", "/")
    if slashed.startswith("//"):
        raise DockerfileError(f'"{path}" is on no drive', hint="shares (UNC paths) cannot be used in an image")
    drive, colon, rest = slashed.partition(":")
    if not colon:
        return slashed
    if len(path) == 2:
        raise DockerfileError(f'"{path}" names a drive and nothing on it', hint=f"write {path}/ for its root")
    if drive.lower() != "c":
        raise DockerfileError(f'"{path}" is not on the system drive', hint="an image for Windows has C: alone")
    return rest


def with_backslashes(path: str) -> str:
    """A path that has slashes, as Windows has it."""
    return path.replace("/", "\\")


def is_absolute(path: str) -> bool:
    """Whether the path starts at the root; what cannot be used does not."""
    try:
        return without_drive(path).startswith("/")
    except DockerfileError:
        return False
