"""What a file is, as the kernel and the dynamic loader will see it: learned in one reading, small enough to be kept.

Facts depend on a file's bytes alone, so they are remembered by its digest: the libraries of a base image are read once
per store and not once per build.
"""

from __future__ import annotations

import json
from typing import Literal

from pyoci.preflight.elf import Buffer, Elf, MalformedElf, is_elf, parse_elf
from pyoci.preflight.elf_dynamic import Dynamic, VersionNeed, read_dynamic
from pyoci.preflight.go_build import GoBuild, Module, read_go_build
from pyoci.regex import regex
from pyoci.values import asdict, dataclass, replace

__all__ = ["FACTS_VERSION", "HEAD_SIZE", "ElfFacts", "FileFacts", "FileKind", "analyse", "decode_facts", "encode_facts"]

FACTS_VERSION = 1
"""Part of the name under which facts are kept: raised whenever they would come out differently."""
HEAD_SIZE = 256
"""Bytes that Linux looks at to tell what it is to execute (BINPRM_BUF_SIZE)."""

FileKind = Literal["elf", "script", "empty", "text", "mach-o", "pe", "wasm", "archive", "data"]
_Loader = Literal["", "glibc", "musl"]

_LOADER_LIMIT = 16 << 20
_DIRECTORIES = regex(rb"(?:/[\w.+-]+(?:/[\w.+-]+)*/\0){2,16}")
_MACH_O = (b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_ET_DYN = 3


@dataclass(frozen=True, slots=True)
class ElfFacts:
    """An ELF file in so far as it decides whether a program starts."""

    bits: int
    little_endian: bool
    type: int
    machine: int
    interpreter: str | None
    missing_bytes: int
    """What the file lacks at its end."""
    dynamic: Dynamic | None
    loader: _Loader = ""
    """Whose dynamic loader this file is; empty for everything else."""
    loader_directories: tuple[str, ...] = ()
    """Where that loader looks when nothing else helps."""
    debug_bytes: int = 0
    """Bytes of debug information."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file's kind and what there is to know about one of that kind."""

    kind: FileKind
    head: bytes = b""
    """The first `HEAD_SIZE` bytes of a script or a text."""
    elf: ElfFacts | None = None
    """None also for an ELF file that Linux would not accept; `problem` says why."""
    go: GoBuild | None = None
    problem: str = ""
    """What could not be read, or breaks the rules."""


def analyse(data: Buffer) -> FileFacts:
    """The facts of a file. Never fails: what is malformed is a fact too."""
    head = data[:HEAD_SIZE]
    if not head:
        return FileFacts("empty")
    if is_elf(head):
        return _elf_facts(data)
    if head.startswith(b"#!"):
        return FileFacts("script", head)
    if head.startswith(b"MZ"):
        return FileFacts("pe")
    if head.startswith(_MACH_O):
        return FileFacts("mach-o")
    if head.startswith(b"\0asm"):
        return FileFacts("wasm")
    if head.startswith(b"!<arch>\n"):
        return FileFacts("archive")
    printable = all(byte >= 0x20 or byte in b"\t\n\r\f\x1b" for byte in head)
    return FileFacts("text", head) if printable else FileFacts("data")


def _elf_facts(data: Buffer) -> FileFacts:
    try:
        elf = parse_elf(data)
        interpreter = elf.interpreter()
    except MalformedElf as error:
        return FileFacts("elf", problem=str(error))
    problem = ""
    dynamic = go = None
    try:
        dynamic = read_dynamic(elf)
    except MalformedElf as error:
        problem = f"its dynamic section: {error}"
    try:
        go = read_go_build(elf)
    except MalformedElf as error:
        problem = problem or f"its Go build information: {error}"
    facts = ElfFacts(
        bits=elf.bits,
        little_endian=elf.little_endian,
        type=elf.type,
        machine=elf.machine,
        interpreter=interpreter,
        missing_bytes=elf.missing_bytes(),
        dynamic=dynamic,
        debug_bytes=_debug_bytes(elf),
    )
    if interpreter is None and dynamic is not None and elf.type == _ET_DYN and len(data) <= _LOADER_LIMIT:
        facts = _loader_facts(facts, data)
    return FileFacts("elf", elf=facts, go=go, problem=problem)


def _debug_bytes(elf: Elf) -> int:
    try:
        return sum(s.size for s in elf.sections() if s.name.startswith((".debug_", ".zdebug_")))
    except MalformedElf:
        return 0


def _loader_facts(facts: ElfFacts, data: Buffer) -> ElfFacts:
    """Recognises the loaders of glibc and musl by what they print and open; glibc's has its directories built in."""
    if data.find(b"musl libc (") >= 0:
        return replace(facts, loader="musl")
    if data.find(b"glibc-ld.so.cache") < 0:
        return facts
    found = _DIRECTORIES.search(data)
    names = found[0].rstrip(b"\0").split(b"\0") if found else []
    return replace(facts, loader="glibc", loader_directories=tuple(dict.fromkeys(_text(name) for name in names)))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def encode_facts(facts: FileFacts) -> bytes:
    """Facts as a record."""
    value = asdict(replace(facts, head=b""))
    value["head"] = facts.head.decode("latin-1")
    if facts.go is not None:
        value["go"]["functions"] = sorted(facts.go.functions)
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def decode_facts(raw: bytes) -> FileFacts | None:
    """The facts of such a record; None if it is damaged."""
    try:
        value = json.loads(raw)
        elf, go = value["elf"], value["go"]
        if elf is not None:
            dynamic = elf["dynamic"]
            if dynamic is not None:
                for name in ("needed", "rpath", "runpath", "versions"):
                    dynamic[name] = dynamic[name] if dynamic[name] is None else tuple(dynamic[name])
                dynamic["version_needs"] = tuple(VersionNeed(**need) for need in dynamic["version_needs"])
                elf["dynamic"] = Dynamic(**dynamic)
            elf["loader_directories"] = tuple(elf["loader_directories"])
            elf = ElfFacts(**elf)
        if go is not None:
            go["main"] = go["main"] and Module(**go["main"])
            go["dependencies"] = tuple(Module(**module) for module in go["dependencies"])
            go["functions"] = frozenset(go["functions"])
            go = GoBuild(**go)
        return FileFacts(value["kind"], value["head"].encode("latin-1"), elf, go, value["problem"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
