from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from pyoci.preflight.elf import Fields, MalformedElf, parse_elf
from pyoci.preflight.elf_dynamic import Dynamic, Symbols, VersionNeed, read_dynamic, read_symbols
from tests.elf_builder import EM_386, EM_X86_64, ET_DYN, ElfSpec, make_elf

KINDS = [(64, True), (64, False), (32, True), (32, False)]
WHOLE = ElfSpec(
    type=ET_DYN,
    interpreter="/lib64/ld-linux-x86-64.so.2",
    needed=["libc.so.6", "libm.so.6"],
    soname="libown.so.1",
    rpath="$ORIGIN/../lib:/opt/lib",
    runpath="",
    flags_1=0x800,
    version_needs={"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.34?"], "libm.so.6": ["GLIBC_2.29"]},
    versions=["OWN_1.0", "OWN_1.1"],
    undefined=["puts"],
    weak=["maybe"],
    defined=["own_call", "own_data"],
)


@pytest.mark.parametrize(("bits", "little"), KINDS)
@pytest.mark.parametrize("gnu_hash", [True, False])
def test_everything_is_read_in_every_class_and_byte_order(bits: int, little: bool, gnu_hash: bool) -> None:
    machine = EM_X86_64 if bits == 64 else EM_386
    elf = parse_elf(make_elf(replace(WHOLE, bits=bits, little=little, machine=machine, gnu_hash=gnu_hash)))
    assert (elf.bits, elf.little_endian, elf.type, elf.machine) == (bits, little, ET_DYN, machine)
    assert elf.interpreter() == "/lib64/ld-linux-x86-64.so.2"
    assert elf.missing_bytes() == 0
    assert read_dynamic(elf) == Dynamic(
        needed=("libc.so.6", "libm.so.6"),
        soname="libown.so.1",
        rpath=("$ORIGIN/../lib", "/opt/lib"),
        runpath=("",),
        no_default_paths=True,
        version_needs=(
            VersionNeed("libc.so.6", "GLIBC_2.2.5"),
            VersionNeed("libc.so.6", "GLIBC_2.34", weak=True),
            VersionNeed("libm.so.6", "GLIBC_2.29"),
        ),
        versions=("OWN_1.0", "OWN_1.1"),
    )
    assert read_symbols(elf) == Symbols(frozenset({"puts"}), frozenset({"own_call", "own_data"}))


def test_a_symbol_that_no_relocation_names_is_not_looked_for() -> None:
    elf = parse_elf(make_elf(ElfSpec(type=ET_DYN, dynamic=True, undefined=["puts", "unused"], unused=1, defined=["x"])))
    assert read_symbols(elf) == Symbols(frozenset({"puts"}), frozenset({"x"}))


def test_a_static_program_has_neither_interpreter_nor_dynamic_section() -> None:
    elf = parse_elf(make_elf(ElfSpec()))
    assert elf.interpreter() is None
    assert read_dynamic(elf) is None
    assert read_symbols(elf) is None


def test_a_static_pie_has_a_dynamic_section_that_asks_for_nothing() -> None:
    elf = parse_elf(make_elf(ElfSpec(type=ET_DYN, dynamic=True)))
    assert elf.interpreter() is None
    assert read_dynamic(elf) == Dynamic()


def test_sections_are_found_by_name() -> None:
    elf = parse_elf(make_elf(ElfSpec(sections={".one": b"first", ".two": b"second"})))
    section = elf.section(".two")
    assert section is not None
    assert elf.fields.take(section.offset, section.size) == b"second"
    assert elf.section(".three") is None


@pytest.mark.parametrize(("offset", "size"), [(0, 9), (8, 1), (9, 0), (-1, 1), (1, -1), (1 << 70, 1)])
def test_bytes_outside_of_the_file_are_malformed(offset: int, size: int) -> None:
    fields = Fields(b"12345678", "<")
    assert fields.take(3, 5) == b"45678"
    with pytest.raises(MalformedElf):
        fields.take(offset, size)
    with pytest.raises(MalformedElf):
        fields.unpack("I", offset + 5 if offset >= 0 else offset)


def test_a_cut_off_file_says_how_much_is_missing() -> None:
    whole = make_elf(ElfSpec(sections={".text": bytes(1000)}, section_headers=False))
    loaded = parse_elf(whole).segments[0].file_size
    assert parse_elf(whole[: loaded - 300]).missing_bytes() == 300


HEADER_FAULTS = {
    "nothing": (b"", "does not begin"),
    "text": (b"#!/bin/sh\n" + bytes(100), "does not begin"),
    "only the magic": (b"\x7fELF", "does not begin"),
    "class 3": (b"\x7fELF\x03\x01\x01" + bytes(60), "class or byte order"),
    "byte order 0": (b"\x7fELF\x02\x00\x01" + bytes(60), "class or byte order"),
    "header cut off": (make_elf(ElfSpec())[:40], "ends within"),
    "program headers cut off": (make_elf(ElfSpec())[:70], "ends within"),
}


@pytest.mark.parametrize(("data", "reason"), HEADER_FAULTS.values(), ids=HEADER_FAULTS)
def test_what_linux_would_not_accept_is_malformed(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedElf, match=reason):
        parse_elf(data)


def test_program_headers_of_another_size_are_refused() -> None:
    data = bytearray(make_elf(ElfSpec()))
    struct.pack_into("<H", data, 54, 57)
    with pytest.raises(MalformedElf, match="unknown form"):
        parse_elf(bytes(data))


@pytest.mark.parametrize("path", ["", "x" * 5000])
def test_an_interpreter_without_a_sensible_path_is_malformed(path: str) -> None:
    elf = parse_elf(make_elf(ElfSpec(interpreter=path)))
    with pytest.raises(MalformedElf, match="empty or too long"):
        elf.interpreter()


def test_the_interpreter_must_end_in_nul() -> None:
    data = make_elf(ElfSpec(interpreter="/lib/ld.so"))
    elf = parse_elf(data.replace(b"/lib/ld.so\0", b"/lib/ld.soX"))
    with pytest.raises(MalformedElf, match="does not end"):
        elf.interpreter()


def test_a_string_table_outside_of_the_file_is_malformed() -> None:
    data = make_elf(ElfSpec(needed=["libc.so.6"]))
    entry = struct.pack("<Q", 5)  # DT_STRTAB
    at = data.index(entry, len(data) // 3)
    damaged = data[: at + 8] + struct.pack("<Q", 1 << 60) + data[at + 16 :]
    with pytest.raises(MalformedElf, match="in no segment"):
        read_dynamic(parse_elf(damaged))


def test_a_list_of_versions_that_leads_nowhere_is_malformed() -> None:
    data = make_elf(ElfSpec(needed=["libc.so.6"], version_needs={"libc.so.6": ["GLIBC_2.34"]}))
    at = data.index(struct.pack("<HH", 1, 1), 64 + 2 * 56)
    damaged = data[: at + 8] + struct.pack("<I", 0xFFFFFFF0) + data[at + 12 :]
    with pytest.raises(MalformedElf):
        read_dynamic(parse_elf(damaged))
