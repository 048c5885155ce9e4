"""How a Go program was built, and what it will want at run time: `.go.buildinfo` and the functions linked into it.

Both forms of build information are read: pointers to strings (Go 1.13 to 1.17) and strings in place (from 1.18).
Names of linked functions stand in the line table, which a Go program always has, stripped or not: the runtime prints
stack traces from it.

Spec: the comments of Go's debug/buildinfo and cmd/link; `go version -m` is the judge in tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pyoci.preflight.elf import PT_LOAD, Elf, Fields, MalformedElf
from pyoci.regex import regex
from pyoci.values import dataclass, field, replace

__all__ = ["LINKED_FUNCTIONS", "GoBuild", "Module", "read_go_build"]

_MAGIC = b"\xff Go buildinf:"
_ALIGNMENT, _HEADER = 16, 32
_WRITABLE = 2
_TEXT_LIMIT = 4 * 1024 * 1024
_SENTINEL = 16
"""Bytes of random-looking marks round the module text, by which it was found before it had an address."""
_TABLES = (".gopclntab", ".data.rel.ro.gopclntab")
_TEXTS = (".rodata", ".data.rel.ro")
_ZONE = regex(rb"(?:Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific)/[A-Z][a-z]{2}")
_URL = regex(rb"https://[a-z0-9-]+\.[a-z0-9.-]*[a-z]")
_EMBEDDED_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMII"
_DOCUMENTS = tuple(
    b"go.dev golang.org pkg.go.dev godoc.org github.com www.github.com gitlab.com golang.google.cn www.w3.org w3.org "
    b"tools.ietf.org datatracker.ietf.org www.rfc-editor.org rfc-editor.org www.iana.org developers.google.com "
    b"protobuf.dev json-schema.org www.json.org en.wikipedia.org wikipedia.org stackoverflow.com goo.gl bit.ly "
    b"opentelemetry.io kubernetes.io k8s.io git.k8s.io prometheus.io grpc.io yaml.org swagger.io www.apache.org "
    b"creativecommons.org opensource.org spdx.org schema.org example.com www.example.com".split()
)
"""Hosts whose addresses stand in programs to be read by people; they say nothing about connections. Constants stand end
to end in a Go program, so that what follows a host may belong to the next one."""

LINKED_FUNCTIONS = (
    "crypto/tls.Dial",
    "crypto/x509.SetFallbackRoots",
    "crypto/x509.initSystemRoots",
    "google.golang.org/grpc/credentials.(*tlsCreds).ClientHandshake",
    "net/http.(*Client).do",
    "os/user.Current",
    "os/user.Lookup",
    "os/user.LookupGroup",
    "os/user.LookupId",
    "time.LoadLocation",
    "time.registerLoadFromEmbeddedTZData",
)
"""Functions that are looked for. The linker drops what nothing calls, so where one is, something calls it."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module with its version; `(devel)` for a working copy."""

    path: str
    version: str


