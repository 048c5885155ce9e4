"""Seccomp filters as programs for the kernel's packet filter machine (classic BPF).

Made by the builder and sent to the worker as bytes. Sources: seccomp(2), include/uapi/linux/{seccomp,filter}.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeAlias

from pyoci.errors import SandboxError
from pyoci.sandbox import seccomp_profile
from pyoci.sandbox.syscall_numbers import ARCHITECTURES, EMULATED, RECORDED, X86_64

__all__ = ["Code", "device_filter", "docker_filter", "fallback_filter", "recorder_filter"]

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP = 0x05
_JUMP_EQUAL = 0x15
_JUMP_GREATER_OR_EQUAL = 0x35
_JUMP_SET = 0x45
_RETURN = 0x06

_ALLOW = 0x7FFF_0000
_KILL = 0x8000_0000
_NOTIFY = 0x7FC0_0000
_ERRNO = 0x0005_0000
_EPERM = _ERRNO | 1
_ENOSYS = _ERRNO | 38
_SUCCESS = _ERRNO | 0

_NUMBER = 0  # offsets into struct seccomp_data
_ARCHITECTURE = 4
_ARGUMENTS = 16
_X32 = 0x4000_0000

_O_CREAT_OR_TMPFILE = 0o20000100
_PR_SET_KEEPCAPS = 8
_RLIMIT_RTTIME = 15
_S_IFMT = 0o170000
_S_IFCHR = 0o020000
_S_IFBLK = 0o060000

Code: TypeAlias = list[tuple[int, int, int, int]]
"""Instructions: operation, jump if true, jump if false, operand."""


@cache
def docker_filter(machine: str) -> bytes:
    """Docker's allow-list for programs of a machine (`os.uname().machine`), its 32-bit ones included.

    Raises:
        SandboxError: the list is not known for this machine.
    """
    return _for_architectures(machine, _docker_code)


@cache
def fallback_filter(machine: str) -> bytes:
    """Lets each of the calls that need more IDs than one succeed without effect."""
    return _for_architectures(
        machine, lambda architecture: _recorder_code(architecture, RECORDED[architecture], _SUCCESS)
    )


@cache
def recorder_filter(machine: str) -> bytes:
    """Hands those calls to a listener, and every call that would show what came of them or makes a file."""

    def code(architecture: int) -> Code:
        calls = {**EMULATED[architecture], **RECORDED[architecture]}
        # Most frequent first: what depends on an argument is not remembered by the kernel.
        program: Code = []
        for number, name in sorted(calls.items(), key=lambda call: (call[1] not in ("open", "openat"), call[0])):
            body = _emulation_code(name)
            program += [(_JUMP_EQUAL, 0, len(body), number), *body]
        return [*program, (_RETURN, 0, 0, _ALLOW)]

    return _for_architectures(machine, code)


@cache
def device_filter(machine: str) -> bytes:
    """Hands only the making of device nodes to a listener, for namespaces that have all the IDs they need."""

    def code(architecture: int) -> Code:
        made = {number: name for number, name in RECORDED[architecture].items() if name.startswith("mknod")}
        return _recorder_code(architecture, made, _NOTIFY)

    return _for_architectures(machine, code)


def _for_architectures(machine: str, code_of: Callable[[int], Code]) -> bytes:
    if machine not in ARCHITECTURES:
        raise SandboxError(
            f"system calls of {machine} machines cannot be filtered",
            hint=f"pyoci runs steps on {' and '.join(ARCHITECTURES)}",
        )
    program: Code = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for architecture in ARCHITECTURES[machine]:
        body: Code = [(_LOAD, 0, 0, _NUMBER), *code_of(architecture)]
        # A conditional jump reaches 255 instructions only.
        program += [(_JUMP_EQUAL, 1, 0, architecture), (_JUMP, 0, 0, len(body)), *body]
    program.append((_RETURN, 0, 0, _KILL))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _docker_code(architecture: int) -> Code:
    conditional = seccomp_profile.CONDITIONAL[architecture]
    code: Code = []
    if architecture == X86_64:
        code += [(_JUMP_GREATER_OR_EQUAL, 0, 1, _X32), (_RETURN, 0, 0, _ENOSYS)]
    code += [(_JUMP_EQUAL, 0, 1, conditional["clone3"]), (_RETURN, 0, 0, _ENOSYS)]
    for name, body in (
        (
            "clone",
            [(_JUMP_SET, 0, 1, seccomp_profile.CLONE_NAMESPACES), (_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW)],
        ),
        ("personality", _one_of([(value, value) for value in seccomp_profile.PERSONALITIES])),
        ("socket", _one_of(seccomp_profile.SOCKETS)),
    ):
        body = [(_LOAD, 0, 0, _ARGUMENTS), *body]
        code += [(_JUMP_EQUAL, 0, len(body), conditional[name]), *body]
    starts: list[tuple[int, int]] = [(0, _EPERM)]
    for first, last in seccomp_profile.RANGES[architecture]:
        if starts[-1][0] == first:
            starts.pop()
        starts += [(first, _ALLOW), (last + 1, _EPERM if last < seccomp_profile.HIGHEST else _ENOSYS)]
    return code + _search(starts)


def _one_of(ranges: Sequence[tuple[int, int]]) -> Code:
    """Allows an argument in one of the ranges, else EPERM."""
    code: Code = []
    for first, last in ranges:
        if first == last:
            code += [(_JUMP_EQUAL, 0, 1, first), (_RETURN, 0, 0, _ALLOW)]
        else:
            code += [
                (_JUMP_GREATER_OR_EQUAL, 0, 2, first),
                (_JUMP_GREATER_OR_EQUAL, 1, 0, last + 1),
                (_RETURN, 0, 0, _ALLOW),
            ]
    return [*code, (_RETURN, 0, 0, _EPERM)]


def _search(starts: Sequence[tuple[int, int]]) -> Code:
    """A binary search: the action of the last start that is not above the number."""
    if len(starts) == 1:
        return [(_RETURN, 0, 0, starts[0][1])]
    middle = len(starts) // 2
    below = _search(starts[:middle])
    return [(_JUMP_GREATER_OR_EQUAL, len(below), 0, starts[middle][0]), *below, *_search(starts[middle:])]


def _emulation_code(name: str) -> Code:
    """What is done with one call: most are handed over, some only with certain arguments."""
    match name:
        case "open" | "openat":
            flags = _ARGUMENTS + 8 * (1 if name == "open" else 2)
            condition: Code = [(_LOAD, 0, 0, flags), (_JUMP_SET, 0, 1, _O_CREAT_OR_TMPFILE)]
        case "prctl":
            condition = [(_LOAD, 0, 0, _ARGUMENTS), (_JUMP_EQUAL, 0, 1, _PR_SET_KEEPCAPS)]
        case "setrlimit":
            # The limit that carries the identity (identity.py) is not the processes' to set; pam_limits sets them all.
            return [
                (_LOAD, 0, 0, _ARGUMENTS),
                (_JUMP_EQUAL, 0, 1, _RLIMIT_RTTIME),
                (_RETURN, 0, 0, _SUCCESS),
                (_RETURN, 0, 0, _ALLOW),
            ]
        case "prlimit64":
            return [
                (_LOAD, 0, 0, _ARGUMENTS + 8),
                (_JUMP_EQUAL, 0, 3, _RLIMIT_RTTIME),
                (_LOAD, 0, 0, _ARGUMENTS + 16),
                (_JUMP_EQUAL, 1, 0, 0),
                (_RETURN, 0, 0, _SUCCESS),
                (_RETURN, 0, 0, _ALLOW),
            ]
        case _:
            return [(_RETURN, 0, 0, _NOTIFY)]
    return [*condition, (_RETURN, 0, 0, _NOTIFY), (_RETURN, 0, 0, _ALLOW)]


def _recorder_code(architecture: int, calls: dict[int, str], action: int) -> Code:
    code: Code = []
    for number, name in calls.items():
        if name.startswith("mknod"):
            mode = _ARGUMENTS + 8 * (1 if name == "mknod" else 2)
            body: Code = [
                (_LOAD, 0, 0, mode),
                (_AND, 0, 0, _S_IFMT),
                (_JUMP_EQUAL, 2, 0, _S_IFCHR),
                (_JUMP_EQUAL, 1, 0, _S_IFBLK),
                (_RETURN, 0, 0, _ALLOW),
                (_RETURN, 0, 0, action),
            ]
        else:
            body = [(_RETURN, 0, 0, action)]
        code += [(_JUMP_EQUAL, 0, len(body), number), *body]
    return [*code, (_RETURN, 0, 0, _ALLOW)]
