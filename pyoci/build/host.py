"""The building machine as the beginning of a stage: what of it a RUN sees, what tells two states of it apart.

`--build-context NAME=host:` offers the machine's own toolchain. A stage that starts from it has a root of its own: a
small layer of empty directories and links (`Machine.entries`), over which directories of the machine are shown
read-only while a RUN executes (`Machine.mounts`). They are in no layer, so COPY --from finds what RUN made and nothing
else.

What is shown is a list of what toolchains need, not the machine without its secrets: of /etc a few names, of everything
else what every user of the machine may read. /root, /home, /run, /tmp and /var are the stage's own, and so are the
directories in `_OWN`, where programs are installed: what the machine has in those is shown piece by piece beside what
the stage puts there.

Everything is read below `root`, which is `/` but in tests.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from pyoci.build.cache_key import structural_digest
from pyoci.build.config_effects import DEFAULT_PATH
from pyoci.build.files import FileView
from pyoci.build.steps import CopySource
from pyoci.digest import Digest
from pyoci.dockerfile.patterns import has_wildcards
from pyoci.errors import BuildError, UsageError
from pyoci.layer.entry import Entry, LayerPath
from pyoci.sandbox.protocols import BindMount
from pyoci.values import dataclass, field, replace

__all__ = ["PREFIX", "Machine", "parse_host", "refuse_shown", "survey", "toolchain_environment", "toolchain_identity"]

PREFIX = "host:"
"""What the value of `--build-context` begins with."""

_VERSION = 1
"""Of the composition: raised when the same machine is shown in another way."""
_DIRECTORIES = ("/usr", "/opt")
_OWN = frozenset(
    {
        *("opt", "usr", "usr/local", "usr/local/bin", "usr/local/include", "usr/local/lib", "usr/local/sbin"),
        *("usr/local/share", "usr/local/src", "usr/src"),
    }
)
"""Directories of the machine of which the stage has its own: it may write there, beside what is shown in them."""
_EMPTY = frozenset({"usr/etc", "usr/local/etc", "usr/local/src", "usr/src"})
"""Directories of which nothing is shown: sources, and configuration, which may hold what is nobody's business."""
_LINKED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
"""Links into /usr, or directories where a machine has not merged them."""
_SETTINGS = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "fonts", "host.conf", "gai.conf"),
    *("java*", "jvm*", "ld-musl-*", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "magic", "magic.mime"),
    *("mime.types", "networks", "perl", "pki/ca-trust", "pki/java", "pki/tls/cert.pem", "pki/tls/certs"),
    *("pki/tls/openssl.cnf", "protocols", "python*", "rpc", "services", "sgml", "ssl/ca-bundle.pem", "ssl/cert.pem"),
    *("ssl/certs", "ssl/openssl.cnf", "terminfo", "xml"),
    *("debian_version", "lsb-release", "os-release", "*-release"),
)
"""What is shown of /etc."""
_DATABASES = (
    *("var/lib/dpkg/status", "lib/apk/db/installed", "var/lib/pacman/local"),
    *("var/lib/rpm/Packages", "var/lib/rpm/Packages.db", "var/lib/rpm/rpmdb.sqlite"),
    *("usr/lib/sysimage/rpm/Packages.db", "usr/lib/sysimage/rpm/rpmdb.sqlite"),
)
"""Where package managers keep what is installed below /usr."""
_REFUSED = ("/dev", "/etc", "/proc", "/run", "/sys", "/tmp")
"""Nothing of these is shown, whoever asks."""
_TOO_MUCH = ("/", "/boot", "/home", "/media", "/mnt", "/root", "/srv", "/var")
"""Directories that hold all kinds of things, of which one may be asked for."""
_ROOT_DIRECTORIES = (
    *(("etc", 0o755), ("home", 0o755), ("root", 0o700), ("run", 0o755), ("tmp", 0o1777), ("usr", 0o755)),
    *(("usr/local", 0o755), ("usr/local/bin", 0o755), ("usr/src", 0o755)),
    *(("var", 0o755), ("var/cache", 0o755), ("var/lib", 0o755), ("var/log", 0o755), ("var/tmp", 0o1777)),
)
_FILES = {
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
}
"""Accounts of the stage: the machine's are its own business."""
_GO_DIRECTORIES = (("go", 0o1777), ("go/bin", 0o1777), ("go/src", 0o1777))
_READABLE = stat.S_IROTH
_SEARCHABLE = stat.S_IROTH | stat.S_IXOTH