@dataclass(frozen=True, slots=True)
class GoBuild:
    """A Go program as its build information describes it."""

    version: str
    """Of the toolchain: `go1.22.1`, perhaps with experiments behind it."""
    path: str = ""
    """Package path of the main package."""
    main: Module | None = None
    dependencies: tuple[Module, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    """`GOOS`, `CGO_ENABLED`, `-race`, `vcs.modified`, …; empty before Go 1.18."""
    functions: frozenset[str] = frozenset()
    """Which of `LINKED_FUNCTIONS` are there."""
    names_time_zone: bool = False
    """It loads time zones by name, has none built in, and the name of one is among its constants."""
    names_https_host: bool = False
    """It can speak HTTPS as a client, and an https address is among its constants."""
    own_certificates: bool = False
    """Certificates are built in."""

    def setting(self, name: str) -> str:
        """A setting's value; empty where it is not recorded."""
        return self.settings.get(name, "")


def read_go_build(elf: Elf) -> GoBuild | None:
    """The build information of a Go program; None for any other.

    Raises:
        MalformedElf: there is some, but it is damaged.
    """
    at = _find(elf)
    if at is None:
        return None
    header = elf.fields.take(at, _HEADER)
    if header[15] & 2:
        version, end = _inline(elf.fields, at + _HEADER)
        text, _ = _inline(elf.fields, end)
    else:
        pointed = _Pointers(elf, "Q" if header[14] == 8 else "I", ">" if header[15] & 1 else "<")
        size = header[14]
        if size not in (4, 8):
            raise MalformedElf("the build information has pointers of an unknown size")
        version, text = pointed.string(at + 16), pointed.string(at + 16 + size)
    if not version.startswith((b"go", b"devel")):
        raise MalformedElf("the build information names no version of Go")
    if len(text) >= 2 * _SENTINEL + 1 and text[-_SENTINEL - 1 : -_SENTINEL] == b"\n":
        text = text[_SENTINEL:-_SENTINEL]
    else:
        text = b""
    return _with_evidence(_parsed(_decode(version), _decode(text)), elf)


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _find(elf: Elf) -> int | None:
    """Where the header is: in the section of that name, else at an aligned place of the first writable segment."""
    section = elf.section(".go.buildinfo")
    areas = [(section.offset, section.size)] if section else []
    writable = next((s for s in elf.segments if s.type == PT_LOAD and s.flags & _WRITABLE), None)
    if writable is not None:
        areas.append((writable.offset, writable.file_size))
    data = elf.fields.data
    for start, size in areas:
        at, end = min(start, len(data)), min(start + size, len(data))
        while (at := data.find(_MAGIC, at, end)) >= 0:
            if (at - start) % _ALIGNMENT == 0 and at + _HEADER <= len(data):
                return at
            at += 1
    return None


def _inline(fields: Fields, at: int) -> tuple[bytes, int]:
    """A string whose length stands before it as a varint, and where it ends."""
    size = shift = 0
    while True:
        byte = fields.take(at, 1)[0]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift > 28:
            raise MalformedElf("a length in the build information is too large")
    if size > _TEXT_LIMIT:
        raise MalformedElf("the build information is too long")
    return fields.take(at, size), at + size


class _Pointers:
    """Go string headers (address, length), reached through pointers."""

    def __init__(self, elf: Elf, word: str, order: str) -> None:
        self._elf = elf
        self._word = word
        self._fields = Fields(elf.fields.data, "<" if order == "<" else ">")

    def string(self, at: int) -> bytes:
        (header,) = self._fields.unpack(self._word, at)
        address, size = self._fields.unpack(self._word * 2, self._elf.file_offset(header))
        if size > _TEXT_LIMIT:
            raise MalformedElf("the build information is too long")
        return self._fields.take(self._elf.file_offset(address), size) if size else b""


def _parsed(version: str, text: str) -> GoBuild:
    """The lines of `go version -m`: a word, a tab, fields."""
    path, main = "", None
    dependencies: list[Module] = []
    settings: dict[str, str] = {}
    for line in text.split("\n"):
        kind, _, rest = line.partition("\t")
        fields = rest.split("\t")
        if kind == "path":
            path = rest
        elif kind in ("mod", "dep", "=>"):
            module = Module(fields[0], fields[1] if len(fields) > 1 else "")
            if kind == "mod":
                main = module
            elif kind == "dep":
                dependencies.append(module)
            elif dependencies:
                dependencies[-1] = module
        elif kind == "build":
            name, _, value = rest.partition("=")
            settings[_unquoted(name)] = _unquoted(value)
    return GoBuild(version, path, main, tuple(dependencies), settings)


def _unquoted(text: str) -> str:
    """A key or value that Go quotes when it holds blanks or quotes."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in '"`':
        return text
    if text[0] == "`":
        return text[1:-1]
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text[1:-1])


def _with_evidence(build: GoBuild, elf: Elf) -> GoBuild:
    """Adds what the program's tables and constants tell about what it will do."""
    data = elf.fields.data
    tables, texts = _area(elf, _TABLES), _area(elf, _TEXTS)
    linked = frozenset(name for name in LINKED_FUNCTIONS if data.find(b"\0" + name.encode() + b"\0", *tables) >= 0)
    verifies = "crypto/x509.initSystemRoots" in linked
    zones = "time.LoadLocation" in linked and "time.registerLoadFromEmbeddedTZData" not in linked
    return replace(
        build,
        functions=linked,
        names_time_zone=zones and _ZONE.search(data, *texts) is not None,
        names_https_host=verifies and any(_is_connection(url[0]) for url in _URL.finditer(data, *texts)),
        own_certificates=verifies and data.find(_EMBEDDED_CERTIFICATE) >= 0,
    )


def _area(elf: Elf, names: tuple[str, ...]) -> tuple[int, int]:
    """A section's bytes; the whole file where sections are not named."""
    size = len(elf.fields.data)
    section = elf.section(*names)
    return (min(section.offset, size), min(section.offset + section.size, size)) if section else (0, size)


def _is_connection(url: bytes) -> bool:
    return not url.removeprefix(b"https://").startswith(_DOCUMENTS)
