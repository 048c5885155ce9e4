"""Which programs this machine executes: its own, those of a narrower mode of its processor, and what is emulated."""

from __future__ import annotations

from pathlib import Path

from pyoci.platforms import Platform

__all__ = ["can_run"]

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_NATIVE = {"amd64": {"386"}, "arm64": {"arm"}}
_QEMU = {
    "amd64": "x86_64",
    "386": "i386",
    "arm64": "aarch64",
    "loong64": "loongarch64",
    "mips64le": "mips64el",
    "mipsle": "mipsel",
}


def can_run(platform: Platform, here: Platform, binfmt: Path = _BINFMT) -> bool:
    """Whether a RUN for `platform` can execute here, by itself or by binfmt_misc.

    An emulator must be registered with the flag F: it is not in the root file system of the RUN.
    """
    if platform.os != here.os:
        return False
    if platform.architecture == here.architecture or platform.architecture in _NATIVE.get(here.architecture, ()):
        return True
    try:
        text = (binfmt / f"qemu-{_QEMU.get(platform.architecture, platform.architecture)}").read_text()
    except OSError:
        return False
    return text.startswith("enabled") and any(line.startswith("flags:") and "F" in line for line in text.splitlines())
