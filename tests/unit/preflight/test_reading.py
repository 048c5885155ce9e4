from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from pyoci.errors import UsageError
from pyoci.image import Descriptor
from pyoci.layer.entry import Entry
from pyoci.layer.indexed import OpenBlob
from pyoci.layer.tree import Tree
from pyoci.preflight import reading
from pyoci.preflight.elf_dynamic import Symbols
from pyoci.preflight.file_facts import ElfFacts, FileFacts, analyse, decode_facts, encode_facts
from pyoci.preflight.findings import Finding, decode_findings, encode_findings, known_rules
from pyoci.preflight.reading import Files
from tests.builders import changes_of, directory, hardlink, make_image, make_layer, open_layers, symlink
from tests.elf_builder import ET_DYN, ElfSpec, make_elf
from tests.unit.preflight.looking import GLIBC_LOADER, MUSL_LOADER, STATIC
from tests.unit.preflight.test_elf import WHOLE
from tests.unit.preflight.test_go_build import WRAPPED, inline, names


class Kept:
    """A Memory of a dict."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.values[key] = value


GO = make_elf(
    ElfSpec(
        sections={
            ".go.buildinfo": inline(b"go1.22.1", WRAPPED),
            ".gopclntab": names("time.LoadLocation"),
            ".rodata": b"Europe/Berlin",
            ".debug_info": bytes(77),
        }
    )
)
CONTENTS = {
    "whole": make_elf(WHOLE),
    "static": STATIC,
    "go": GO,
    "glibc": GLIBC_LOADER,
    "musl": MUSL_LOADER,
    "cut": STATIC[:30],
    "script": b"#!/bin/sh\n\xff\n",
    "text": b"echo hi\n",
    "empty": b"",
    "data": b"\0\1\2",
    "windows": b"MZ\x90",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_facts_come_back_from_their_record(content: bytes) -> None:
    facts = analyse(content)
    assert decode_facts(encode_facts(facts)) == facts


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"kind":"elf"}', b'{"kind":1,"head":"","elf":{"a":1},"go":null}', b"\xff"]
)
def test_a_damaged_record_is_none(raw: bytes) -> None:
    assert decode_facts(raw) is None
    assert raw in (b"[]", b"{}") or decode_findings(raw) is None


def test_findings_come_back_from_their_record() -> None:
    found = [
        Finding("ProgramNotFound", "error", "/a\udcff", 'x "y"', "hint", ("entrypoint",)),
        Finding("NoCommand", "note", "", ""),
    ]
    assert decode_findings(encode_findings(found)) == found


def test_kinds() -> None:
    kinds = {name: analyse(content).kind for name, content in CONTENTS.items()}
    assert kinds == {
        **dict.fromkeys(("whole", "static", "go", "glibc", "musl", "cut"), "elf"),
        "script": "script",
        "text": "text",
        "empty": "empty",
        "data": "data",
        "windows": "pe",
    }


def elf_of(content: bytes) -> ElfFacts:
    facts = analyse(content).elf
    assert facts is not None
    return facts


def test_loaders_are_known_by_what_they_hold() -> None:
    assert elf_of(GLIBC_LOADER).loader == "glibc"
    assert elf_of(GLIBC_LOADER).loader_directories == (
        "/lib/x86_64-linux-gnu/",
        "/usr/lib/x86_64-linux-gnu/",
        "/lib/",
        "/usr/lib/",
    )
    assert elf_of(MUSL_LOADER).loader == "musl"
    assert elf_of(make_elf(WHOLE)).loader == ""


def test_debug_information_is_counted() -> None:
    assert elf_of(GO).debug_bytes == 77


def test_rules_are_known_by_name() -> None:
    assert known_rules(["NoCommand"]) == {"NoCommand"}
    with pytest.raises(UsageError, match='there is no preflight rule "NoComand"') as caught:
        known_rules(["NoComand"])
    assert caught.value.hint == 'did you mean "NoCommand"?'


class Layers:
    """Two stored layers that count how often their blobs are opened."""

    def __init__(self) -> None:
        self.first = make_layer({"bin/a": STATIC, "bin/b": GO, "lib/x": make_elf(WHOLE), "bin/link": symlink("a")})
        self.second = make_layer({"bin/c": GLIBC_LOADER, "bin/hard": hardlink("bin/c"), "etc": directory()})
        content, image = make_image([self.first, self.second])
        self.opened = 0
        layers = open_layers(image, content)
        for layer in layers:
            layer._open_blob = self._counting(layer._open_blob)
        self.tree = Tree(layers)

    def _counting(self, inner: OpenBlob) -> OpenBlob:
        def open_blob(descriptor: Descriptor) -> BinaryIO:
            self.opened += 1
            return inner(descriptor)

        return open_blob

    def entries(self, *paths: str) -> Iterator[Entry]:
        for path in paths:
            entry = self.tree.lookup(path)
            assert entry is not None
            yield entry


@pytest.mark.parametrize("limit", [32 << 20, 100], ids=["in memory", "spooled"])
def test_facts_are_those_of_the_bytes_whatever_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(reading, "_IN_MEMORY", limit)
    layers = Layers()
    files = Files(layers.tree, spool=tmp_path)
    paths = ("bin/c", "bin/b", "lib/x", "bin/a", "bin/link", "bin/hard")
    found = files.all_facts(layers.entries(*paths))
    contents = (GLIBC_LOADER, GO, make_elf(WHOLE), STATIC, STATIC, GLIBC_LOADER)
    assert found == [analyse(content) for content in contents]
    assert layers.opened == 2
    assert list(tmp_path.iterdir()) == []
    assert files.symbols(layers.entries("lib/x", "bin/a")) == [
        Symbols(frozenset({"puts"}), frozenset({"own_call", "own_data"})),
        None,
    ]


def test_what_is_known_is_not_read_again(tmp_path: Path) -> None:
    memory, layers = Kept(), Layers()
    first = Files(layers.tree, spool=tmp_path, memory=memory).all_facts(layers.entries("bin/a", "bin/b"))
    before = layers.opened
    assert before
    again = Files(layers.tree, spool=tmp_path, memory=memory).all_facts(layers.entries("bin/a", "bin/b"))
    assert again == first
    assert layers.opened == before


def test_a_damaged_memory_is_read_anew(tmp_path: Path) -> None:
    memory, layers = Kept(), Layers()
    files = Files(layers.tree, spool=tmp_path, memory=memory)
    files.all_facts(layers.entries("bin/a"))
    memory.values = dict.fromkeys(memory.values, b"rubbish")
    assert Files(layers.tree, memory=memory).all_facts(layers.entries("bin/a")) == [analyse(STATIC)]


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FILE_LIMIT", 10)
    layers = Layers()
    (facts,) = Files(layers.tree).all_facts(layers.entries("bin/a"))
    assert isinstance(facts, FileFacts)
    assert facts.problem.startswith("it has more than")
    assert layers.opened == 0


def test_texts_are_bounded() -> None:
    files = Files(Tree([changes_of({"etc/passwd": b"x" * 100, "etc/link": symlink("passwd")})]))
    assert files.text("/etc/link", 10) == b"x" * 10
    assert files.text("/etc", 10) is None
    assert files.text("/etc/gone", 10) is None


def test_files_are_found_by_name() -> None:
    files = Files(Tree([changes_of({"a/app": b"", "b/app": symlink("x"), "c/app": directory(), "app": b""})]))
    assert files.named("app") == ["/a/app", "/app", "/b/app"]
    assert files.named("gone") == []


def test_a_shared_object_is_no_loader_because_of_its_type() -> None:
    assert elf_of(make_elf(ElfSpec(type=ET_DYN, dynamic=True))).loader == ""
