from __future__ import annotations

import struct

import pytest

from pyoci.preflight.elf import MalformedElf, parse_elf
from pyoci.preflight.go_build import GoBuild, Module, read_go_build
from tests.elf_builder import ElfSpec, make_elf

MAGIC = b"\xff Go buildinf:"
TEXT = (
    "path\texample.com/app\n"
    "mod\texample.com/app\t(devel)\t\n"
    "dep\tgolang.org/x/text\tv0.3.0\th1:abc=\n"
    "dep\texample.com/old\tv1.0.0\n"
    "=>\texample.com/new\tv1.2.0\th1:def=\n"
    "build\t-compiler=gc\n"
    'build\t-ldflags="-s -w -X \\"main.v=1\\""\n'
    "build\tCGO_ENABLED=0\n"
    "build\tGOARCH=arm64\n"
    "build\tvcs.modified=true\n"
)
WRAPPED = b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6" + TEXT.encode()
WRAPPED += b"\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2"
"""The module text between the marks of cmd/go/internal/modload (infoStart and infoEnd)."""


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def inline(version: bytes, text: bytes) -> bytes:
    """The form since Go 1.18."""
    strings = b"".join(varint(len(part)) + part for part in (version, text))
    return MAGIC + bytes((8, 2)) + bytes(16) + strings


def read(content: bytes, **sections: bytes) -> GoBuild | None:
    return read_go_build(parse_elf(make_elf(ElfSpec(sections={".go.buildinfo": content, **sections}))))


def test_the_inline_form() -> None:
    build = read(inline(b"go1.22.1", WRAPPED))
    assert build is not None
    assert (build.version, build.path, build.main) == (
        "go1.22.1",
        "example.com/app",
        Module("example.com/app", "(devel)"),
    )
    assert build.dependencies == (Module("golang.org/x/text", "v0.3.0"), Module("example.com/new", "v1.2.0"))
    assert build.settings == {
        "-compiler": "gc",
        "-ldflags": '-s -w -X "main.v=1"',
        "CGO_ENABLED": "0",
        "GOARCH": "arm64",
        "vcs.modified": "true",
    }
    assert build.setting("GOOS") == ""


@pytest.mark.parametrize(("bits", "little"), [(64, True), (64, False), (32, True), (32, False)])
def test_the_pointer_form(bits: int, little: bool) -> None:
    """As Go 1.13 to 1.17 wrote it: two pointers to string headers, which hold address and length."""
    order, word, size = "<" if little else ">", "Q" if bits == 64 else "I", bits // 8
    strings = {".version": b"go1.15.15", ".modinfo": WRAPPED}

    def made(headers: bytes, info: bytes) -> bytes:
        sections = {**strings, ".headers": headers, ".go.buildinfo": MAGIC + info}
        return make_elf(ElfSpec(bits=bits, little=little, sections=sections))

    # Addresses are offsets here, and where things are does not depend on what the headers hold.
    found = {section.name: section.offset for section in parse_elf(made(bytes(4 * size), bytes(18))).sections()}
    pairs = [(found[name], len(content)) for name, content in strings.items()]
    headers = b"".join(struct.pack(order + word * 2, *pair) for pair in pairs)
    pointers = struct.pack(order + word * 2, found[".headers"], found[".headers"] + 2 * size)
    data = made(headers, bytes((size, 0 if little else 1)) + pointers.ljust(16, b"\0"))
    build = read_go_build(parse_elf(data))
    assert build is not None
    assert (build.version, build.path) == ("go1.15.15", "example.com/app")


def test_without_sections_the_writable_segment_is_searched() -> None:
    spec = ElfSpec(sections={".text": bytes(100), ".data": inline(b"go1.22.1", WRAPPED)}, section_headers=False)
    build = read_go_build(parse_elf(make_elf(spec)))
    assert build is not None
    assert build.version == "go1.22.1"


def test_another_program_is_no_go_program() -> None:
    assert read_go_build(parse_elf(make_elf(ElfSpec()))) is None
    unaligned = ElfSpec(sections={".data": b"12345678" + inline(b"go1.22.1", WRAPPED)})
    assert read_go_build(parse_elf(make_elf(unaligned))) is None


def test_a_binary_without_module_information_still_has_a_version() -> None:
    build = read(inline(b"go1.22.1", b""))
    assert build is not None
    assert (build.version, build.path, build.main, build.settings) == ("go1.22.1", "", None, {})


@pytest.mark.parametrize(
    "content",
    [
        inline(b"perl5", WRAPPED),
        MAGIC + bytes((8, 2)) + bytes(16) + b"\xff\xff\xff\xff\xff\xff",
        MAGIC + bytes((8, 2)) + bytes(16) + varint(1 << 27),
        MAGIC + bytes((8, 2)) + bytes(16) + varint(20_000) + b"go1.22",
        MAGIC + bytes((8, 0)) + b"\xff" * 16,
        MAGIC + bytes((5, 0)) + bytes(16),
    ],
)
def test_damaged_information_is_malformed(content: bytes) -> None:
    with pytest.raises(MalformedElf):
        read(content.ljust(32, b"\0"))


def names(*functions: str) -> bytes:
    return b"\0" + b"".join(name.encode() + b"\0" for name in functions)


X509, CLIENT, ZONES = "crypto/x509.initSystemRoots", "net/http.(*Client).do", "time.LoadLocation"


def evidence(*functions: str, text: bytes = b"") -> GoBuild:
    build = read(inline(b"go1.22.1", b""), **{".gopclntab": names(*functions), ".rodata": text})
    assert build is not None
    return build


def test_linked_functions_are_whole_names() -> None:
    assert evidence("main.main", X509, "net/http.(*Client).do.func1", "time.LoadLocationFromTZData").functions == {X509}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"GEThttps://api.acme.test/v1POST", True),
        (b"seehttps://go.dev/issue/1https://pkg.go.dev/net", False),
        (b"http://api.acme.test", False),
        (b"https://localhost:8080", False),
    ],
)
def test_an_https_address_counts_unless_it_is_a_document(text: bytes, expected: bool) -> None:
    assert evidence(X509, CLIENT, text=text).names_https_host is expected


def test_an_https_address_counts_only_in_a_program_that_verifies_certificates() -> None:
    assert not evidence(CLIENT, text=b"https://api.acme.test").names_https_host


@pytest.mark.parametrize(
    ("functions", "text", "expected"),
    [
        ((ZONES,), b"not pollableEurope/Berlin/etc/zoneinfo", True),
        ((ZONES,), b"not pollable/etc/zoneinfo", False),
        ((), b"Europe/Berlin", False),
        ((ZONES, "time.registerLoadFromEmbeddedTZData"), b"Europe/Berlin", False),
    ],
)
def test_zones_count_where_one_is_named_and_none_are_built_in(
    functions: tuple[str, ...], text: bytes, expected: bool
) -> None:
    assert evidence(*functions, text=text).names_time_zone is expected


def test_built_in_certificates_are_seen() -> None:
    pem = b"-----BEGIN CERTIFICATE-----\nMIIFaz"
    assert evidence(X509, text=pem).own_certificates
    assert not evidence(text=pem).own_certificates
