"""Dynamic linking as glibc's and musl's loaders do it at program start, on the tree: what a program would get and lack.

Breadth first, as the loaders do it, so that each round of libraries is read in one pass. Where loaders differ by
version or processor the more generous answer is taken: what is reported missing is missing everywhere.

Spec: ld.so(8), System V ABI chapter 5; musl's "Functional differences from glibc".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyoci.layer.entry import Entry
from pyoci.preflight.access import may_read
from pyoci.preflight.architecture import architecture_of, same_machine
from pyoci.preflight.elf_dynamic import Dynamic
from pyoci.preflight.file_facts import ElfFacts, FileFacts
from pyoci.preflight.loader_paths import cached_libraries, default_directories, musl_directories
from pyoci.preflight.subject import Subject, owner_and_mode
from pyoci.values import dataclass, field

__all__ = ["LibraryProblem", "SymbolProblem", "VersionProblem", "link_problems"]

_OBJECT_LIMIT = 4096
_HWCAPS = ("glibc-hwcaps/x86-64-v2", "glibc-hwcaps/x86-64-v3", "glibc-hwcaps/x86-64-v4", "tls", "haswell", "x86_64")
_MUSL_OWN = ("libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet.")
"""Libraries that musl is itself, whatever follows the dot."""


@dataclass(frozen=True, slots=True)
class LibraryProblem:
    """A library that the loader would not find."""

    name: str
    wanted_by: str
    reason: str = ""
    """Why one that is there does not do; empty where there is none."""
    unreadable: bool = False
    """It would do if the user might read it."""
    searched: tuple[str, ...] = ()
    """Directories that the loader looks in."""
    uses_cache: bool = False
    """Whether it asks `ld.so.cache`."""


@dataclass(frozen=True, slots=True)
class VersionProblem:
    """A symbol version that a library does not define."""

    version: str
    library: str
    wanted_by: str


@dataclass(frozen=True, slots=True)
class SymbolProblem:
    """A symbol that nothing defines, under a loader that wants all of them at once."""

    symbol: str
    wanted_by: str


@dataclass(slots=True)
class _Object:
    """A file in the process."""

    path: str
    """By which it was found."""
    real_path: str
    entry: Entry
    elf: ElfFacts
    loader: _Object | None
    """Which one wanted it first."""
    names: set[str] = field(default_factory=set)

    @property
    def dynamic(self) -> Dynamic:
        return self.elf.dynamic or Dynamic()

    def chain(self) -> Iterator[_Object]:
        """The object itself and those that led to it, up to the program."""
        here: _Object | None = self
        while here is not None:
            yield here
            here = here.loader


@dataclass(slots=True)
class _Search:
    """Where one object's libraries are looked for."""

    directories: list[str]
    """Before the cache."""
    cache: Mapping[str, list[str]] | None
    defaults: list[str]


