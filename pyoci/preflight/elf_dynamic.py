"""What a dynamically linked ELF file asks of others and offers to them: libraries, paths, symbol versions, symbols.

Spec: System V ABI chapter 5, "Dynamic Linking"; symbol versions as the Linux Standard Base core specification has them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pyoci.preflight.elf import PT_DYNAMIC, Elf, MalformedElf
from pyoci.values import dataclass

__all__ = ["Dynamic", "Symbols", "VersionNeed", "read_dynamic", "read_symbols"]

_ENTRY_LIMIT = 8192
_RELOCATION_LIMIT = 1 << 20
_NAMES_LIMIT = 64 << 20
"""Bytes of all symbol names of one file."""
_SYMBOL_LIMIT = 200_000
"""Symbols of one file that are read; libraries with more are not asked for symbols."""

_DT_NEEDED, _DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 4, 5, 6, 10, 14, 15, 29
_DT_GNU_HASH, _DT_FLAGS_1 = 0x6FFFFEF5, 0x6FFFFFFB
_DT_PLTRELSZ, _DT_RELA, _DT_RELASZ, _DT_REL, _DT_RELSZ, _DT_PLTREL, _DT_JMPREL = 2, 7, 8, 17, 18, 20, 23
_DT_VERDEF, _DT_VERDEFNUM, _DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_FLAG_NODEFLIB = 0x800
_VERSION_WEAK = 2
_STRINGS = (_DT_SONAME, _DT_RPATH, _DT_RUNPATH)


@dataclass(frozen=True, slots=True)
class VersionNeed:
    """A symbol version that a file needs of a library."""

    library: str
    """As in DT_NEEDED."""
    version: str
    weak: bool = False
    """Its absence is no error."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The dynamic section, as far as it decides whether a program starts."""

    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] | None = None
    """None where there is none; one that is there puts `rpath` out of force, even if it is empty."""
    no_default_paths: bool = False
    version_needs: tuple[VersionNeed, ...] = ()
    versions: tuple[str, ...] | None = None
    """Symbol versions that it defines; None for a library without versions, which satisfies any need."""


@dataclass(frozen=True, slots=True)
class Symbols:
    """Names in the dynamic symbol table."""

    undefined: frozenset[str]
    """What is looked for when the file is loaded: named by a relocation, and not weak."""
    defined: frozenset[str]


