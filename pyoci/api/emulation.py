"""Which programs this machine executes: its own, those of a narrower mode of its processor, and what is emulated.

Emulators are registered with the kernel (Documentation/admin-guide/binfmt-misc.rst): a pattern of a file's first bytes,
and the program that such files are handed to. Nothing depends on what an entry is called.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pyoci.api.smallest_programs import ARCHITECTURES, elf_header, smallest_program
from pyoci.platforms import Platform
from pyoci.values import dataclass

__all__ = ["Emulator", "can_run", "registered_emulators"]

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_NATIVE = {"amd64": {"386"}, "arm64": {"arm"}}
_PATIENCE_SECONDS = 20
"""An emulator on a busy machine takes a second to start."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """One enabled entry of binfmt_misc that takes ELF files of some processor."""

    name: str
    interpreter: str
    flags: str
    architectures: tuple[str, ...]
    """GOARCH names."""

    @property
    def is_fixed(self) -> bool:
        """Whether the kernel keeps it open (flag F): in the root file system of a RUN it is not to be found."""
        return "F" in self.flags


def can_run(platform: Platform, here: Platform, *, scratch: Path, binfmt: Path = _BINFMT) -> bool:
    """Whether a RUN for `platform` can execute here, by itself or by emulation.

    Where the registrations cannot be seen, as in containers, it is tried: with a program below `scratch`.
    """
    if platform.os != here.os:
        return False
    wanted = platform.architecture
    if wanted == here.architecture or wanted in _NATIVE.get(here.architecture, ()):
        return True
    if wanted not in ARCHITECTURES:
        return False
    if (binfmt / "status").exists():
        return any(one.is_fixed for one in registered_emulators(binfmt) if wanted in one.architectures)
    return _executes(wanted, scratch)


def registered_emulators(binfmt: Path = _BINFMT) -> tuple[Emulator, ...]:
    """The emulators that the kernel knows, by name; none where that cannot be seen."""
    return tuple(_entries(binfmt))


def _entries(binfmt: Path) -> Iterator[Emulator]:
    try:
        if (binfmt / "status").read_text().strip() != "enabled":
            return
        names = sorted(path.name for path in binfmt.iterdir() if path.name not in ("status", "register"))
    except OSError:
        return
    for name in names:
        with suppress(OSError, ValueError):
            first, *lines = (binfmt / name).read_text().splitlines()
            fields = {line.partition(" ")[0].rstrip(":"): line.partition(" ")[2] for line in lines}
            if first == "enabled" and "magic" in fields:
                takes = tuple(one for one in sorted(ARCHITECTURES) if _matches(elf_header(one), fields))
                if takes:
                    yield Emulator(name, fields["interpreter"], fields.get("flags", ""), takes)


def _matches(header: bytes, fields: dict[str, str]) -> bool:
    """As the kernel compares: those bits that the mask has, from the offset on."""
    magic = bytes.fromhex(fields["magic"])
    mask = bytes.fromhex(fields["mask"]) if "mask" in fields else b"\xff" * len(magic)
    start = int(fields.get("offset", "0"))
    part = header[start : start + len(magic)]
    return len(part) == len(magic) and all((a ^ b) & m == 0 for a, b, m in zip(part, magic, mask, strict=True))


def _executes(architecture: str, scratch: Path) -> bool:
    """Whether the smallest program of a processor runs here."""
    import subprocess  # most builds are for this machine

    path = scratch / f"smallest-{architecture}.{os.getpid()}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
        try:
            os.write(descriptor, smallest_program(architecture))
        finally:
            os.close(descriptor)
        done = subprocess.run(
            [str(path)], env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        with suppress(OSError):
            path.unlink()
    return done.returncode == 0