@dataclass(frozen=True, slots=True)
class Machine:
    """What a stage begins with."""

    entries: tuple[Entry, ...]
    """Of its lowest layer, parents first; `files` has the bytes."""
    files: dict[str, bytes] = field(hash=False)
    mounts: tuple[BindMount, ...]
    """What every RUN sees besides, read-only."""

    def open(self, entry: Entry) -> BinaryIO:
        """The bytes of one of `entries`."""
        return io.BytesIO(self.files[entry.path])


def parse_host(value: str) -> tuple[str, ...]:
    """The directories that `host:` or `host:/DIR,/DIR` shows, besides what is taken of /etc.

    Raises:
        UsageError: one is not absolute, or is none that may be shown.
    """
    text = value.removeprefix(PREFIX)
    if not text:
        return _DIRECTORIES
    directories: list[str] = []
    for part in text.split(","):
        path = "/" + os.path.normpath(part).strip("/")  # normpath leaves two slashes at the start
        if not part.startswith("/") or ".." in part.split("/"):
            raise UsageError(
                f'{value}: "{part}" is not an absolute path',
                hint="write host: or host:/usr,/opt/go, directories by comma",
            )
        if path in _TOO_MUCH or any(path == each or path.startswith(f"{each}/") for each in _REFUSED):
            raise UsageError(
                f"{value}: {path} is not shown to steps", hint="name the directory that the toolchain itself is in"
            )
        if path not in directories:
            directories.append(path)
    return tuple(directories)


def survey(directories: Sequence[str], *, epoch: int = 0, root: Path = Path("/")) -> Machine:
    """What a stage that starts from these directories begins with; looks at names and modes alone.

    Raises:
        UsageError: a directory is not there.
    """
    found = _Survey(root)
    for directory in directories:
        path = directory.strip("/")
        if not (root / path).is_dir():
            raise UsageError(f"host:{directory}: there is no such directory on this machine")
        if path in _OWN:
            found.show(path)
        else:
            found.shown.append(path)
    if "/usr" in directories:
        for name in _LINKED:
            found.show(name)
    for name in _settings(root):
        found.show(name)
    for path, mode in (*_ROOT_DIRECTORIES, *(_GO_DIRECTORIES if _has_go(directories, root) else ())):
        found.own[path] = Entry(LayerPath(path), "dir", mode=mode)
    files = {path: text.encode() for path, text in _FILES.items()}
    for path, data in files.items():
        found.own[path] = Entry(LayerPath(path), "file", mode=0o644, size=len(data))
    for path in [*found.own, *found.shown]:
        for parent in _parents(path):
            found.own.setdefault(parent, Entry(LayerPath(parent), "dir", mode=0o755))
    entries = tuple(replace(found.own[path], mtime=epoch) for path in sorted(found.own))
    mounts = tuple(BindMount(f"/{path}", root / path, public=True) for path in sorted(set(found.shown)))
    return Machine(entries, files, mounts)


def toolchain_environment(directories: Sequence[str], *, root: Path = Path("/")) -> tuple[str, ...]:
    """The variables that a stage begins with.

    PATH holds, in this order: `/go/bin` if there is a Go toolchain; `bin` of each directory that was named; every
    `/usr/local/*/bin`; docker's default; every `/opt/*/bin`. With Go there are also GOPATH=/go and GOTOOLCHAIN=local,
    as in its official image.
    """
    named = [f"{path}/bin" for path in directories if path.strip("/") not in _OWN]
    local = _programs("/usr/local", root) if "/usr" in directories else []
    opt = _programs("/opt", root) if "/opt" in directories else []
    programs = [path for path in named if (root / path.strip("/")).is_dir()]
    if not _has_go(directories, root):
        return (f"PATH={':'.join([*programs, *local, DEFAULT_PATH, *opt])}",)
    path = ":".join(["/go/bin", *programs, *local, DEFAULT_PATH, *opt])
    return (f"PATH={path}", "GOPATH=/go", "GOTOOLCHAIN=local")


