"""Root file systems that stand in for the public base images, made from Debian's own packages.

Each is a plain tar, as a person would `ADD` it to scratch; the images themselves are made by pyoci.
"""

from __future__ import annotations

import fcntl
import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["AptSource", "busybox_base", "debian_base", "host_apt_source", "locked", "once"]

BUSYBOX = Path("/bin/busybox")
SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class AptSource:
    """Where the host gets its packages from: a mirror and the release."""

    def __init__(self, mirror: str, suite: str) -> None:
        self.mirror = mirror
        self.suite = suite

    def line(self) -> str:
        return f"deb {self.mirror} {self.suite} main\n"


def host_apt_source(apt: Path = Path("/etc/apt"), os_release: Path = Path("/etc/os-release")) -> AptSource:
    """The mirror of the host's own release, from its sources; Debian's public mirror when they name none."""
    found = re.search(r"^VERSION_CODENAME=(\w+)$", os_release.read_text(), re.MULTILINE)
    suite = found[1] if found else "stable"
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for path in files:
        if not path.is_file():
            continue
        for mirror, suites in _entries(path.read_text()):
            if suite in suites:
                return AptSource(mirror, suite)
    return AptSource("http://deb.debian.org/debian", suite)


def _entries(text: str) -> Iterator[tuple[str, list[str]]]:
    """Mirrors and suites of both forms of apt's sources (sources.list(5)): one line each, or stanzas."""
    for match in re.finditer(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s", text, re.MULTILINE):
        yield match[1], [match[2]]
    for stanza in re.split(r"\n\s*\n", text):
        uris = re.search(r"^URIs:\s*(\S+)", stanza, re.MULTILINE)
        suites = re.search(r"^Suites:\s*(.+)$", stanza, re.MULTILINE)
        if uris and suites:
            yield uris[1], suites[1].split()


def debian_base(cache: Path) -> Path:
    """A tar of a minimal Debian with apt and working sources, made once per `cache` (about 30 s, needs root)."""
    return once(cache / "debian.tar", _make_debian)


def busybox_base(cache: Path) -> Path:
    """A tar of a root file system with busybox's shell and tools and nothing else, made once per `cache`."""
    return once(cache / "busybox.tar", _make_busybox)


def once(target: Path, make: Callable[[Path], None]) -> Path:
    """`target`, made under a lock (test processes run side by side) and under another name until it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_suffix(".lock")):
        if not target.exists():
            partial = target.with_suffix(".partial")
            make(partial)
            partial.chmod(0o644)
            partial.rename(target)
    return target


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other test processes out of what the lock is named after."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_debian(target: Path) -> None:
    source = host_apt_source()
    root = target.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    try:
        _run("debootstrap", "--variant=minbase", source.suite, str(root), source.mirror)
        (root / "etc/apt/sources.list").write_text(source.line())
        # A base image brings no device nodes, downloaded packages or package lists.
        _run(
            *("tar", "--create", "--file", str(target), "--directory", str(root), "--numeric-owner", "--sort=name"),
            *("--exclude=./dev/*", "--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*"),
            ".",
        )
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _run(*command: str) -> None:
    environment = {"PATH": SBIN, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, f"{command[0]}: {result.stdout[-2000:]}{result.stderr[-2000:]}"


def _make_busybox(target: Path) -> None:
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, timeout=60, check=True)
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for directory, mode in [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("usr/bin", 0o755)]:
            _add(archive, directory, mode, tarfile.DIRTYPE)
        _add(archive, "bin/busybox", 0o755, data=BUSYBOX.read_bytes())
        for applet in applets.stdout.split():
            if applet != "busybox":
                _add(archive, f"bin/{applet}", 0o777, tarfile.SYMTYPE, link="busybox")
        _add(archive, "etc/passwd", data=b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        _add(archive, "etc/group", data=b"root:x:0:\nnobody:x:65534:\n")


def _add(
    archive: tarfile.TarFile,
    name: str,
    mode: int = 0o644,
    kind: bytes = tarfile.REGTYPE,
    *,
    data: bytes = b"",
    link: str = "",
) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.size, info.linkname = mode, kind, len(data), link
    archive.addfile(info, io.BytesIO(data))
