from __future__ import annotations

import struct

import pytest

from pyoci.layer.tree import Tree
from pyoci.preflight.loader_paths import (
    cached_libraries,
    configured_directories,
    default_directories,
    musl_directories,
    read_cache,
)
from pyoci.preflight.reading import Files
from tests.builders import Item, changes_of, symlink

PAIRS = [
    ("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
    ("libz.so.1", "/lib/libz.so.1"),
    ("libz.so.1", "/opt/libz.so.1"),
]


def files(items: dict[str, Item]) -> Files:
    return Files(Tree([changes_of(items)]))


def cache(pairs: list[tuple[str, str]], order: str = "<", flags: int = 0) -> bytes:
    """glibc's dl-cache.h: a header of 48 bytes, entries of 24, then the strings, offsets from the header."""
    strings, rows = b"", b""
    start = 48 + 24 * len(pairs)
    for name, path in pairs:
        key = start + len(strings)
        strings += name.encode() + b"\0"
        value = start + len(strings)
        strings += path.encode() + b"\0"
        rows += struct.pack(order + "iIIIQ", 0x303, key, value, 0, 0)
    header = b"glibc-ld.so.cache1.1" + struct.pack(order + "II", len(pairs), len(strings)) + bytes((flags,)) + bytes(19)
    return header + rows + strings


EXPECTED = {"libc.so.6": ["/lib/x86_64-linux-gnu/libc.so.6"], "libz.so.1": ["/lib/libz.so.1", "/opt/libz.so.1"]}


@pytest.mark.parametrize(("order", "flags"), [("<", 0), ("<", 2), (">", 3)])
def test_the_cache_of_glibc(order: str, flags: int) -> None:
    assert read_cache(cache(PAIRS, order, flags)) == EXPECTED


def test_the_cache_behind_one_of_the_old_form() -> None:
    old = b"ld.so-1.7.0\0" + struct.pack("<I", 9) + bytes(9 * 12)
    assert read_cache(old + bytes(-len(old) % 8) + cache(PAIRS)) == EXPECTED


@pytest.mark.parametrize("size", [0, 10, 40, 48, 60, 100, 140])
def test_a_damaged_cache_holds_less(size: int) -> None:
    found = read_cache(cache(PAIRS)[:size])
    assert found.keys() <= EXPECTED.keys()


def test_numbers_beyond_the_file_are_bounded() -> None:
    assert read_cache(b"glibc-ld.so.cache1.1" + struct.pack("<II", 0xFFFFFFFF, 0) + bytes(20)) == {}
    assert read_cache(b"ld.so-1.7.0\0" + b"\xff" * 4) == {}


def test_an_image_without_a_cache() -> None:
    assert cached_libraries(files({})) is None
    assert cached_libraries(files({"etc/ld.so.cache": cache(PAIRS)})) == EXPECTED


def test_configured_directories_follow_includes() -> None:
    items: dict[str, Item] = {
        "etc/ld.so.conf": b"include /etc/ld.so.conf.d/*.conf\n# no\n/opt/lib # yes\nhwcap 1 x\ninclude more\n",
        "etc/ld.so.conf.d/b.conf": b"/b=libc6\n",
        "etc/ld.so.conf.d/a.conf": b"/a:/a2,/a3\t/a4\n",
        "etc/ld.so.conf.d/c.txt": b"/c\n",
        "etc/more": symlink("/srv/more"),
        "srv/more": b"/more\ninclude ld.so.conf\n/a\n",
    }
    assert configured_directories(files(items)) == ["/a", "/a2", "/a3", "/a4", "/b", "/opt/lib", "/more"]


def test_default_directories_are_those_of_the_loader_or_of_distributions() -> None:
    assert default_directories("amd64", ("/nix/lib/", "/lib/")) == ["/nix/lib", "/lib"]
    assert default_directories("arm64", ())[:3] == ["/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib64"]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ({}, ["/lib", "/usr/local/lib", "/usr/lib"]),
        ({"etc/ld-musl-x86_64.path": b"/a:/b\n/c\n"}, ["/a", "/b", "/c"]),
        ({"etc/ld-musl-aarch64.path": b"/a"}, ["/lib", "/usr/local/lib", "/usr/lib"]),
    ],
)
def test_the_path_of_musl(items: dict[str, Item], expected: list[str]) -> None:
    assert musl_directories(files(items), "/lib/ld-musl-x86_64.so.1") == expected