def toolchain_identity(directories: Sequence[str], machine: Machine, *, root: Path = Path("/")) -> Digest:
    """What two states of the machine are told apart by. Reads no file's bytes; cost: a stat for each file that counts.

    Of what is shown: every file outside of packages (/usr/local, /opt, /etc, directories that were named) by mode,
    size, times and link; the rest of /usr by the package manager's database and by its uppermost directories, or by
    every file where there is no package manager.
    """
    digest = hashlib.sha256(structural_digest(["host", _VERSION, list(directories), list(machine.entries)]).encode())

    def add(path: str) -> None:
        digest.update(json.dumps([path, *_facts(path)]).encode("ascii"))

    packaged = False
    for path in _DATABASES:
        if (root / path).exists():
            packaged = True
            add(str(root / path))
    for mount in machine.mounts:
        path = mount.target.strip("/")
        add(str(root / path))
        by_package = path.startswith(("usr/", *_LINKED)) and not path.startswith("usr/local/")
        if not (packaged and by_package and mount.target not in directories):
            for below in _walk(str(root / path)):
                add(below)
    return Digest("sha256:" + digest.hexdigest())


def refuse_shown(source: CopySource, files: FileView, mounts: Sequence[BindMount]) -> None:
    """Nothing if a source of COPY may be in the stage's layers.

    Raises:
        BuildError: it is a file of this machine.
    """
    if not mounts:
        return
    parts = list(takewhile(lambda part: not has_wildcards(part), source.path.split("/")))
    path = "/" + files.resolve("/".join(parts))
    if any(path == mount.target or path.startswith(f"{mount.target}/") for mount in mounts):
        raise BuildError(
            f'"{source.path}" is a file of this machine, of which no image is made',
            hint="take it from an image, or copy it in a RUN of the stage, which makes it the stage's own",
        )


class _Survey:
    """What was found so far, by path below the root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.own: dict[str, Entry] = {}
        self.shown: list[str] = []

    def show(self, path: str) -> None:
        """Shows what is at a path, if there is something and everybody may read it."""
        try:
            status = os.lstat(self._root / path)
        except OSError:
            return
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFLNK:
            link = str((self._root / path).readlink())
            self.own[path] = Entry(LayerPath(path), "symlink", mode=0o777, link=link)
        elif path in _OWN:
            self.own[path] = Entry(LayerPath(path), "dir", mode=0o755)
            names = [] if path in _EMPTY else sorted(each.name for each in (self._root / path).iterdir())
            for name in names:
                self.show(f"{path}/{name}")
        elif path not in _EMPTY and _is_public(kind, status.st_mode):
            self.shown.append(path)


def _is_public(kind: int, mode: int) -> bool:
    if kind == stat.S_IFDIR:
        return mode & _SEARCHABLE == _SEARCHABLE
    return kind == stat.S_IFREG and bool(mode & _READABLE)


def _settings(root: Path) -> Iterator[str]:
    for pattern in _SETTINGS:
        directory, _, name = f"etc/{pattern}".rpartition("/")
        try:
            names = sorted(each.name for each in (root / directory).iterdir())
        except OSError:
            continue
        yield from (f"{directory}/{each}" for each in names if fnmatchcase(each, name))


def _programs(parent: str, root: Path) -> list[str]:
    """`bin` of every directory in one that is shown, but for its own `bin`."""
    found = _Survey(root)
    found.show(parent.strip("/"))
    names = [path.rpartition("/")[2] for path in found.shown if path.rpartition("/")[0] == parent.strip("/")]
    return [f"{parent}/{name}/bin" for name in names if ":" not in name and (root / parent[1:] / name / "bin").is_dir()]


def _has_go(directories: Sequence[str], root: Path) -> bool:
    places = [f"{path.strip('/')}/bin/go" for path in directories]
    if "/usr" in directories:
        places += ["usr/local/go/bin/go", "usr/local/bin/go", "usr/bin/go"]
    return any(os.path.lexists(root / place) for place in places)


def _walk(path: str) -> Iterator[str]:
    """Everything below a directory, in order; no link is followed."""
    try:
        with os.scandir(path) as listing:
            found = sorted((entry.path, entry.is_dir(follow_symlinks=False)) for entry in listing)
    except OSError:
        return  # a file, or not readable for this user, hence not in the sandbox either
    for below, is_directory in found:
        yield below
        if is_directory:
            yield from _walk(below)


def _facts(path: str) -> list[object]:
    try:
        status = os.lstat(path)
        link = str(Path(path).readlink()) if stat.S_ISLNK(status.st_mode) else ""
    except OSError as error:
        return [error.errno]
    return [status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, link]


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