def _entries(elf: Elf) -> list[tuple[int, int]] | None:
    """Tags and values of the dynamic section; None for a file without one."""
    segment = next((s for s in elf.segments if s.type == PT_DYNAMIC), None)
    if segment is None:
        return None
    size = 2 * elf.bits // 8
    count = min(segment.file_size // size, _ENTRY_LIMIT)
    found = []
    for number in range(count):
        tag, value = elf.fields.unpack(elf.word * 2, segment.offset + size * number)
        if tag == 0:
            break
        found.append((tag, value))
    return found


def read_dynamic(elf: Elf) -> Dynamic | None:
    """The dynamic section; None for a statically linked file without one.

    Raises:
        MalformedElf: it breaks the rules; the dynamic linker would fail on it.
    """
    entries = _entries(elf)
    if entries is None:
        return None
    values = dict(reversed(entries))
    wanted = [value for tag, value in entries if tag == _DT_NEEDED]
    if not wanted and not values.keys() & {*_STRINGS, _DT_VERNEED, _DT_VERDEF}:
        return Dynamic()
    strings = elf.file_offset(values.get(_DT_STRTAB, 0))

    def text(offset: int) -> str:
        return elf.fields.string(strings + offset)

    def paths(tag: int) -> tuple[str, ...]:
        return tuple(text(values[tag]).split(":"))

    return Dynamic(
        needed=tuple(dict.fromkeys(text(value) for value in wanted)),
        soname=text(values[_DT_SONAME]) if _DT_SONAME in values else "",
        rpath=paths(_DT_RPATH) if _DT_RPATH in values else (),
        runpath=paths(_DT_RUNPATH) if _DT_RUNPATH in values else None,
        no_default_paths=bool(values.get(_DT_FLAGS_1, 0) & _FLAG_NODEFLIB),
        version_needs=tuple(dict.fromkeys(_version_needs(elf, values, strings))) if _DT_VERNEED in values else (),
        versions=tuple(dict.fromkeys(_versions(elf, values, strings))) if _DT_VERDEF in values else None,
    )


def _version_needs(elf: Elf, values: dict[int, int], strings: int) -> Iterator[VersionNeed]:
    """Verneed: a list of libraries, each with a list of versions; steps are forwards, so the lists end."""
    at = elf.file_offset(values[_DT_VERNEED])
    left = _ENTRY_LIMIT
    for _ in range(min(values.get(_DT_VERNEEDNUM, 0), _ENTRY_LIMIT)):
        _, count, file, first, following = elf.fields.unpack("HHIII", at)
        library = elf.fields.string(strings + file)
        inner = at + first
        for _ in range(count):
            left -= 1
            if left < 0:
                raise MalformedElf("it needs too many symbol versions")
            _, flags, _, name, step = elf.fields.unpack("IHHII", inner)
            yield VersionNeed(library, elf.fields.string(strings + name), bool(flags & _VERSION_WEAK))
            if not step:
                break
            inner += step
        if not following:
            break
        at += following


def _versions(elf: Elf, values: dict[int, int], strings: int) -> Iterator[str]:
    """Verdef: a list of versions, of each the first name (the others are those that it extends)."""
    at = elf.file_offset(values[_DT_VERDEF])
    for _ in range(min(values.get(_DT_VERDEFNUM, 0), _ENTRY_LIMIT)):
        _, _, _, _, _, first, following = elf.fields.unpack("HHHHIII", at)
        (name,) = elf.fields.unpack("I", at + first)
        yield elf.fields.string(strings + name)
        if not following:
            break
        at += following


def read_symbols(elf: Elf) -> Symbols | None:
    """The dynamic symbols; None where there are none, or more than are looked at.

    Raises:
        MalformedElf: the tables break the rules.
    """
    entries = _entries(elf)
    values = dict(reversed(entries or []))
    if _DT_SYMTAB not in values or _DT_STRTAB not in values:
        return None
    count = _symbol_count(elf, values)
    if not 0 < count <= _SYMBOL_LIMIT:
        return None
    table = elf.file_offset(values[_DT_SYMTAB])
    start, size = elf.file_offset(values[_DT_STRTAB]), values.get(_DT_STRSZ, 0)
    strings = elf.fields.take(start, size)
    layout, step = ("IBBHQQ", 24) if elf.bits == 64 else ("IIIBBH", 16)
    undefined, defined = set(), set()
    wanted = _relocated(elf, values)
    left = _NAMES_LIMIT
    for number in range(1, count):
        row = elf.fields.unpack(layout, table + step * number)
        info, section = (row[1], row[3]) if elf.bits == 64 else (row[3], row[5])
        binding = info >> 4
        end = strings.find(b"\0", row[0])
        if end <= row[0]:
            continue
        left -= end - row[0]
        if left < 0:
            return None
        name = strings[row[0] : end].decode("utf-8", "surrogateescape")
        if section:
            defined.add(name)
        elif binding == 1 and number in wanted:
            undefined.add(name)
    return Symbols(frozenset(undefined), frozenset(defined))


def _relocated(elf: Elf, values: dict[int, int]) -> set[int]:
    """Numbers of the symbols that relocations name: the others are never looked for."""
    found: set[int] = set()
    plt = (values.get(_DT_JMPREL, 0), values.get(_DT_PLTRELSZ, 0), values.get(_DT_PLTREL) == _DT_RELA)
    tables = [(values.get(_DT_RELA, 0), values.get(_DT_RELASZ, 0), True), plt]
    tables.append((values.get(_DT_REL, 0), values.get(_DT_RELSZ, 0), False))
    for address, size, has_addend in tables:
        if not size:
            continue
        step = (3 if has_addend else 2) * elf.bits // 8
        count = min(size // step, _RELOCATION_LIMIT)
        raw = elf.fields.take(elf.file_offset(address), count * step)
        layout = elf.fields.order + elf.word * (step * 8 // elf.bits)
        shift = 32 if elf.bits == 64 else 8
        found.update(row[1] >> shift for row in struct.iter_unpack(layout, raw))
    return found


def _symbol_count(elf: Elf, values: dict[int, int]) -> int:
    """How many symbols there are. GNU's hash table knows only where those that are defined end, so that sections are
    asked first.
    """
    section = elf.section(".dynsym")
    if section is not None and section.address == values[_DT_SYMTAB]:
        return section.size // (24 if elf.bits == 64 else 16)
    if _DT_HASH in values:
        _, chains = elf.fields.unpack("II", elf.file_offset(values[_DT_HASH]))
        return chains
    if _DT_GNU_HASH not in values:
        return 0
    at = elf.file_offset(values[_DT_GNU_HASH])
    buckets, first, bloom, _ = elf.fields.unpack("IIII", at)
    if buckets > _SYMBOL_LIMIT or bloom > _SYMBOL_LIMIT:
        raise MalformedElf("its symbol table is too large")
    at += 16 + bloom * elf.bits // 8
    last = max(elf.fields.unpack(f"{buckets}I", at), default=0)
    at += 4 * buckets
    if last < first:
        return first
    while last <= _SYMBOL_LIMIT:
        (value,) = elf.fields.unpack("I", at + 4 * (last - first))
        last += 1
        if value & 1:
            break
    return last
