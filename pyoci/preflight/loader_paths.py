"""Where dynamic loaders look for libraries besides what programs and variables say: caches, configuration, defaults.

glibc's loader asks `/etc/ld.so.cache`, which only `ldconfig` writes, from `/etc/ld.so.conf`; so a library that came
into a directory named there after `ldconfig` last ran is not found. musl's loader reads its path file itself.

Spec: ld.so(8), ldconfig(8), the comments of glibc's dl-cache.h; musl's ldso/dynlink.c and manual.
"""

from __future__ import annotations

import fnmatch
import struct
from collections.abc import Iterator, Mapping

from pyoci.preflight.reading import Files

__all__ = [
    "CACHE_PATH",
    "cached_libraries",
    "configured_directories",
    "default_directories",
    "musl_directories",
    "read_cache",
]

CACHE_PATH = "/etc/ld.so.cache"
_CACHE_LIMIT = 16 << 20
_CONF_LIMIT = 1 << 20
_OLD_MAGIC = b"ld.so-1.7.0\0"
_NEW_MAGIC = b"glibc-ld.so.cache1.1"
_OLD_HEADER, _OLD_ENTRY, _NEW_HEADER, _NEW_ENTRY = 16, 12, 48, 24
_INCLUDE_DEPTH = 8
_MULTIARCH = {
    "386": ("i386-linux-gnu",),
    "amd64": ("x86_64-linux-gnu",),
    "arm": ("arm-linux-gnueabihf", "arm-linux-gnueabi"),
    "arm64": ("aarch64-linux-gnu",),
    "mips64le": ("mips64el-linux-gnuabi64",),
    "ppc64le": ("powerpc64le-linux-gnu",),
    "riscv64": ("riscv64-linux-gnu",),
    "s390x": ("s390x-linux-gnu",),
}


def read_cache(raw: bytes) -> dict[str, list[str]]:
    """The libraries in an `ld.so.cache`, each with the paths it may have; none if it is damaged or unknown in form."""
    start = 0
    if raw.startswith(_OLD_MAGIC):
        (count,) = struct.unpack_from("<I", raw.ljust(_OLD_HEADER, b"\0"), 12)
        start = _OLD_HEADER + _OLD_ENTRY * count
        start += -start % 8
    if raw[start : start + len(_NEW_MAGIC)] != _NEW_MAGIC or len(raw) < start + _NEW_HEADER:
        return {}
    order = ">" if raw[start + 28] & 3 == 3 else "<"
    (count,) = struct.unpack_from(order + "I", raw, start + len(_NEW_MAGIC))
    found: dict[str, list[str]] = {}
    table = raw[start + _NEW_HEADER : start + _NEW_HEADER + _NEW_ENTRY * min(count, len(raw))]
    for number in range(len(table) // _NEW_ENTRY):
        _, key, value = struct.unpack_from(order + "III", table, number * _NEW_ENTRY)
        name, path = _string(raw, start + key), _string(raw, start + value)
        if name and path:
            found.setdefault(name, []).append(path)
    return found


def _string(raw: bytes, at: int) -> str:
    piece = raw[at : at + 4096]
    return piece.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def cached_libraries(files: Files) -> Mapping[str, list[str]] | None:
    """What the image's `ld.so.cache` holds; None where there is no cache.

    Raises:
        LayerError, ContentError: its bytes cannot be had.
    """
    raw = files.text(CACHE_PATH, _CACHE_LIMIT)
    return None if raw is None else read_cache(raw)


def configured_directories(files: Files) -> list[str]:
    """The directories that `ldconfig` would put into the cache, from `/etc/ld.so.conf` and what it includes."""
    return list(dict.fromkeys(_configured(files, "/etc/ld.so.conf", _INCLUDE_DEPTH)))


def _configured(files: Files, path: str, depth: int) -> Iterator[str]:
    raw = files.text(path, _CONF_LIMIT) if depth else None
    for line in (raw or b"").decode("utf-8", "surrogateescape").splitlines():
        words = line.partition("#")[0].replace(",", " ").replace(":", " ").split()
        if not words or words[0] == "hwcap":
            continue
        if words[0] == "include":
            for pattern in words[1:]:
                for included in _matching(files, pattern if pattern.startswith("/") else f"/etc/{pattern}"):
                    yield from _configured(files, included, depth - 1)
        else:
            yield from (word.partition("=")[0] for word in words if word.startswith("/"))


def _matching(files: Files, pattern: str) -> list[str]:
    """Files whose name fits a pattern; only the last part may have wildcards, as everywhere in practice."""
    directory, _, name = pattern.rpartition("/")
    found = [entry.path.rpartition("/")[2] for entry in files.children(directory)]
    return [f"{directory}/{each}" for each in found if fnmatch.fnmatchcase(each, name)]


def default_directories(architecture: str, built_in: tuple[str, ...]) -> list[str]:
    """Where glibc's loader looks last: what it has built in, else what the loaders of common distributions have."""
    if built_in:
        return [name.rstrip("/") for name in built_in]
    names = [f"{prefix}/lib/{triple}" for triple in _MULTIARCH.get(architecture, ()) for prefix in ("", "/usr")]
    return [*names, "/lib64", "/usr/lib64", "/lib", "/usr/lib"]


def musl_directories(files: Files, loader: str) -> list[str]:
    """The path of musl's loader: its file `/etc/ld-musl-ARCH.path`, else three directories."""
    name = loader.rpartition("/")[2]
    architecture = name.removeprefix("ld-musl-").partition(".so")[0]
    raw = files.text(f"/etc/ld-musl-{architecture}.path", _CONF_LIMIT) if name.startswith("ld-musl-") else None
    if raw is None:
        return ["/lib", "/usr/local/lib", "/usr/lib"]
    return raw.decode("utf-8", "surrogateescape").replace("\n", ":").strip(":").split(":")
