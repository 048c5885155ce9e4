"""Which processor an ELF file is for, in the words of platforms, and whether an image's platform executes it.

Spec: the e_machine values of the System V ABI; GOARCH names; image-spec config.md for variants.
"""

from __future__ import annotations

from typing import Literal

from pyoci.platforms import Platform
from pyoci.preflight.file_facts import ElfFacts

__all__ = ["Fit", "architecture_of", "fit", "same_machine"]

Fit = Literal["same", "compatible", "foreign"]
"""`compatible`: a 32-bit program for a 64-bit processor, which some kernels and processors run."""

_MACHINES = {
    (3, 32, True): "386",
    (62, 64, True): "amd64",
    (62, 32, True): "x32",
    (40, 32, True): "arm",
    (40, 32, False): "armbe",
    (183, 64, True): "arm64",
    (183, 64, False): "arm64be",
    (8, 32, False): "mips",
    (8, 32, True): "mipsle",
    (8, 64, False): "mips64",
    (8, 64, True): "mips64le",
    (20, 32, False): "ppc",
    (21, 64, False): "ppc64",
    (21, 64, True): "ppc64le",
    (22, 64, False): "s390x",
    (22, 32, False): "s390",
    (43, 64, False): "sparc64",
    (243, 64, True): "riscv64",
    (243, 32, True): "riscv",
    (258, 64, True): "loong64",
}
_COMPATIBLE = {("386", "amd64"), ("x32", "amd64"), ("arm", "arm64"), ("ppc", "ppc64"), ("s390", "s390x")}


def architecture_of(elf: ElfFacts) -> str:
    """The GOARCH name of an ELF file's processor, or its number."""
    return _MACHINES.get((elf.machine, elf.bits, elf.little_endian), f"ELF machine {elf.machine} ({elf.bits}-bit)")


def fit(elf: ElfFacts, platform: Platform) -> Fit:
    """How a file goes with a normalised platform."""
    mine, wanted = architecture_of(elf), platform.architecture
    if mine == wanted:
        return "same"
    return "compatible" if (mine, wanted) in _COMPATIBLE else "foreign"


def same_machine(one: ElfFacts, other: ElfFacts) -> bool:
    """Whether two files can be in one process."""
    return (one.machine, one.bits, one.little_endian) == (other.machine, other.bits, other.little_endian)
