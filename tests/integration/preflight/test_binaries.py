"""What is read of real files, held against the tools that everybody reads them with."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.image.config import ContainerConfig
from pyoci.layer.entry import LayerPath, Upsert
from pyoci.layer.index import index_layer
from pyoci.layer.tree import Tree
from pyoci.platforms import Platform
from pyoci.preflight.check import check_image
from pyoci.preflight.elf import is_elf, parse_elf
from pyoci.preflight.elf_dynamic import Dynamic, read_dynamic, read_symbols
from pyoci.preflight.file_facts import analyse, decode_facts, encode_facts
from pyoci.preflight.loader_paths import read_cache
from tests.builders import MemoryChanges

SYSTEM = (
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/bin/dash",
)
GO = ("go-hello", "go-debug", "go-386", "go-arm64", "go-arm-v7", "go-v3", "go-cgo", "go-client", "go-zones", "go-users")

pytestmark = [pytest.mark.needs_go, pytest.mark.needs_cc, pytest.mark.needs_git]


def output(*command: str | Path) -> str:
    environment = {**os.environ, "LC_ALL": "C", "PATH": f"{os.environ['PATH']}:/usr/local/go/bin:/usr/sbin:/sbin"}
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment).stdout


def elf_files(programs: Path) -> Iterator[Path]:
    for path in (*sorted(programs.rglob("*")), *map(Path, SYSTEM)):
        if path.is_file() and path.name not in ("truncated", "c-object"):
            with path.open("rb") as stream:
                if is_elf(stream.read(4)):
                    yield path


def values(text: str, kind: str) -> list[str]:
    return re.findall(rf"\({kind}\)\s.*\[(.*)\]$", text, re.MULTILINE)


def split(found: list[str]) -> tuple[str, ...] | None:
    return tuple(found[0].split(":")) if found else None


def test_readelf_reads_the_same(programs: Path) -> None:
    seen = 0
    for path in elf_files(programs):
        elf = parse_elf(path.read_bytes())
        dynamic = read_dynamic(elf) or Dynamic()
        table, versions = output("readelf", "-dlW", path), output("readelf", "-VW", path)
        interpreter = re.findall(r"Requesting program interpreter: (.*)\]", table)
        assert elf.interpreter() == (interpreter[0] if interpreter else None), path
        assert list(dynamic.needed) == values(table, "NEEDED"), path
        assert dynamic.soname == "".join(values(table, "SONAME")), path
        assert dynamic.rpath == (split(values(table, "RPATH")) or ()), path
        assert dynamic.runpath == split(values(table, "RUNPATH")), path
        defined = re.findall(r"Index: \d+  Cnt: \d+  Name: (\S+)", versions)
        assert list(dynamic.versions or ()) == list(dict.fromkeys(defined)), path
        wanted, library = set(), ""
        for file, name in re.findall(r"File: (\S+)  Cnt|Name: (\S+)  Flags: \S+  Version", versions):
            library = file or library
            wanted |= {(library, name)} if name else set()
        assert {(need.library, need.version) for need in dynamic.version_needs} == wanted, path
        seen += 1
    assert seen > 30


def test_readelf_reads_the_same_symbols(programs: Path) -> None:
    for path in elf_files(programs):
        symbols = read_symbols(parse_elf(path.read_bytes()))
        rows = re.findall(
            r"^ *\d+: \S+ +\S+ \S+ +(GLOBAL|WEAK|UNIQUE) +\S+ +(\S+) ([^@\s]+)",
            output("readelf", "-W", "--dyn-syms", path),
            re.M,
        )
        defined = {name for _, section, name in rows if section != "UND"}
        undefined = {name for binding, section, name in rows if section == "UND" and binding == "GLOBAL"}
        if symbols is None:
            assert not rows, path
            continue
        assert symbols.undefined == undefined, path
        assert symbols.defined >= defined, path


@pytest.mark.parametrize("name", GO)
def test_go_says_the_same_of_a_build(programs: Path, name: str) -> None:
    head, *lines = output("go", "version", "-m", programs / name).splitlines()
    build = analyse((programs / name).read_bytes()).go
    assert build is not None
    assert build.version == head.rpartition(": ")[2]
    fields = [line.split("\t")[1:] for line in lines]
    assert [build.path] == [rest[1] for rest in fields if rest[0] == "path"]
    assert build.main is not None
    assert [build.main.path] == [rest[1] for rest in fields if rest[0] == "mod"]
    settings = dict(rest[1].split("=", 1) for rest in fields if rest[0] == "build")
    assert {key: value for key, value in build.settings.items() if " " not in value} == {
        key: value for key, value in settings.items() if not value.startswith('"')
    }
    assert build.settings.keys() == settings.keys()


def test_what_go_programs_will_do_is_read_from_them(programs: Path) -> None:
    """Each program does one thing, and only what it does is found in it."""
    evidence = {}
    for name in (*GO, "go-server", "go-zones-embedded"):
        build = analyse((programs / name).read_bytes()).go
        assert build is not None
        does = {"certificates": build.names_https_host, "zones": build.names_time_zone}
        does["users"] = "os/user.Lookup" in build.functions
        evidence[name] = sorted(what for what, done in does.items() if done)
    assert {name: does for name, does in evidence.items() if does} == {
        "go-client": ["certificates"],
        "go-zones": ["zones"],
        "go-users": ["users"],
    }


def test_debug_information_is_weighed_and_what_is_stripped_has_none(programs: Path) -> None:
    weights = {}
    for name in ("go-server", "go-server-whole"):
        elf = analyse((programs / name).read_bytes()).elf
        assert elf is not None
        sections = output("readelf", "--section-headers", "--wide", programs / name)
        judged = re.findall(r"\.z?debug_\w+ +\w+ +\w+ \w+ (\w+) ", sections)
        assert elf.debug_bytes == sum(int(size, 16) for size in judged)
        weights[name] = elf.debug_bytes
    assert weights["go-server"] == 0
    assert weights["go-server-whole"] > 1 << 20


def test_the_cache_of_this_machine_is_read_as_ldconfig_reads_it() -> None:
    cache = Path("/etc/ld.so.cache")
    if not cache.exists():
        pytest.skip("no /etc/ld.so.cache")
    listed: dict[str, list[str]] = {}
    for name, path in re.findall(r"^\t(\S+) \(.*\) => (\S+)$", output("ldconfig", "-p"), re.MULTILINE):
        listed.setdefault(name, []).append(path)
    assert read_cache(cache.read_bytes()) == listed


def test_loaders_are_told_apart(programs: Path) -> None:
    glibc = analyse(Path(SYSTEM[0]).read_bytes()).elf
    musl = analyse((programs / "ld-musl-x86_64.so.1").read_bytes()).elf
    other = analyse(Path(SYSTEM[1]).read_bytes()).elf
    assert glibc is not None and musl is not None and other is not None
    assert (glibc.loader, musl.loader, other.loader) == ("glibc", "musl", "")
    asked = output(SYSTEM[0], "--help")
    assert [f"{path}/" for path in re.findall(r"^  (\S+) \(system search path\)", asked, re.MULTILINE)] == list(
        glibc.loader_directories
    )


@pytest.mark.parametrize("name", ["go-hello", "c-glibc", "c-musl", "c-greet-2", "new/libgreet.so.1"])
def test_real_programs_damaged_at_random_have_facts(programs: Path, name: str) -> None:
    whole = (programs / name).read_bytes()
    rng = random.Random(name)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 30)):
            at = rng.choice((rng.randrange(1024), rng.randrange(len(data)), len(data) - rng.randrange(1, 4096)))
            data[at : at + 4] = rng.choice((bytes(4), b"\xff" * 4, rng.randbytes(4)))
        facts = analyse(bytes(data))
        assert decode_facts(encode_facts(facts)) == facts


def tree_of_tar(tar: Path) -> Tree:
    """The tree of an uncompressed tar, with its files in memory."""
    contents: dict[LayerPath, bytes] = {}
    with tar.open("rb") as stream:
        index = index_layer(stream, "none", diff_id=None)
        for change in index.changes:
            place = index.place(change.entry.path) if isinstance(change, Upsert) else None
            if isinstance(change, Upsert) and change.entry.type == "file" and place is not None:
                stream.seek(place.offset)
                contents[change.entry.path] = stream.read(place.size)
    return Tree([MemoryChanges(tuple(index.changes), contents)])


@pytest.mark.needs_root
@pytest.mark.needs_apt
def test_every_program_of_debian_can_run_there(debian_tar: Path) -> None:
    """Each of its programs as an entrypoint: scripts, perl, links, alternatives, and all of their libraries."""
    tree = tree_of_tar(debian_tar)
    faults, looked_at = [], 0
    for directory in ("usr/bin", "usr/sbin", "bin", "sbin"):
        for entry in tree.children(directory):
            if entry.type == "dir" or (entry.type == "file" and not entry.mode & 0o111):
                continue
            config = ContainerConfig(entrypoint=(f"/{directory}/{entry.path.rpartition('/')[2]}",))
            faults += [one.line() for one in check_image(config, Platform("linux", "amd64"), tree)]
            looked_at += 1
    assert looked_at > 400
    assert faults == []
