from __future__ import annotations

import pytest

from pyoci.platforms import Platform
from pyoci.preflight.architecture import architecture_of, fit
from pyoci.preflight.file_facts import ElfFacts

MACHINES = [
    # e_machine as /usr/include/elf.h has it, bits, byte order, GOARCH
    (3, 32, "little", "386"),
    (8, 32, "big", "mips"),
    (8, 32, "little", "mipsle"),
    (8, 64, "big", "mips64"),
    (8, 64, "little", "mips64le"),
    (20, 32, "big", "ppc"),
    (21, 64, "big", "ppc64"),
    (21, 64, "little", "ppc64le"),
    (22, 64, "big", "s390x"),
    (40, 32, "little", "arm"),
    (43, 64, "big", "sparc64"),
    (62, 64, "little", "amd64"),
    (183, 64, "little", "arm64"),
    (243, 64, "little", "riscv64"),
    (258, 64, "little", "loong64"),
]


def facts(machine: int, bits: int, order: str) -> ElfFacts:
    return ElfFacts(bits, order == "little", 2, machine, None, 0, None)


@pytest.mark.parametrize(("machine", "bits", "order", "expected"), MACHINES)
def test_processors_have_the_names_of_platforms(machine: int, bits: int, order: str, expected: str) -> None:
    elf = facts(machine, bits, order)
    assert architecture_of(elf) == expected
    assert fit(elf, Platform("linux", expected)) == "same"


@pytest.mark.parametrize(
    ("machine", "bits", "order", "platform", "expected"),
    [
        (3, 32, "little", "amd64", "compatible"),
        (62, 32, "little", "amd64", "compatible"),
        (40, 32, "little", "arm64", "compatible"),
        (62, 64, "little", "386", "foreign"),
        (183, 64, "little", "arm", "foreign"),
        (62, 64, "big", "amd64", "foreign"),
    ],
)
def test_32_bits_may_go_where_64_are(machine: int, bits: int, order: str, platform: str, expected: str) -> None:
    assert fit(facts(machine, bits, order), Platform("linux", platform)) == expected


def test_an_unknown_processor_is_named_by_its_number() -> None:
    assert architecture_of(facts(9999, 64, "little")) == "ELF machine 9999 (64-bit)"
