"""The seccomp programs, run by a small machine of the tests' own and compared with libseccomp's numbers."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from functools import cache

import pytest

from pyoci.errors import SandboxError
from pyoci.sandbox import seccomp_profile as profile
from pyoci.sandbox.filters import device_filter, docker_filter, fallback_filter, recorder_filter
from pyoci.sandbox.syscall_numbers import AARCH64, ARCHITECTURES, ARM, EMULATED, I386, RECORDED, X86_64

ALLOW, KILL, NOTIFY, SUCCESS = 0x7FFF0000, 0x80000000, 0x7FC00000, 0x00050000
EPERM, ENOSYS = 0x00050001, 0x00050026
NAMES = {X86_64: "x86_64", I386: "i386", AARCH64: "aarch64", ARM: "arm"}
NEWER = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
}
"""Younger than the libseccomp that may be installed; one number everywhere (kernel: scripts/syscall.tbl)."""
SOCKETS_OF_I386 = {
    "socketpair": 360,
    "bind": 361,
    "connect": 362,
    "listen": 363,
    "accept4": 364,
    "getsockopt": 365,
    "setsockopt": 366,
    "getsockname": 367,
    "getpeername": 368,
    "sendto": 369,
    "sendmsg": 370,
    "recvfrom": 371,
    "recvmsg": 372,
    "recvmmsg": 337,
    "sendmmsg": 345,
    "shutdown": 373,
    "socket": 359,
}
"""libseccomp tells of socketcall instead (kernel: arch/x86/entry/syscalls/syscall_32.tbl)."""
IPC_OF_I386_AND_ARM = {
    "semget": 393,
    "semctl": 394,
    "shmget": 395,
    "shmctl": 396,
    "shmat": 397,
    "shmdt": 398,
    "msgget": 399,
    "msgsnd": 400,
    "msgrcv": 401,
    "msgctl": 402,
}


def run(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the kernel would answer (seccomp(2)); fails on an instruction that these programs have no need of."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    accumulator = position = 0
    while True:
        operation, if_true, if_false, operand = struct.unpack_from("=HBBI", program, position * 8)
        position += 1
        match operation:
            case 0x20:
                accumulator = struct.unpack_from("=I", data, operand)[0]
            case 0x54:
                accumulator &= operand
            case 0x05:
                position += operand
            case 0x15:
                position += if_true if accumulator == operand else if_false
            case 0x35:
                position += if_true if accumulator >= operand else if_false
            case 0x45:
                position += if_true if accumulator & operand else if_false
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(f"unexpected instruction {operation:#x}")


@cache
def libseccomp() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp is not installed")


def number_of(architecture: int, name: str) -> int | None:
    if name in NEWER:
        return NEWER[name]
    if name == "uretprobe":
        return 335 if architecture == X86_64 else None
    if architecture == I386 and name in SOCKETS_OF_I386:
        return SOCKETS_OF_I386[name]
    if architecture in (I386, ARM) and name in IPC_OF_I386_AND_ARM and architecture == I386:
        return IPC_OF_I386_AND_ARM[name]
    if architecture == ARM and name in ("arm_sync_file_range", "sync_file_range2"):
        return 341
    found = libseccomp().seccomp_syscall_resolve_name_arch(ctypes.c_uint32(architecture), name.encode())
    return int(found) if found >= 0 else None


def allowed(architecture: int) -> Iterator[int]:
    for name in (*profile.ALLOWED, *profile.ALLOWED_ON[architecture]):
        number = number_of(architecture, name)
        if number is not None:
            yield number


def machine_of(architecture: int) -> str:
    return next(machine for machine, known in ARCHITECTURES.items() if architecture in known)


@pytest.mark.parametrize("architecture", NAMES, ids=NAMES.values())
def test_the_allow_list_is_what_the_names_are(architecture: int) -> None:
    wanted = set(allowed(architecture))
    program = docker_filter(machine_of(architecture))
    conditional = set(profile.CONDITIONAL[architecture].values())
    for number in range(profile.HIGHEST + 40):
        if number in conditional:
            continue
        expected = ALLOW if number in wanted else EPERM if number <= profile.HIGHEST else ENOSYS
        assert run(program, architecture, number) == expected, (number, hex(expected))


@pytest.mark.parametrize("architecture", NAMES, ids=NAMES.values())
def test_numbers_are_those_of_libseccomp(architecture: int) -> None:
    for name, number in profile.CONDITIONAL[architecture].items():
        assert number == number_of(architecture, name), name
    for number, name in (*RECORDED[architecture].items(), *EMULATED[architecture].items()):
        known = {number_of(architecture, name), number_of(architecture, f"{name}32")}
        assert number in known, (name, number)


@pytest.mark.parametrize("architecture", NAMES, ids=NAMES.values())
def test_conditions(architecture: int) -> None:
    program = docker_filter(machine_of(architecture))
    numbers = profile.CONDITIONAL[architecture]

    def answer(name: str, argument: int) -> int:
        return run(program, architecture, numbers[name], argument)

    assert answer("clone3", 0) == ENOSYS
    assert answer("clone", 0x3D0F00) == ALLOW  # what pthread_create asks for
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer("clone", flag | 17) == EPERM
    assert [answer("personality", value) for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)] == [ALLOW] * 5
    assert [answer("personality", value) for value in (1, 0x40000, 0xFFFFFFFE)] == [EPERM] * 3
    families = {family for family in range(60) if answer("socket", family) == ALLOW}
    assert families == {*range(1, 46)} - {38, 40}


def test_the_other_face_of_x86_64_does_not_exist() -> None:
    program = docker_filter("x86_64")
    assert run(program, X86_64, 0x40000000) == ENOSYS
    assert run(program, X86_64, 0x40000000 | 59) == ENOSYS


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_a_foreign_architecture_is_killed(machine: str) -> None:
    for make in (docker_filter, recorder_filter, fallback_filter, device_filter):
        program = make(machine)
        assert run(program, 0xC000003F, 1) == KILL


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_programs_are_small_enough(machine: str) -> None:
    """The kernel takes 4096 instructions; every answer is a few comparisons away."""
    assert len(docker_filter(machine)) // 8 < 500
    assert len(recorder_filter(machine)) // 8 < 350


def test_a_machine_without_numbers_is_an_error() -> None:
    with pytest.raises(SandboxError, match="system calls of riscv64 machines cannot be filtered"):
        docker_filter("riscv64")


DEVICES = [(0o020644, True), (0o060644, True), (0o010644, False), (0o100644, False), (0, False)]


@pytest.mark.parametrize("architecture", NAMES, ids=NAMES.values())
def test_what_succeeds_without_effect_where_nobody_listens(architecture: int) -> None:
    program = fallback_filter(machine_of(architecture))
    for number in range(500):
        name = RECORDED[architecture].get(number, "")
        if name.startswith("mknod"):
            for mode, device in DEVICES:
                arguments = (0, mode) if name == "mknod" else (0, 0, mode)
                assert run(program, architecture, number, *arguments) == (SUCCESS if device else ALLOW)
        else:
            assert run(program, architecture, number) == (SUCCESS if name else ALLOW)


CONDITIONS: dict[str, tuple[list[tuple[int, ...]], list[tuple[int, ...]], int]] = {
    # a call, then arguments with which it is handed over (or succeeds), then some with which the kernel answers it
    "open": ([(0, 0o101), (0, 0o20200002)], [(0, 0o1), (0, 0o2200000), (0o100, 0)], NOTIFY),
    "openat": ([(0, 0, 0o101), (0, 0, 0o20200002)], [(0, 0, 1), (0o100, 0o100, 0)], NOTIFY),
    "prctl": ([(8, 1), (8, 0)], [(38, 1), (0, 8)], NOTIFY),
    "setrlimit": ([(15, 0x1000)], [(7, 0x1000)], SUCCESS),
    "prlimit64": ([(0, 15, 0x1000, 0)], [(0, 15, 0, 0x1000), (0, 7, 0x1000, 0), (15, 7, 15, 15)], SUCCESS),
}


@pytest.mark.parametrize("architecture", NAMES, ids=NAMES.values())
def test_what_the_recorder_is_asked(architecture: int) -> None:
    program = recorder_filter(machine_of(architecture))
    calls = {**EMULATED[architecture], **RECORDED[architecture]}
    for number in range(500):
        name = calls.get(number, "")
        if name in CONDITIONS:
            handed, others, answer = CONDITIONS[name]
            assert {run(program, architecture, number, *arguments) for arguments in handed} == {answer}, name
            assert {run(program, architecture, number, *arguments) for arguments in others} == {ALLOW}, name
        else:
            assert run(program, architecture, number) == (NOTIFY if name else ALLOW), name


@pytest.mark.parametrize("architecture", NAMES, ids=NAMES.values())
def test_where_only_devices_are_recorded(architecture: int) -> None:
    program = device_filter(machine_of(architecture))
    for number, name in RECORDED[architecture].items():
        arguments = (0, 0o020644, 0o020644)
        expected = NOTIFY if name.startswith("mknod") else ALLOW
        assert run(program, architecture, number, *arguments) == expected
