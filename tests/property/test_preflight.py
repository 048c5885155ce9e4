"""Hostile files never make preflight fail: whatever is in them, the answer is a fact, and it survives being kept."""

from __future__ import annotations

import random
from base64 import b64encode
from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyoci.image.config import ContainerConfig
from pyoci.layer.tree import Tree
from pyoci.platforms import Platform
from pyoci.preflight.check import check_image
from pyoci.preflight.elf import MalformedElf, parse_elf
from pyoci.preflight.elf_dynamic import read_symbols
from pyoci.preflight.file_facts import analyse, decode_facts, encode_facts
from pyoci.preflight.findings import RULES, decode_findings, encode_findings
from pyoci.preflight.leak_forms import forms_of
from pyoci.preflight.loader_paths import read_cache
from pyoci.preflight.scripts import read_first_line
from pyoci.preflight.shell import first_command, may_swallow_signals, shell_script
from tests.builders import Item, changes_of, file
from tests.elf_builder import EM_386, ET_DYN, ElfSpec, make_elf
from tests.unit.preflight.looking import GLIBC_LOADER, MUSL_LOADER
from tests.unit.preflight.test_elf import WHOLE
from tests.unit.preflight.test_go_build import MAGIC, WRAPPED, inline, names
from tests.unit.preflight.test_loader_paths import PAIRS, cache

GO = {".go.buildinfo": inline(b"go1.22.1", WRAPPED), ".gopclntab": names("time.LoadLocation"), ".rodata": b"Asia/Tokyo"}
SEEDS = [
    make_elf(WHOLE),
    make_elf(ElfSpec(bits=32, little=False, machine=EM_386, type=ET_DYN, needed=["a"], version_needs={"a": ["A_1"]})),
    make_elf(ElfSpec(sections=GO)),
    make_elf(ElfSpec(sections={".go.buildinfo": MAGIC + bytes((8, 0)) + bytes(range(16))})),
    make_elf(ElfSpec(type=ET_DYN, interpreter="/lib64/ld-linux-x86-64.so.2", needed=["libc.so.6"], defined=["x"])),
    GLIBC_LOADER,
    MUSL_LOADER,
    b"#!/usr/bin/env -S A=1 sh -e\r\n",
    b"",
]
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """One of the seeds with a few bytes, words or pieces changed, cut or repeated."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    for _ in range(draw(st.integers(1, 8))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = bytes((rng.randrange(256),))
            case 1:
                size = rng.choice((2, 4, 8))
                data[at : at + size] = (rng.choice(EDGES) & (1 << 8 * size) - 1).to_bytes(
                    size, rng.choice(("little", "big"))
                )
            case 2:
                del data[at:]
            case 3:
                other = rng.randrange(len(data) + 1)
                data[at : at + 16] = data[other : other + 16]
            case _:
                data += bytes(rng.randrange(64))
    return bytes(data)


@given(damaged())
@settings(max_examples=600, deadline=None)
def test_any_bytes_have_facts_that_can_be_kept(data: bytes) -> None:
    facts = analyse(data)
    assert decode_facts(encode_facts(facts)) == facts


@given(damaged())
@settings(max_examples=300, deadline=None)
def test_symbols_are_read_or_malformed(data: bytes) -> None:
    with suppress(MalformedElf):
        read_symbols(parse_elf(data))


@given(damaged(), damaged(), damaged())
@settings(max_examples=200, deadline=None)
def test_an_image_of_damaged_files_is_judged(program: bytes, loader: bytes, library: bytes) -> None:
    items: dict[str, Item] = {
        "app": file(program, mode=0o755),
        "lib64/ld-linux-x86-64.so.2": file(loader, mode=0o755),
        "lib/libc.so.6": file(library),
        "etc/ld.so.cache": library,
        "etc/passwd": program,
    }
    config = ContainerConfig(entrypoint=("/app",), user="a", env=("LD_LIBRARY_PATH=/lib",))
    found = check_image(config, Platform("linux", "amd64"), Tree([changes_of(items)]), audience="kubernetes")
    assert {one.rule for one in found} <= RULES.keys()
    assert all(one.message.isprintable() and one.hint.isprintable() for one in found)
    assert decode_findings(encode_findings(found)) == found


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
@example(b"#!")
@example(b"#!\r\n")
def test_any_beginning_is_a_first_line(head: bytes) -> None:
    line = read_first_line(head)
    assert not line.interpreter or head.startswith(b"#!")


@given(st.binary(max_size=200), st.integers(0, 300))
@settings(max_examples=300, deadline=None)
def test_any_cache_is_read(tail: bytes, size: int) -> None:
    raw = (cache(PAIRS)[:size] + tail).ljust(10, b"\0")
    for name, paths in read_cache(raw).items():
        assert name
        assert all(paths)
    read_cache(tail)


@given(st.text(max_size=80), st.lists(st.text(max_size=10), max_size=5))
@settings(max_examples=300, deadline=None)
@example("", ["/ \x1b"])
@example("", [" "])
def test_any_command_line_is_looked_at(script: str, words: list[str]) -> None:
    word = first_command(script)
    assert word is None or word in script
    may_swallow_signals(script, "/bin/dash")
    shell_script(tuple(words))
    config = ContainerConfig(entrypoint=tuple(words) or None, cmd=("/bin/sh", "-c", script))
    found = check_image(config, Platform("linux", "amd64"), Tree([changes_of({"bin/sh": file(SEEDS[2], mode=0o755)})]))
    assert all(one.message.isprintable() and one.hint.isprintable() for one in found)


@given(st.binary(min_size=8, max_size=200), st.binary(max_size=5), st.binary(max_size=5))
@settings(max_examples=300, deadline=None)
def test_base64_of_anything_that_holds_a_secret_holds_a_form_of_it(value: bytes, before: bytes, behind: bytes) -> None:
    bare = value.strip()
    if len(bare) < 8:
        return
    encoded = b64encode(before + bare + behind)
    assert any(form.pattern in encoded for form in forms_of(value))
