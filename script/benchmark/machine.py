"""The machine that figures were taken on, as far as they depend on it; nothing that names it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Machine", "describe"]


@dataclass(frozen=True, slots=True)
class Machine:
    """`versions` are those of the tools and of what they all use."""

    processor: str
    cores: int
    memory_bytes: int
    kernel: str
    file_system: str
    system: str
    python: str
    versions: dict[str, str]

    def lines(self) -> list[tuple[str, str]]:
        """What it is, and the value as a person reads it."""
        return [
            ("processor", f"{self.processor}, {self.cores} cores"),
            ("memory", f"{self.memory_bytes / 2**30:.1f} GiB"),
            ("system", f"{self.system}, Linux {self.kernel}, {self.file_system}"),
            ("Python", self.python),
            *self.versions.items(),
        ]


def describe(work: Path, versions: dict[str, str]) -> Machine:
    """This machine; the file system is that of the directory `work`."""
    memory = field_of(Path("/proc/meminfo"), "MemTotal").removesuffix(" kB")
    return Machine(
        processor=field_of(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=int(memory) * 1024,
        kernel=os.uname().release,
        file_system=file_system_of(work.resolve(), Path("/proc/self/mounts").read_text()),
        system=platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
        python=platform.python_version(),
        versions=versions,
    )


def field_of(path: Path, name: str) -> str:
    """The value behind `name:` in a file of /proc; empty where there is none."""
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def file_system_of(directory: Path, mounts: str) -> str:
    """The type of the file system that a directory is on, given the text of /proc/self/mounts."""
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        _, point, found, *_ = line.split()
        if directory.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, found
    return kind