class _Linker:
    def __init__(self, subject: Subject, program: _Object, loader: _Object) -> None:
        self.subject = subject
        self.program = program
        self.loader = loader
        self.is_musl = loader.elf.loader == "musl"
        self.cache = None if self.is_musl else cached_libraries(subject.files)
        if self.is_musl:
            self.defaults = musl_directories(subject.files, loader.real_path if _is_musl_name(loader) else loader.path)
        else:
            self.defaults = default_directories(architecture_of(program.elf), loader.elf.loader_directories)
        self.objects = [program, loader]
        self.problems: list[LibraryProblem | VersionProblem | SymbolProblem] = []

    def load(self) -> None:
        """Finds every library, round by round."""
        names = {name for known in self.objects for name in known.names}
        by_path = {known.real_path: known for known in self.objects}
        waiting = [self.program]
        while waiting and len(self.objects) < _OBJECT_LIMIT:
            wanted: dict[str, _Object] = {}
            for one in waiting:
                for name in one.dynamic.needed:
                    if name not in names and not (self.is_musl and name.startswith(_MUSL_OWN)):
                        names.add(name)
                        wanted[name] = one
            waiting = []
            for name, found in self._round(wanted).items():
                same = by_path.setdefault(found.real_path, found)
                same.names |= {name, found.dynamic.soname} - {""}
                names |= same.names
                if same is found:
                    self.objects.append(found)
                    waiting.append(found)

    def _round(self, wanted: dict[str, _Object]) -> dict[str, _Object]:
        candidates = {name: list(self._candidates(name, requester)) for name, requester in wanted.items()}
        first = [paths[0][2] for paths in candidates.values() if paths]
        self.subject.files.all_facts(first)  # read together, in one pass
        found = {}
        for name, requester in wanted.items():
            reason, unreadable = "", False
            for path, real_path, entry in candidates[name]:
                facts = self.subject.files.facts(entry)
                objection = self._objection(path, entry, facts)
                unreadable = unreadable if reason else not may_read(entry, self.subject.account)
                reason = reason or objection
                if not objection and facts.elf is not None:
                    found[name] = _Object(path, real_path, entry, facts.elf, requester)
                    break
            else:
                search = self._search(requester)
                searched = tuple(dict.fromkeys(d for d in (*search.directories, *search.defaults) if d))
                uses_cache = search.cache is not None
                self.problems.append(LibraryProblem(name, requester.path, reason, unreadable, searched, uses_cache))
        return found

    def _objection(self, path: str, entry: Entry, facts: FileFacts) -> str:
        if not may_read(entry, self.subject.account):
            return f"{path} may not be read by {self.subject.account}: {owner_and_mode(entry)}"
        if facts.elf is None:
            return f"{path} is no valid ELF file" if not facts.problem else f"{path}: {facts.problem}"
        if not same_machine(facts.elf, self.program.elf):
            return f"{path} is for {architecture_of(facts.elf)}"
        return ""

    def _candidates(self, name: str, requester: _Object) -> Iterator[tuple[str, str, Entry]]:
        """Files of that name in the order in which the loader tries them."""
        for path in self._paths(name, requester):
            reached = self.subject.reach(path)
            if reached.obstacle is None and reached.entry is not None and reached.entry.type == "file":
                yield path, reached.path, reached.entry

    def _paths(self, name: str, requester: _Object) -> Iterator[str]:
        if "/" in name:
            yield from self._expanded(name, requester)
            return
        search = self._search(requester)
        for directory in search.directories:
            yield from self._in(directory, name)
        if search.cache is not None:
            yield from search.cache.get(name, ())
        for directory in search.defaults:
            yield from self._in(directory, name)

    def _in(self, directory: str, name: str) -> Iterator[str]:
        base = directory.rstrip("/") or ("" if directory else ".")
        yield f"{base}/{name}"
        if not self.is_musl:
            yield from (f"{base}/{below}/{name}" for below in _HWCAPS)

    def _search(self, requester: _Object) -> _Search:
        variable = self.subject.env.get("LD_LIBRARY_PATH", "")
        from_variable = variable.replace(";", ":").split(":") if variable else []
        if self.is_musl:
            own = [d for one in requester.chain() for d in self._run_path(one)]
            return _Search([*from_variable, *own], None, self.defaults)
        inherited: list[str] = []
        if requester.dynamic.runpath is None:
            for one in (*requester.chain(), self.program):
                if one.dynamic.runpath is None:
                    inherited += self._all_expanded(one.dynamic.rpath, one)
        own = self._all_expanded(requester.dynamic.runpath or (), requester)
        if requester.dynamic.no_default_paths:
            return _Search([*inherited, *from_variable, *own], None, [])
        return _Search([*inherited, *from_variable, *own], self.cache, self.defaults)

    def _run_path(self, one: _Object) -> list[str]:
        dynamic = one.dynamic
        return self._all_expanded(dynamic.rpath if dynamic.runpath is None else dynamic.runpath, one)

    def _all_expanded(self, texts: tuple[str, ...], one: _Object) -> list[str]:
        return [expanded for text in texts for expanded in self._expanded(text, one)]

    def _expanded(self, text: str, one: _Object) -> list[str]:
        """A path with `$ORIGIN`, `$LIB` and `$PLATFORM` replaced by everything that they may mean."""
        found = [text]
        multiarch = [
            d.removeprefix("/").removeprefix("usr/") for d in self.defaults if d.startswith(("/lib", "/usr/lib"))
        ]
        tokens = {
            "ORIGIN": [path.rpartition("/")[0] or "/" for path in dict.fromkeys((one.path, one.real_path))],
            "LIB": list(dict.fromkeys(["lib64", "lib", *multiarch])),
            "PLATFORM": ["x86_64", "haswell", "xeon_phi", "aarch64"],
        }
        for token, values in tokens.items():
            for spelt in (f"${{{token}}}", f"${token}"):
                if spelt in text:
                    found = [path.replace(spelt, value) for path in found for value in values]
        return found

    def check_versions(self) -> None:
        """Symbol versions: glibc refuses to start where one is not defined; musl does not look."""
        for one in self.objects:
            for need in one.dynamic.version_needs:
                library = next((o for o in self.objects if need.library in o.names), None)
                if library is None or need.weak or library.dynamic.versions is None:
                    continue
                if need.version not in library.dynamic.versions:
                    self.problems.append(VersionProblem(need.version, library.path, one.path))

    def check_symbols(self) -> None:
        """Symbols: musl resolves all of them before the program runs."""
        found = self.subject.files.symbols([one.entry for one in self.objects])
        if any(symbols is None for symbols in found):
            return
        defined = frozenset().union(*(symbols.defined for symbols in found if symbols))
        for one, symbols in zip(self.objects, found, strict=True):
            for name in sorted(symbols.undefined - defined) if symbols else ():
                self.problems.append(SymbolProblem(name, one.path))


def _is_musl_name(loader: _Object) -> bool:
    return loader.real_path.rpartition("/")[2].startswith("ld-musl-")


def link_problems(
    subject: Subject, program: tuple[str, Entry, ElfFacts], loader: tuple[str, str, Entry, ElfFacts]
) -> list[LibraryProblem | VersionProblem | SymbolProblem]:
    """What a program would lack at start: path, entry and facts of the program; path, real path, entry and facts of its
    loader. Nothing for a loader that is neither glibc's nor musl's.

    Raises:
        LayerError, ContentError: a library's bytes cannot be had.
    """
    if not loader[3].loader:
        return []
    main = _Object(program[0], program[0], program[1], program[2], None)
    started = _Object(*loader, main)
    started.names = {name for path in loader[:2] if (name := path.rpartition("/")[2])}
    if loader[3].dynamic is not None and loader[3].dynamic.soname:
        started.names.add(loader[3].dynamic.soname)
    linker = _Linker(subject, main, started)
    linker.load()
    if not linker.is_musl:
        linker.check_versions()
    elif not linker.problems:
        linker.check_symbols()
    return linker.problems
