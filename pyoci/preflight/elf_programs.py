"""An ELF program: its processor, its loader, its libraries, and for Go programs what Go says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyoci.preflight.access import Reached, may_execute
from pyoci.preflight.architecture import architecture_of, fit, same_machine
from pyoci.preflight.file_facts import ElfFacts, FileFacts
from pyoci.preflight.findings import Finding, finding
from pyoci.preflight.go_checks import go_findings
from pyoci.preflight.linking import LibraryProblem, SymbolProblem, VersionProblem, link_problems
from pyoci.preflight.loader_paths import CACHE_PATH, configured_directories
from pyoci.preflight.subject import Subject, Target, owner_and_mode

__all__ = ["elf_findings"]

_ET_EXEC, _ET_DYN = 2, 3
_TYPES = {1: "an object file", 4: "a core dump"}
_GLIBC_BASES = "debian:bookworm-slim, ubuntu:24.04 or gcr.io/distroless/base-debian12"
_GLIBC_RELEASES = (
    ((2, 28), "debian 10"),
    ((2, 31), "debian 11 or ubuntu 20.04"),
    ((2, 35), "ubuntu 22.04"),
    ((2, 36), "debian 12"),
    ((2, 39), "ubuntu 24.04"),
    ((2, 41), "debian 13"),
)
"""Versions of glibc and the oldest release that has them, for hints."""
_SHOWN = 3
"""Symbols or versions that one message names."""


def elf_findings(subject: Subject, target: Target, reached: Reached, facts: FileFacts) -> Iterator[Finding]:
    """What keeps an ELF program from starting, or lets it fail later.

    Raises:
        LayerError, ContentError: a library's bytes cannot be had.
    """
    elf, path = facts.elf, reached.path
    if elf is None:
        message = f"{target.what} is no valid ELF file ({facts.problem}): exec format error"
        yield finding("NotAProgram", message, "was it copied whole?", path=path, causes=target.causes)
        return
    if elf.type not in (_ET_EXEC, _ET_DYN):
        message = f"{target.what} is {_TYPES.get(elf.type, 'no program')}: exec format error"
        yield finding("NotAProgram", message, "link it first", path=path, causes=target.causes)
        return
    foreign = False
    for found in _architecture_findings(subject, target, path, facts, elf):
        foreign = foreign or found.severity == "error"
        yield found
    if foreign:
        return
    if elf.missing_bytes:
        yield finding(
            "ProgramTruncated",
            f"{target.what} ends {elf.missing_bytes} bytes too early",
            "was it copied whole?",
            path=path,
            causes=target.causes,
        )
        return
    if facts.problem:
        message = f"{target.what} could not be looked at: {facts.problem}"
        yield finding("NotExamined", message, path=path, causes=target.causes)
    if elf.interpreter is not None:
        yield from _loader_findings(subject, target, reached, facts, elf, elf.interpreter)
    if facts.go is not None:
        yield from go_findings(subject, target, path, facts.go, elf)


def _architecture_findings(
    subject: Subject, target: Target, path: str, facts: FileFacts, elf: ElfFacts
) -> Iterator[Finding]:
    mine, wanted = architecture_of(elf), subject.platform.architecture
    system = facts.go.setting("GOOS") if facts.go else ""
    if system and system != subject.platform.os:
        yield finding(
            "WrongArchitecture",
            f"{target.what} is a program for {system}/{mine}, the image is for {subject.platform}",
            f"build it with GOOS={subject.platform.os} GOARCH={wanted}",
            path=path,
            causes=target.causes,
        )
        return
    match fit(elf, subject.platform):
        case "same":
            return
        case "compatible":
            yield finding(
                "WrongArchitecture",
                f"{target.what} is a program for {mine} in an image for {subject.platform}: "
                "it needs a kernel and a processor that run 32-bit programs",
                _architecture_hint(facts, wanted),
                path=path,
                causes=target.causes,
                severity="warning",
            )
        case "foreign":
            yield finding(
                "WrongArchitecture",
                f"{target.what} is a program for {mine}, the image is for {subject.platform}: exec format error",
                _architecture_hint(facts, wanted),
                path=path,
                causes=target.causes,
            )


def _architecture_hint(facts: FileFacts, wanted: str) -> str:
    if facts.go is not None:
        return f"build it with GOARCH={wanted}, or with GOARCH=$TARGETARCH after ARG TARGETARCH"
    return f"build it for {wanted}, or build the image for the program's platform with --platform"


def _loader_findings(
    subject: Subject, target: Target, reached: Reached, facts: FileFacts, elf: ElfFacts, interpreter: str
) -> Iterator[Finding]:
    path = reached.path
    found = subject.reach(interpreter)
    if found.obstacle == "elsewhere" or subject.is_mounted(found.path):
        return
    entry = found.entry
    if found.obstacle is not None or entry is None:
        libc = _libc_of(interpreter)
        yield finding(
            "InterpreterMissing",
            f"{target.what} needs the loader {interpreter}{libc and f' of {libc}'}, which is not in the image: "
            "no such file or directory",
            _loader_hint(subject, facts, libc),
            path=path,
            causes=target.causes,
        )
        return
    if entry.type != "file" or not may_execute(entry, subject.account):
        why = owner_and_mode(entry) if entry.type == "file" else f"it is a {entry.type}"
        yield finding(
            "InterpreterUnusable",
            f"{target.what} needs the loader {interpreter}, which {subject.account} may not execute: {why}",
            "take it from the base as it is, with mode 755",
            path=found.path,
            causes=(subject.layer_cause(entry), *target.causes),
        )
        return
    loader = subject.files.facts(entry)
    if loader.elf is None or not same_machine(loader.elf, elf):
        kind = f"for {architecture_of(loader.elf)}" if loader.elf else "no ELF file"
        yield finding(
            "InterpreterUnusable",
            f"{target.what} needs the loader {interpreter}, which is {kind}",
            f"use a base for {subject.platform}",
            path=found.path,
            causes=(subject.layer_cause(entry), *target.causes),
        )
        return
    if reached.entry is None:
        return
    problems = link_problems(subject, (path, reached.entry, elf), (interpreter, found.path, entry, loader.elf))
    yield from _library_findings(subject, target, facts, path, problems)


def _libc_of(interpreter: str) -> str:
    name = interpreter.rpartition("/")[2]
    if name.startswith("ld-musl-"):
        return "musl"
    if name.startswith(("ld-linux", "ld64.so", "ld.so.1", "ld-2.")):
        return "glibc"
    if name.startswith(("ld-uClibc", "ld64-uClibc")):
        return "uClibc"
    return "Android" if name in ("linker", "linker64") else ""


def _loader_hint(subject: Subject, facts: FileFacts, libc: str) -> str:
    is_cgo = facts.go is not None and facts.go.setting("CGO_ENABLED") != "0"
    first = "build it with CGO_ENABLED=0" if is_cgo else "link it statically"
    has_musl = any(name.startswith("/lib/ld-musl-") for name in _loaders(subject))
    if libc == "glibc":
        there = "; what the image has is musl, so building it on the same base helps too" if has_musl else ""
        return f"{first}, or use a base with glibc such as {_GLIBC_BASES}{there}"
    if libc == "musl":
        return f"{first}, or use a base with musl such as alpine, or build it on a base with glibc"
    return f"{first}, or use the base that it was built on"


def _loaders(subject: Subject) -> list[str]:
    return [f"/{child.path}" for child in subject.files.children("/lib") if child.path.startswith("lib/ld-")]


def _library_findings(
    subject: Subject,
    target: Target,
    facts: FileFacts,
    path: str,
    problems: list[LibraryProblem | VersionProblem | SymbolProblem],
) -> Iterator[Finding]:
    versions: dict[tuple[str, str], list[str]] = {}
    symbols: dict[str, list[str]] = {}
    for problem in problems:
        match problem:
            case LibraryProblem():
                through = f" (for {problem.wanted_by})" if problem.wanted_by != path else ""
                yield finding(
                    "LibraryMissing",
                    f"{target.what} needs the library {problem.name}{through}, which the loader does not find"
                    + (f": {problem.reason}" if problem.reason else ""),
                    _library_hint(subject, facts, problem),
                    path=path,
                    causes=target.causes,
                )
            case VersionProblem():
                versions.setdefault((problem.library, problem.wanted_by), []).append(problem.version)
            case SymbolProblem():
                symbols.setdefault(problem.wanted_by, []).append(problem.symbol)
    for (library, wanted_by), names in versions.items():
        names.sort(key=_version_key)
        what = target.what if wanted_by == path else f"{target.what}: {wanted_by}"
        yield finding(
            "SymbolVersionMissing",
            f"{what} needs {_some(names)}, which {library} does not have",
            _version_hint(facts, names),
            path=path,
            causes=target.causes,
        )
    for wanted_by, names in symbols.items():
        what = target.what if wanted_by == path else f"{target.what}: {wanted_by}"
        yield finding(
            "SymbolMissing",
            f"{what} needs the symbol{'s' if len(names) > 1 else ''} {_some(names)}, which no library in the image has",
            "build it on the base that it is to run on, or link it statically",
            path=path,
            causes=target.causes,
        )


def _some(names: list[str]) -> str:
    shown = names[-_SHOWN:]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _version_key(version: str) -> tuple[str, tuple[int, ...]]:
    name, _, numbers = version.partition("_")
    return name, tuple(int(part) for part in re.findall(r"\d{1,6}", numbers))


def _version_hint(facts: FileFacts, names: list[str]) -> str:
    first = "build it with CGO_ENABLED=0, or " if facts.go is not None else ""
    newest = max((_version_key(name)[1] for name in names if name.startswith("GLIBC_2.")), default=())
    if newest:
        release = next((text for number, text in _GLIBC_RELEASES if newest <= number), "")
        text = ".".join(str(part) for part in newest)
        having = f" ({release} has it)" if release else ""
        return f"{first}use a base with glibc {text} or newer{having}, or build it on the image's own base"
    return f"{first}build it on the image's own base, or use a base that is as new as the one it was built on"


def _library_hint(subject: Subject, facts: FileFacts, problem: LibraryProblem) -> str:
    cgo = ", or build the program with CGO_ENABLED=0" if facts.go is not None else ""
    if problem.unreadable:
        return f"let others read it: COPY --chmod=644{cgo}"
    if problem.reason:
        return f"put one that fits in its place{cgo}"
    others = subject.elsewhere(problem.name)
    if not others:
        return f"COPY it from the stage that built the program, or install the package that has it{cgo}"
    directory = others[0].rpartition("/")[0] or "/"
    if problem.uses_cache and directory in configured_directories(subject.files):
        return f"it is in {directory}, but {CACHE_PATH} is older: RUN ldconfig after it is copied"
    default = next(iter(problem.searched[-1:]), "/usr/lib")
    return f"it is at {others[0]}: COPY it to {default}, or set ENV LD_LIBRARY_PATH={directory}{cgo}"
