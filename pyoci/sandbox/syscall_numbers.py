"""Numbers of the system calls that the recorder answers, for each architecture that a supported machine runs.

Source: arch/*/syscalls of the kernel; the tests compare with libseccomp. Part of the worker.
"""

from __future__ import annotations

__all__ = ["AARCH64", "ARCHITECTURES", "ARM", "I386", "RECORDED", "X86_64"]

X86_64 = 0xC000_003E
"""AUDIT_ARCH_* of include/uapi/linux/audit.h, as seccomp filters see them."""
I386 = 0x4000_0003
AARCH64 = 0xC000_00B7
ARM = 0x4000_0028

ARCHITECTURES = {"x86_64": (X86_64, I386), "aarch64": (AARCH64, ARM)}
"""By machine name: its own architecture, then that of 32-bit programs, which it runs too."""

_I386_AND_ARM = {
    14: "mknod",
    23: "setuid",
    46: "setgid",
    70: "setreuid",
    71: "setregid",
    81: "setgroups",
    138: "setfsuid",
    139: "setfsgid",
    164: "setresuid",
    170: "setresgid",
    198: "lchown",
    203: "setreuid",
    204: "setregid",
    206: "setgroups",
    207: "fchown",
    208: "setresuid",
    210: "setresgid",
    212: "chown",
    213: "setuid",
    214: "setgid",
    215: "setfsuid",
    216: "setfsgid",
}

RECORDED: dict[int, dict[int, str]] = {
    X86_64: {
        92: "chown",
        93: "fchown",
        94: "lchown",
        105: "setuid",
        106: "setgid",
        113: "setreuid",
        114: "setregid",
        116: "setgroups",
        117: "setresuid",
        119: "setresgid",
        122: "setfsuid",
        123: "setfsgid",
        133: "mknod",
        259: "mknodat",
        260: "fchownat",
    },
    I386: {**_I386_AND_ARM, 297: "mknodat", 298: "fchownat"},
    AARCH64: {
        33: "mknodat",
        54: "fchownat",
        55: "fchown",
        143: "setregid",
        144: "setgid",
        145: "setreuid",
        146: "setuid",
        147: "setresuid",
        149: "setresgid",
        151: "setfsuid",
        152: "setfsgid",
        159: "setgroups",
    },
    ARM: {**_I386_AND_ARM, 324: "mknodat", 325: "fchownat"},
}
"""By architecture: number to name. Of the calls with a 32-bit form only that one: 16 bits hold no such ID."""
