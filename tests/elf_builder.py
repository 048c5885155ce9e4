"""ELF files made in memory for tests: small, valid, and of any kind that a test asks for.

Written from the System V ABI, without the parser that is tested with them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["EM_386", "EM_AARCH64", "EM_ARM", "EM_X86_64", "ET_DYN", "ET_EXEC", "ET_REL", "ElfSpec", "make_elf"]

ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
EM_386, EM_ARM, EM_X86_64, EM_AARCH64 = 3, 40, 62, 183
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_RWX = 7


@dataclass(frozen=True, slots=True)
class ElfSpec:
    """What an ELF file is to be."""

    bits: int = 64
    little: bool = True
    machine: int = EM_X86_64
    type: int = ET_EXEC
    interpreter: str | None = None
    dynamic: bool = False
    needed: Sequence[str] = ()
    soname: str = ""
    rpath: str | None = None
    runpath: str | None = None
    flags_1: int = 0
    version_needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    versions: Sequence[str] = ()
    undefined: Sequence[str] = ()
    weak: Sequence[str] = ()
    unused: int = 0
    """How many of the undefined and weak symbols, from the last one on, no relocation names."""
    defined: Sequence[str] = ()
    gnu_hash: bool = False
    sections: Mapping[str, bytes] = field(default_factory=dict)
    """Further sections, each aligned to 16 bytes."""
    section_headers: bool = True


class _Writer:
    """A file that is loaded at address 0, so that offsets are addresses."""

    def __init__(self, spec: ElfSpec) -> None:
        self.spec = spec
        self.order = "<" if spec.little else ">"
        self.word = "Q" if spec.bits == 64 else "I"
        self.data = bytearray()
        self.strings = bytearray(b"\0")

    def pack(self, layout: str, *values: int) -> bytes:
        return struct.pack(self.order + layout, *values)

    def add(self, data: bytes, align: int = 16) -> int:
        self.data += bytes(-len(self.data) % align)
        at = len(self.data)
        self.data += data
        return at

    def string(self, text: str) -> int:
        at = len(self.strings)
        self.strings += text.encode("utf-8", "surrogateescape") + b"\0"
        return at

    def segment(self, kind: int, offset: int, size: int) -> bytes:
        if self.spec.bits == 64:
            return self.pack("IIQQQQQQ", kind, _RWX, offset, offset, offset, size, size, 1)
        return self.pack("IIIIIIII", kind, offset, offset, offset, size, size, _RWX, 1)

    def section(self, name: int, kind: int, offset: int, size: int) -> bytes:
        layout = "IIQQQQIIQQ" if self.spec.bits == 64 else "IIIIIIIIII"
        return self.pack(layout, name, kind, 0, offset, offset, size, 0, 0, 1, 0)

    def symbols(self) -> tuple[int, int]:
        """The symbol table's address, and how many there are."""
        spec = self.spec
        rows = [bytes(24 if spec.bits == 64 else 16)]
        groups = ((spec.undefined, 1, 0), (spec.weak, 2, 0), (spec.defined, 1, 1))
        for name, binding, section in ((n, b, s) for names, b, s in groups for n in names):
            at = self.string(name)
            info = binding << 4 | 2
            if spec.bits == 64:
                rows.append(self.pack("IBBHQQ", at, info, 0, section, 0, 0))
            else:
                rows.append(self.pack("IIIBBH", at, 0, 0, info, 0, section))
        return self.add(b"".join(rows)), len(rows)

    def version_needs(self) -> tuple[int, int]:
        rows = b""
        items = list(self.spec.version_needs.items())
        for number, (library, versions) in enumerate(items):
            size = 16 + 16 * len(versions)
            last = number == len(items) - 1
            rows += self.pack("HHIII", 1, len(versions), self.string(library), 16, 0 if last else size)
            for position, version in enumerate(versions):
                step = 16 if position < len(versions) - 1 else 0
                weak = version.endswith("?")
                rows += self.pack("IHHII", 0, 2 if weak else 0, 2, self.string(version.rstrip("?")), step)
        return self.add(rows), len(items)

    def versions(self) -> tuple[int, int]:
        rows = b""
        for number, version in enumerate(self.spec.versions):
            last = number == len(self.spec.versions) - 1
            rows += self.pack("HHHHIII", 1, 0, number + 1, 1, 0, 20, 0 if last else 28)
            rows += self.pack("II", self.string(version), 0)
        return self.add(rows), len(self.spec.versions)

    def hash_table(self, count: int) -> tuple[int, int]:
        """The tag and address of a table that says how many symbols there are."""
        if not self.spec.gnu_hash:
            return 4, self.add(self.pack("II", 1, count) + bytes(4 * (1 + count)))
        first = 1 + len(self.spec.undefined) + len(self.spec.weak)
        bloom = bytes(self.spec.bits // 8)
        chains = [0] * (count - first - 1) + [1] if count > first else []
        table = self.pack("IIII", 1, first, 1, 0) + bloom + self.pack("I", first if chains else 0)
        return 0x6FFFFEF5, self.add(table + b"".join(self.pack("I", chain) for chain in chains))

    def relocations(self) -> list[tuple[int, int]]:
        """One for each symbol that is undefined or weak, so that it is looked for: RELA for 64 bits, REL for 32."""
        count = len(self.spec.undefined) + len(self.spec.weak) - self.spec.unused
        wide = self.spec.bits == 64
        rows = b"".join(
            self.pack("QQQ", 0, number << 32 | 6, 0) if wide else self.pack("II", 0, number << 8 | 6)
            for number in range(1, count + 1)
        )
        return [(7 if wide else 17, self.add(rows)), (8 if wide else 18, len(rows))]

    def dynamic(self) -> tuple[int, int]:
        spec = self.spec
        entries = [(1, self.string(name)) for name in spec.needed]
        for tag, text in ((14, spec.soname or None), (15, spec.rpath), (29, spec.runpath)):
            if text is not None:
                entries.append((tag, self.string(text)))
        if spec.version_needs:
            at, count = self.version_needs()
            entries += [(0x6FFFFFFE, at), (0x6FFFFFFF, count)]
        if spec.versions:
            at, count = self.versions()
            entries += [(0x6FFFFFFC, at), (0x6FFFFFFD, count)]
        if spec.undefined or spec.weak or spec.defined:
            at, count = self.symbols()
            entries += [(6, at), self.hash_table(count), *self.relocations()]
        if spec.flags_1:
            entries.append((0x6FFFFFFB, spec.flags_1))
        strings = self.add(bytes(self.strings))
        entries += [(5, strings), (10, len(self.strings)), (0, 0)]
        table = b"".join(self.pack(self.word * 2, tag, value) for tag, value in entries)
        return self.add(table), len(table)


def make_elf(spec: ElfSpec) -> bytes:
    """The bytes of an ELF file."""
    writer = _Writer(spec)
    header_size, phdr_size, shdr_size = (64, 56, 64) if spec.bits == 64 else (52, 32, 40)
    has_dynamic = spec.dynamic or bool(spec.needed or spec.soname or spec.versions or spec.interpreter or spec.defined)
    count = 1 + (spec.interpreter is not None) + has_dynamic
    writer.data += bytes(header_size + phdr_size * count)
    extra = []
    if spec.interpreter is not None:
        raw = spec.interpreter.encode() + b"\0"
        extra.append((_PT_INTERP, writer.add(raw), len(raw)))
    if has_dynamic:
        extra.append((_PT_DYNAMIC, *writer.dynamic()))
    names = bytearray(b"\0")
    rows = [writer.section(0, 0, 0, 0)]
    for name, content in spec.sections.items():
        rows.append(writer.section(len(names), 1, writer.add(content), len(content)))
        names += name.encode() + b"\0"
    loaded = len(writer.data)
    rows.append(writer.section(len(names), 3, 0, 0))
    names += b".shstrtab\0"
    rows[-1] = writer.section(len(names) - 10, 3, writer.add(bytes(names)), len(names))
    table = writer.add(b"".join(rows)) if spec.section_headers else 0
    segments = [writer.segment(_PT_LOAD, 0, loaded), *(writer.segment(*each) for each in extra)]
    shape = (0, header_size, phdr_size, count, shdr_size, len(rows) if table else 0, len(rows) - 1 if table else 0)
    ident = b"\x7fELF" + bytes((spec.bits // 32, 1 if spec.little else 2, 1)) + bytes(9)
    header = ident + writer.pack(
        "HHI" + writer.word * 3 + "IHHHHHH", spec.type, spec.machine, 1, 0, header_size, table, *shape
    )
    writer.data[: len(header)] = header
    writer.data[header_size : header_size + phdr_size * count] = b"".join(segments)
    return bytes(writer.data)
