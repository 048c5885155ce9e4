"""The smallest program of each processor: an ELF file that does nothing but exit with status 0.

Spec: System V ABI, chapter 5 (one loadable segment); the instructions are `exit(0)` by the Linux system call convention
of each processor (syscall(2)).
"""

from __future__ import annotations

import struct

__all__ = ["ARCHITECTURES", "elf_header", "smallest_program"]

_LOAD_ADDRESS = 0x10000
_PAGE = 0x10000
"""The largest page that any of them has."""
_EXECUTABLE = 2

ARCHITECTURES: dict[str, tuple[int, bool, int, int, str]] = {
    "386": (32, True, 3, 0, "31db b801000000 cd80"),
    "amd64": (64, True, 62, 0, "31ff b83c000000 0f05"),
    "arm": (32, True, 40, 0x05000000, "0000a0e3 0170a0e3 000000ef"),
    "arm64": (64, True, 183, 0, "000080d2 a80b80d2 010000d4"),
    "loong64": (64, True, 258, 0, "04008002 0b748102 00002b00"),
    "mips64le": (64, True, 8, 0x60000000, "c2130224 25200000 0c000000"),
    "ppc64le": (64, True, 21, 2, "01000038 00006038 02000044"),
    "riscv64": (64, True, 243, 0, "13050000 9308d005 73000000"),
    "s390x": (64, False, 22, 0, "a7290000 0a01"),
}
"""Word size in bits, whether it is little-endian, e_machine, e_flags, and the instructions, by GOARCH name."""


def elf_header(architecture: str) -> bytes:
    """The ELF header of such a program: what binfmt_misc knows it by."""
    bits, little, machine, flags, _ = ARCHITECTURES[architecture]
    order = "<" if little else ">"
    identification = b"\x7fELF" + bytes((2 if bits == 64 else 1, 1 if little else 2, 1)) + bytes(9)
    size, entry_size = (64, 56) if bits == 64 else (52, 32)
    word = "Q" if bits == 64 else "I"
    start = _LOAD_ADDRESS + size + entry_size
    return identification + struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH",
        _EXECUTABLE,
        machine,
        1,
        start,
        size,
        0,
        flags,
        size,
        entry_size,
        1,
        0,
        0,
        0,
    )


def smallest_program(architecture: str) -> bytes:
    """The whole file."""
    bits, little, _, _, code = ARCHITECTURES[architecture]
    header, instructions = elf_header(architecture), bytes.fromhex(code)
    order = "<" if little else ">"
    readable_executable = 5
    size = len(header) + (56 if bits == 64 else 32) + len(instructions)
    if bits == 64:
        segment = struct.pack(
            f"{order}IIQQQQQQ", 1, readable_executable, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, _PAGE
        )
    else:
        segment = struct.pack(
            f"{order}IIIIIIII", 1, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, readable_executable, _PAGE
        )
    return header + segment + instructions
