"""Which libraries a program gets: search paths, caches, versions, and what is said when one is missing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import Item, directory, file, symlink
from tests.elf_builder import EM_386, EM_X86_64, ET_DYN, ElfSpec, make_elf
from tests.unit.preflight.looking import GLIBC_LOADER, MUSL_LOADER, executable, look, text_of
from tests.unit.preflight.test_loader_paths import cache

GLIBC = "/lib64/ld-linux-x86-64.so.2"
MUSL = "/lib/ld-musl-x86_64.so.1"
BASES = "debian:bookworm-slim, ubuntu:24.04 or gcr.io/distroless/base-debian12"


def library(soname: str = "", **fields: Any) -> bytes:
    return make_elf(ElfSpec(type=ET_DYN, soname=soname, dynamic=True, **fields))


LIBC = library("libc.so.6", versions=["GLIBC_2.2.5", "GLIBC_2.31"], needed=["ld-linux-x86-64.so.2"])
ON_GLIBC: dict[str, Item] = {
    "lib64/ld-linux-x86-64.so.2": executable(GLIBC_LOADER),
    "lib/x86_64-linux-gnu/libc.so.6": file(LIBC),
}
ON_MUSL: dict[str, Item] = {"lib/ld-musl-x86_64.so.1": executable(MUSL_LOADER)}


def program(interpreter: str = GLIBC, **fields: Any) -> Item:
    return executable(make_elf(ElfSpec(type=ET_DYN, interpreter=interpreter, **fields)))


def say(items: dict[str, Item], **fields: Any) -> list[str]:
    return text_of(look(items, entrypoint=("/app",), **fields))


# the loader


def test_a_missing_loader_of_glibc() -> None:
    assert say({"app": program(needed=["libc.so.6"])}) == [
        f'error: entrypoint "/app" needs the loader {GLIBC} of glibc, which is not in the image: no such file or '
        "directory "
        f"| link it statically, or use a base with glibc such as {BASES}"
    ]


def test_a_missing_loader_of_glibc_where_musl_is() -> None:
    (said,) = say({**ON_MUSL, "app": program()})
    assert said.endswith("; what the image has is musl, so building it on the same base helps too")


def test_a_missing_loader_of_musl() -> None:
    assert say({**ON_GLIBC, "app": program(MUSL)}) == [
        f'error: entrypoint "/app" needs the loader {MUSL} of musl, which is not in the image: no such file or '
        "directory "
        "| link it statically, or use a base with musl such as alpine, or build it on a base with glibc"
    ]


def test_a_missing_loader_of_nobody_in_particular() -> None:
    assert say({"app": program("/nix/store/x/ld.so")}) == [
        'error: entrypoint "/app" needs the loader /nix/store/x/ld.so, which is not in the image: no such file or '
        "directory | link it statically, or use the base that it was built on"
    ]


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        (file(GLIBC_LOADER), "which user 0:0 may not execute: its mode is 0644, its owner 0:0"),
        (directory(), "which user 0:0 may not execute: it is a dir"),
        (executable(make_elf(ElfSpec(type=ET_DYN, bits=32, machine=EM_386))), "which is for 386"),
        (executable(b"#!/bin/sh\n"), "which is no ELF file"),
    ],
)
def test_a_loader_that_cannot_be_used(loader: Item, reason: str) -> None:
    (said,) = say({"app": program(), "lib64/ld-linux-x86-64.so.2": loader})
    assert said.startswith(f'error: entrypoint "/app" needs the loader {GLIBC}, {reason} |')


def test_a_loader_of_neither_is_taken_at_its_word() -> None:
    loader = executable(make_elf(ElfSpec(type=ET_DYN, dynamic=True)))
    assert say({"app": program(needed=["libgone.so"]), "lib64/ld-linux-x86-64.so.2": loader}) == []


# glibc: where libraries are looked for

FOO: dict[str, Any] = {"needed": ["libfoo.so.1"]}
PLACES: dict[str, tuple[dict[str, Item], dict[str, Any], dict[str, Any]]] = {
    "default directory": ({"usr/lib/x86_64-linux-gnu/libfoo.so.1": library()}, FOO, {}),
    "link": ({"lib/libfoo.so.1": symlink("libfoo.so.1.2"), "lib/libfoo.so.1.2": library()}, FOO, {}),
    "a variant for newer processors": ({"lib/glibc-hwcaps/x86-64-v3/libfoo.so.1": library()}, FOO, {}),
    "LD_LIBRARY_PATH": ({"opt/libfoo.so.1": library()}, FOO, {"env": ("LD_LIBRARY_PATH=/x:/opt",)}),
    "RPATH": ({"opt/libfoo.so.1": library()}, {**FOO, "rpath": "/opt"}, {}),
    "RUNPATH": ({"opt/libfoo.so.1": library()}, {**FOO, "runpath": "/x:/opt"}, {}),
    "$ORIGIN": ({"own/libfoo.so.1": library()}, {**FOO, "runpath": "$ORIGIN/own"}, {}),
    "${ORIGIN}": ({"own/libfoo.so.1": library()}, {**FOO, "rpath": "${ORIGIN}/own"}, {}),
    "$LIB": ({"opt/lib/x86_64-linux-gnu/libfoo.so.1": library()}, {**FOO, "rpath": "/opt/$LIB"}, {}),
    "cache": (
        {"opt/libfoo.so.1": library(), "etc/ld.so.cache": cache([("libfoo.so.1", "/opt/libfoo.so.1")])},
        FOO,
        {},
    ),
    "absolute": ({"opt/libfoo.so.1": library()}, {"needed": ["/opt/libfoo.so.1"]}, {}),
    "relative": ({"srv/libfoo.so.1": library()}, {"needed": ["./libfoo.so.1"]}, {"working_dir": "/srv"}),
    "RPATH of the program, for a library's library": (
        {"opt/libfoo.so.1": library(needed=["libbar.so.1"]), "opt/libbar.so.1": library()},
        {**FOO, "rpath": "/opt"},
        {},
    ),
    "RUNPATH of the library": (
        {"lib/libfoo.so.1": library(needed=["libbar.so.1"], runpath="$ORIGIN/foo"), "lib/foo/libbar.so.1": library()},
        FOO,
        {},
    ),
    "a name that a loaded library has": (
        {"opt/a.so": library("libbar.so.1"), "lib/libfoo.so.1": library(needed=["libbar.so.1"])},
        {"needed": ["/opt/a.so", "libfoo.so.1"]},
        {},
    ),
    "libraries that need each other": (
        {"lib/libfoo.so.1": library(needed=["libbar.so.1"]), "lib/libbar.so.1": library(needed=["libfoo.so.1"])},
        FOO,
        {},
    ),
    "the second of two, if the first is for another processor": (
        {
            "x/libfoo.so.1": make_elf(ElfSpec(type=ET_DYN, bits=32, machine=EM_386)),
            "lib/libfoo.so.1": library(),
        },
        {**FOO, "runpath": "/x"},
        {},
    ),
}


@pytest.mark.parametrize(("items", "wants", "fields"), PLACES.values(), ids=PLACES)
def test_a_library_is_found(items: dict[str, Item], wants: dict[str, Any], fields: dict[str, Any]) -> None:
    assert say({**ON_GLIBC, **items, "app": program(**wants)}, **fields) == []


MISSING: dict[str, tuple[dict[str, Item], dict[str, Any], str]] = {
    "nowhere": (
        {},
        FOO,
        "needs the library libfoo.so.1, which the loader does not find "
        "| COPY it from the stage that built the program, or install the package that has it",
    ),
    "in another place": (
        {"opt/libfoo.so.1": library()},
        FOO,
        "needs the library libfoo.so.1, which the loader does not find "
        "| it is at /opt/libfoo.so.1: COPY it to /usr/lib, or set ENV LD_LIBRARY_PATH=/opt",
    ),
    "in a configured directory, but not in the cache": (
        {
            "etc/ld.so.conf": b"/usr/local/lib\n",
            "etc/ld.so.cache": cache([("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6")]),
            "usr/local/lib/libfoo.so.1": library(),
        },
        FOO,
        "needs the library libfoo.so.1, which the loader does not find "
        "| it is in /usr/local/lib, but /etc/ld.so.cache is older: RUN ldconfig after it is copied",
    ),
    "in the cache, but gone": (
        {"etc/ld.so.cache": cache([("libfoo.so.1", "/opt/libfoo.so.1")])},
        FOO,
        "needs the library libfoo.so.1, which the loader does not find "
        "| COPY it from the stage that built the program, or install the package that has it",
    ),
    "for another processor": (
        {"lib/libfoo.so.1": make_elf(ElfSpec(type=ET_DYN, bits=32, machine=EM_386))},
        FOO,
        "needs the library libfoo.so.1, which the loader does not find: /lib/libfoo.so.1 is for 386 "
        "| put one that fits in its place",
    ),
    "empty": (
        {"lib/libfoo.so.1": b""},
        FOO,
        "needs the library libfoo.so.1, which the loader does not find: /lib/libfoo.so.1 is no valid ELF file "
        "| put one that fits in its place",
    ),
    "for a library": (
        {"lib/libfoo.so.1": library(needed=["libbar.so.1"])},
        FOO,
        "needs the library libbar.so.1 (for /lib/libfoo.so.1), which the loader does not find "
        "| COPY it from the stage that built the program, or install the package that has it",
    ),
    "RUNPATH is not inherited": (
        {"opt/libfoo.so.1": library(needed=["libbar.so.1"]), "opt/libbar.so.1": library()},
        {**FOO, "runpath": "/opt"},
        "needs the library libbar.so.1 (for /opt/libfoo.so.1), which the loader does not find "
        "| it is at /opt/libbar.so.1: COPY it to /usr/lib, or set ENV LD_LIBRARY_PATH=/opt",
    ),
    "RPATH does not count beside RUNPATH": (
        {"opt/libfoo.so.1": library()},
        {**FOO, "rpath": "/opt", "runpath": "/x"},
        "needs the library libfoo.so.1, which the loader does not find "
        "| it is at /opt/libfoo.so.1: COPY it to /usr/lib, or set ENV LD_LIBRARY_PATH=/opt",
    ),
    "no default directories": (
        {"lib/libfoo.so.1": library()},
        {**FOO, "flags_1": 0x800},
        "needs the library libfoo.so.1, which the loader does not find "
        "| it is at /lib/libfoo.so.1: COPY it to /usr/lib, or set ENV LD_LIBRARY_PATH=/lib",
    ),
}


@pytest.mark.parametrize(("items", "wants", "expected"), MISSING.values(), ids=MISSING)
def test_a_library_is_missing(items: dict[str, Item], wants: dict[str, Any], expected: str) -> None:
    assert say({**ON_GLIBC, **items, "app": program(**wants)}) == [f'error: entrypoint "/app" {expected}']


def test_a_library_that_the_user_may_not_read() -> None:
    items = {**ON_GLIBC, "lib/libfoo.so.1": file(library(), mode=0o600), "app": program(**FOO)}
    assert say(items, user="9:9") == [
        'error: entrypoint "/app" needs the library libfoo.so.1, which the loader does not find: /lib/libfoo.so.1 '
        "may not "
        "be read by user 9:9: its mode is 0600, its owner 0:0 | let others read it: COPY --chmod=644"
    ]
    assert say(items) == []
    assert say({**items, "lib/libfoo.so.1": file(library(), mode=0o600, uid=9)}) == []


# glibc: versions


def needs(*versions: str, library: str = "libc.so.6") -> dict[str, Any]:
    return {"needed": [library], "version_needs": {library: list(versions)}}


def test_versions_that_are_there_or_need_not_be() -> None:
    assert say({**ON_GLIBC, "app": program(**needs("GLIBC_2.2.5", "GLIBC_2.31", "GLIBC_2.99?"))}) == []


def test_an_older_glibc() -> None:
    wanted = needs("GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.33")
    assert say({**ON_GLIBC, "app": program(**wanted)}) == [
        'error: entrypoint "/app" needs GLIBC_2.33, GLIBC_2.34, which /lib/x86_64-linux-gnu/libc.so.6 does not have '
        "| use a base with glibc 2.34 or newer (ubuntu 22.04 has it), or build it on the image's own base"
    ]


def test_an_older_library_of_a_library() -> None:
    foo = library("libfoo.so.1", needed=["libstdc++.so.6"], version_needs={"libstdc++.so.6": ["GLIBCXX_3.4.30"]})
    items = {
        **ON_GLIBC,
        "lib/libfoo.so.1": foo,
        "lib/libstdc++.so.6": library("libstdc++.so.6", versions=["GLIBCXX_3.4.9"]),
        "app": program(**FOO),
    }
    assert say(items) == [
        'error: entrypoint "/app": /lib/libfoo.so.1 needs GLIBCXX_3.4.30, which /lib/libstdc++.so.6 does not have '
        "| build it on the image's own base, or use a base that is as new as the one it was built on"
    ]


def test_a_library_without_versions_satisfies_every_need() -> None:
    items = {
        **ON_GLIBC,
        "lib/libfoo.so.1": library("libfoo.so.1"),
        "app": program(**needs("FOO_1", library="libfoo.so.1")),
    }
    assert say(items) == []


def test_a_program_of_another_processor_s_loader_is_not_linked() -> None:
    items = {
        "app": executable(make_elf(ElfSpec(type=ET_DYN, machine=EM_386, bits=32, interpreter="/lib/ld-linux.so.2")))
    }
    assert [one.split(" ", 1)[0] for one in say({**items, **ON_GLIBC})] == ["error:", "warning:"]


# musl


def on_musl(**fields: Any) -> Item:
    return program(MUSL, machine=EM_X86_64, **fields)


def test_musl_is_its_own_libraries() -> None:
    wants = ["libc.musl-x86_64.so.1", "libc.so", "libpthread.so.0", "libm.so.6"]
    assert say({**ON_MUSL, "app": on_musl(needed=wants, undefined=["puts"])}) == []


@pytest.mark.parametrize(
    ("items", "fields"),
    [
        ({"usr/local/lib/libfoo.so.1": library()}, {}),
        ({"opt/libfoo.so.1": library(), "etc/ld-musl-x86_64.path": b"/x\n/opt\n"}, {}),
        ({"opt/libfoo.so.1": library()}, {"env": ("LD_LIBRARY_PATH=/opt",)}),
    ],
)
def test_musl_finds_a_library(items: dict[str, Item], fields: dict[str, Any]) -> None:
    assert say({**ON_MUSL, **items, "app": on_musl(**FOO)}, **fields) == []


def test_musl_inherits_run_paths() -> None:
    items = {"opt/libfoo.so.1": library(needed=["libbar.so.1"]), "opt/libbar.so.1": library()}
    assert say({**ON_MUSL, **items, "app": on_musl(**FOO, runpath="$ORIGIN/opt")}) == []


def test_musl_does_not_find_a_library() -> None:
    assert say({**ON_MUSL, "app": on_musl(needed=["libresolv.so.2", "libc.so.6"])}) == [
        'error: entrypoint "/app" needs the library libresolv.so.2, which the loader does not find '
        "| COPY it from the stage that built the program, or install the package that has it"
    ]


def test_musl_wants_every_symbol() -> None:
    items = {
        **ON_MUSL,
        "lib/libfoo.so.1": library(defined=["foo"], undefined=["deep"]),
        "app": on_musl(**FOO, undefined=["foo", "puts", "__printf_chk", "fts_open"], weak=["__gmon_start__"]),
    }
    assert say(items) == [
        'error: entrypoint "/app" needs the symbols __printf_chk, fts_open, which no library in the image has '
        "| build it on the base that it is to run on, or link it statically",
        'error: entrypoint "/app": /lib/libfoo.so.1 needs the symbol deep, which no library in the image has '
        "| build it on the base that it is to run on, or link it statically",
    ]


def test_glibc_s_loader_name_with_musl_behind_it() -> None:
    items = {**ON_MUSL, "lib64/ld-linux-x86-64.so.2": symlink("/lib/ld-musl-x86_64.so.1")}
    assert say({**items, "app": program(**needs("GLIBC_2.99"), undefined=["puts"])}) == []
    assert "libresolv" in say({**items, "app": program(needed=["libresolv.so.2"])})[0]
