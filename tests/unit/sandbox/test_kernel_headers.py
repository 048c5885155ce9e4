"""Numbers and layouts beside the kernel's own headers, which linux-libc-dev has for every architecture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyoci.sandbox import kernel, seccomp_profile, status_emulation
from pyoci.sandbox.syscall_numbers import AARCH64, EMULATED, I386, RECORDED, X86_64

INCLUDE = Path("/usr/include")
HEADERS = {
    AARCH64: "asm-generic/unistd.h",
    X86_64: "x86_64-linux-gnu/asm/unistd_64.h",
    I386: "x86_64-linux-gnu/asm/unistd_32.h",
}
NAMES = {AARCH64: "aarch64", X86_64: "x86_64", I386: "i386"}


def numbers_of(architecture: int) -> dict[str, int]:
    """Every number that the header gives, by name; those of 64 bits where it has two names for one."""
    path = INCLUDE / HEADERS[architecture]
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    text = path.read_text()
    found = {name: int(number) for name, number in re.findall(r"^#define __NR_(\w+)\s+(\d+)$", text, re.MULTILINE)}
    wide = {name: int(number) for name, number in re.findall(r"^#define __NR3264_(\w+)\s+(\d+)$", text, re.MULTILINE)}
    pairs = re.findall(r"^#\s*define __NR_(\w+)\s+__NR3264_(\w+)$", text, re.MULTILINE)
    first = {alias: name for name, alias in reversed(pairs)}  # of two names for one the 64-bit one comes first
    return {**found, **{name: wide[alias] for alias, name in first.items() if alias in wide}}


@pytest.mark.parametrize("architecture", HEADERS, ids=NAMES.values())
def test_calls_of_the_recorder(architecture: int) -> None:
    known = numbers_of(architecture)
    for number, name in (*RECORDED[architecture].items(), *EMULATED[architecture].items()):
        assert number in (known.get(name), known.get(f"{name}32")), (name, number)


@pytest.mark.parametrize("architecture", [AARCH64, X86_64], ids=["aarch64", "x86_64"])
def test_nothing_that_the_recorder_must_see_is_left_out(architecture: int) -> None:
    """Every call of a machine's own programs that changes or shows an owner or an ID, or makes a file."""
    wanted = re.compile(
        r"f?l?chown(at)?|mknod(at)?|mkdir(at)?|symlink(at)?|open(at)?|creat|f?l?stat|newfstatat|statx|execve(at)?|chroot"
        r"|[gs]ete?[ug]id|[gs]etres[ug]id|setre[ug]id|setfs[ug]id|[gs]etgroups"
    )
    names = {name for name in numbers_of(architecture) if wanted.fullmatch(name)}
    answered = {*RECORDED[architecture].values(), *EMULATED[architecture].values()}
    assert names <= answered
    assert answered - names == {"prctl", "prlimit64", "setrlimit"}


@pytest.mark.parametrize("architecture", HEADERS, ids=NAMES.values())
def test_calls_with_conditions(architecture: int) -> None:
    known = numbers_of(architecture)
    assert {name: known[name] for name in seccomp_profile.CONDITIONAL[architecture]} == seccomp_profile.CONDITIONAL[
        architecture
    ]


@pytest.mark.parametrize("architecture", HEADERS, ids=NAMES.values())
def test_the_allow_list(architecture: int) -> None:
    """Of the calls that the header knows: exactly those of the list lie in its ranges."""
    ranges = seccomp_profile.RANGES[architecture]
    allowed = {*seccomp_profile.ALLOWED, *seccomp_profile.ALLOWED_ON[architecture]}
    for name, number in numbers_of(architecture).items():
        if architecture == AARCH64 and 403 <= number < 424:
            continue  # times of 64 bits for machines of 32
        # The generic header counts its calls, and has two names for number 84, of which aarch64 has the other.
        if name not in (
            *seccomp_profile.CONDITIONAL[architecture],
            "arch_specific_syscall",
            "syscalls",
            "sync_file_range2",
        ):
            inside = any(first <= number <= last for first, last in ranges)
            assert inside == (name in allowed), (name, number)


@pytest.mark.parametrize(("machine", "architecture"), [("aarch64", AARCH64), ("x86_64", X86_64)])
def test_calls_that_the_worker_makes(machine: str, architecture: int) -> None:
    known = numbers_of(architecture)
    made = {**kernel._COMMON, **kernel._OLDER[machine]}
    assert made == {name: known[name] for name in made}


def test_where_an_owner_is_in_a_status_of_aarch64() -> None:
    path = INCLUDE / "asm-generic/stat.h"
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    body = path.read_text().partition("struct stat {")[2].partition("}")[0]
    places: dict[str, int] = {}
    position = 0
    for words, name, count in re.findall(r"^\s*((?:unsigned )?(?:long|int))\s+(\w+)(?:\[(\d)\])?;", body, re.MULTILINE):
        size = 8 if "long" in words else 4
        position += -position % size
        places[name] = position
        position += size * int(count or 1)
    assert position == status_emulation.STAT_SIZES["aarch64"]
    assert (places["st_mode"], places["st_uid"], places["st_rdev"]) == status_emulation.STAT_PLACES["aarch64"]
    assert places["st_gid"] == places["st_uid"] + 4
