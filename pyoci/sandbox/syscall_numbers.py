"""Numbers of the system calls that the recorder answers, for each architecture that a supported machine runs.

Source: arch/*/syscalls of the kernel; the tests compare with libseccomp and the kernel's headers. Part of the worker.
"""

from __future__ import annotations

__all__ = ["AARCH64", "ARCHITECTURES", "ARM", "EMULATED", "I386", "RECORDED", "X86_64"]

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

_I386_AND_ARM_EMULATED = {
    5: "open",
    8: "creat",
    11: "execve",
    39: "mkdir",
    61: "chroot",
    75: "setrlimit",
    83: "symlink",
    172: "prctl",
    199: "getuid",
    200: "getgid",
    201: "geteuid",
    202: "getegid",
    205: "getgroups",
    209: "getresuid",
    211: "getresgid",
}

EMULATED: dict[int, dict[int, str]] = {
    X86_64: {
        2: "open",
        4: "stat",
        5: "fstat",
        6: "lstat",
        59: "execve",
        83: "mkdir",
        85: "creat",
        88: "symlink",
        102: "getuid",
        104: "getgid",
        107: "geteuid",
        108: "getegid",
        115: "getgroups",
        118: "getresuid",
        120: "getresgid",
        157: "prctl",
        160: "setrlimit",
        161: "chroot",
        257: "openat",
        258: "mkdirat",
        262: "newfstatat",
        266: "symlinkat",
        302: "prlimit64",
        322: "execveat",
        332: "statx",
    },
    I386: {
        **_I386_AND_ARM_EMULATED,
        295: "openat",
        296: "mkdirat",
        304: "symlinkat",
        340: "prlimit64",
        358: "execveat",
        383: "statx",
    },
    AARCH64: {
        34: "mkdirat",
        36: "symlinkat",
        51: "chroot",
        56: "openat",
        79: "newfstatat",
        80: "fstat",
        148: "getresuid",
        150: "getresgid",
        158: "getgroups",
        164: "setrlimit",
        167: "prctl",
        174: "getuid",
        175: "geteuid",
        176: "getgid",
        177: "getegid",
        221: "execve",
        261: "prlimit64",
        281: "execveat",
        291: "statx",
    },
    ARM: {
        **_I386_AND_ARM_EMULATED,
        322: "openat",
        323: "mkdirat",
        331: "symlinkat",
        369: "prlimit64",
        387: "execveat",
        397: "statx",
    },
}
"""Further calls that show what the others did: owners, IDs, and whose the new files are. The older forms of stat of
32-bit programs are left out, which see root everywhere."""
