"""The frame of an ELF file: header, segments, sections, and where addresses are in the file.

What `elf_dynamic` and `go_build` read stands on this. The bytes are hostile: every offset is checked, every count
bounded, and whatever does not hold is `MalformedElf`, never another exception.

Spec: System V ABI, chapters 4 and 5 (gabi 4.1 and its machine supplements).
"""

from __future__ import annotations

import mmap
import struct
from typing import Literal, TypeAlias, cast

from pyoci.values import dataclass

__all__ = [
    "PT_DYNAMIC",
    "PT_INTERP",
    "PT_LOAD",
    "Buffer",
    "Elf",
    "Fields",
    "MalformedElf",
    "Section",
    "Segment",
    "is_elf",
    "parse_elf",
]

Buffer: TypeAlias = "bytes | mmap.mmap"
"""A file's content for random access."""

_MAGIC = b"\x7fELF"
_STRING_LIMIT = 4096
"""Bytes that a name may have: PATH_MAX, which nothing that is looked up in a file system exceeds."""
_TABLE_LIMIT = 65535
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
_PHDR = {32: ("IIIIIIII", 32), 64: ("IIQQQQQQ", 56)}
_SHDR = {32: ("IIIIIIIIII", 40), 64: ("IIQQQQIIQQ", 64)}
_EHDR = {32: ("HHIIIIIHHHHHH", 52), 64: ("HHIQQQIHHHHHH", 64)}


class MalformedElf(ValueError):
    """The bytes are no ELF file, or break its rules where they were looked at; the argument says how."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Numbers and strings of a buffer in one byte order."""

    data: Buffer
    order: Literal["<", ">"]

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        """The numbers at an offset, as `struct` reads `layout`.

        Raises:
            MalformedElf: they are beyond the end.
        """
        if not 0 <= offset <= len(self.data):
            raise MalformedElf("an offset points outside of the file")
        try:
            return struct.unpack_from(self.order + layout, self.data, offset)
        except struct.error:
            raise MalformedElf("the file ends within a structure") from None

    def take(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes.

        Raises:
            MalformedElf: they are beyond the end.
        """
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise MalformedElf("an offset points outside of the file")
        return self.data[offset : offset + size]

    def string(self, offset: int) -> str:
        """The string at an offset, up to its NUL.

        Raises:
            MalformedElf: it does not end, or is longer than any path.
        """
        if not 0 <= offset < len(self.data):
            raise MalformedElf("a string lies outside of the file")
        piece = self.data[offset : offset + _STRING_LIMIT]
        end = piece.find(b"\0")
        if end < 0:
            raise MalformedElf("a string does not end")
        return piece[:end].decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Segment:
    """A program header."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section header with its name. Sections are for tools: a program runs without them."""

    name: str
    type: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True, slots=True)
class Elf:
    """A parsed header with its segments."""

    fields: Fields
    bits: Literal[32, 64]
    type: int
    """2 a fixed program, 3 a shared object or position-independent program, 1 an object file, 4 a core."""
    machine: int
    flags: int
    segments: tuple[Segment, ...]
    section_table: tuple[int, int, int]
    """Offset, number of headers, and which of them holds the names."""

    @property
    def little_endian(self) -> bool:
        return self.fields.order == "<"

    @property
    def word(self) -> Literal["I", "Q"]:
        """How `struct` names an address."""
        return "Q" if self.bits == 64 else "I"

    def file_offset(self, address: int) -> int:
        """Where the byte at an address of the loaded program is in the file.

        Raises:
            MalformedElf: nothing of the file is there.
        """
        for segment in self.segments:
            if segment.type == PT_LOAD and segment.address <= address < segment.address + segment.file_size:
                return segment.offset + address - segment.address
        raise MalformedElf("an address is in no segment")

    def interpreter(self) -> str | None:
        """The path in PT_INTERP: the program that the kernel starts to load this one; None if there is none.

        Raises:
            MalformedElf: it is not a string that ends.
        """
        for segment in self.segments:
            if segment.type == PT_INTERP:
                if not 2 <= segment.file_size <= _STRING_LIMIT:
                    raise MalformedElf("the interpreter's path is empty or too long")
                raw = self.fields.take(segment.offset, segment.file_size)
                if raw[-1:] != b"\0":
                    raise MalformedElf("the interpreter's path does not end")
                return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        return None

    def missing_bytes(self) -> int:
        """How many bytes the segments want beyond the end of the file: more than 0 means that it was cut off."""
        ends = [s.offset + s.file_size for s in self.segments if s.type == PT_LOAD and s.file_size]
        return max(0, max(ends, default=0) - len(self.fields.data))

    def sections(self) -> tuple[Section, ...]:
        """All sections; none where there is no table.

        Raises:
            MalformedElf: the table is not in the file.
        """
        offset, count, names = self.section_table
        layout, size = _SHDR[self.bits]
        if not offset or not count:
            return ()
        rows = [self.fields.unpack(layout, offset + size * number) for number in range(count)]
        if names >= count:
            raise MalformedElf("the section names are in no section")
        start, length = rows[names][4], rows[names][5]
        if start + length > len(self.fields.data):
            raise MalformedElf("the section names are not in the file")
        return tuple(
            Section(self.fields.string(start + row[0]), row[1], row[3], row[4], row[5], row[6])
            for row in rows
            if row[0] < length
        )

    def section(self, *names: str) -> Section | None:
        """The first section of one of these names; None also where the table is damaged."""
        try:
            return next((section for section in self.sections() if section.name in names), None)
        except MalformedElf:
            return None


def is_elf(head: bytes) -> bool:
    """Whether a file that begins so claims to be ELF."""
    return head.startswith(_MAGIC)


def parse_elf(data: Buffer) -> Elf:
    """The frame of an ELF file, as far as Linux looks at it when it starts one.

    Raises:
        MalformedElf: Linux would answer "exec format error".
    """
    ident = data[:16]
    if len(ident) < 16 or ident[:4] != _MAGIC:
        raise MalformedElf("it does not begin as an ELF file")
    if ident[4] not in (1, 2) or ident[5] not in (1, 2):
        raise MalformedElf("its class or byte order is unknown")
    bits = cast("Literal[32, 64]", 32 * ident[4])
    fields = Fields(data, "<" if ident[5] == 1 else ">")
    layout, _ = _EHDR[bits]
    kind, machine, _, _, phoff, shoff, flags, _, phentsize, phnum, shentsize, shnum, shstrndx = fields.unpack(
        layout, 16
    )
    segments = []
    if phnum:
        layout, size = _PHDR[bits]
        if phentsize != size or phnum == _TABLE_LIMIT:
            raise MalformedElf("its program headers have an unknown form")
        segments = [_segment(bits, fields.unpack(layout, phoff + size * number)) for number in range(phnum)]
    sections = (shoff, shnum, shstrndx) if shentsize == _SHDR[bits][1] else (0, 0, 0)
    return Elf(fields, bits, kind, machine, flags, tuple(segments), sections)


def _segment(bits: Literal[32, 64], row: tuple[int, ...]) -> Segment:
    if bits == 64:
        kind, flags, offset, address, _, file_size, memory_size, _ = row
    else:
        kind, offset, address, _, file_size, memory_size, flags, _ = row
    return Segment(kind, flags, offset, address, file_size, memory_size)
