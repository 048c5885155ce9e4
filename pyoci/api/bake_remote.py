"""Bake files that are not of this machine: in a git repository, in an archive behind a URL, or such a URL themselves.

    git          every file is looked for in the repository; contexts are directories of it
    tar URL      every file is looked for in the archive; contexts are directories of it
    other URL    is the bake file; contexts are those of the working directory

Spec: docker/buildx docs/reference/buildx_bake.md, "Set a remote definition"; what it leaves open is what buildx does.
"""

from __future__ import annotations

import hashlib
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pyoci.api.contexts import URL_FILE, ContextOpener, git_context, is_url
from pyoci.api.fetching import Fetching
from pyoci.api.services import Options, Services, opened
from pyoci.build.files import FileView, read_content
from pyoci.build.request import SecretSource, SshSource
from pyoci.build.secrets import Secrets
from pyoci.dockerfile.parser import decode_source
from pyoci.errors import LayerError, UsageError
from pyoci.layer.entry import Entry, LayerPath
from pyoci.location import SourceFile
from pyoci.values import dataclass, field

__all__ = ["FILE_LIMIT", "Remote", "git_host", "is_remote", "opened_remote"]

FILE_LIMIT = 4 << 20
"""Bytes of one bake file."""


def is_remote(text: str) -> bool:
    """Whether a word of the command line, or a context, is a URL or git repository and no path."""
    return is_url(text) or git_context(text) is not None


def git_host(url: str) -> str:
    """The host of a git repository, as secrets for it are named; empty if the URL is none."""
    reference = git_context(url)
    if reference is None:
        return ""
    rest = reference.remote.partition("://")[2] or reference.remote.partition(":")[0]
    return rest.partition("/")[0].rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True)
class Remote:
    """Where the bake files come from."""

    url: str
    kind: Literal["git", "archive", "file"]
    files: FileView = field(compare=False)
    scratch: Path | None = field(default=None, compare=False)
    """A directory for what is made of an archive; None where nothing is to be built."""

    def sources(self, names: Sequence[str], defaults: Sequence[str]) -> list[SourceFile]:
        """The files of these names; of the default ones that are there, if none is named.

        Raises:
            UsageError: one is not there, is no file or is too large.
        """
        if self.kind == "file":
            return [_read(self.files, URL_FILE, _public(self.url))]
        found = names or [name for name in defaults if self._entry(name) is not None]
        return [_read(self.files, name, name) for name in found]

    def _entry(self, name: str) -> Entry | None:
        return self.files.lookup_nofollow(self.files.resolve(name))

    def context(self, path: str) -> str:
        """What `pyoci build` calls a directory of it.

        Raises:
            UsageError: there is none in the archive.
        """
        path = posixpath.normpath(path)
        if path == ".":
            return self.url
        return _with_subdirectory(self.url, path) if self.kind == "git" else self._archive_of(path)

    def _archive_of(self, path: str) -> str:
        """A directory of an archive as an archive."""
        if self.scratch is None:
            return path
        root = self.files.resolve(path.lstrip("/"))
        entry = self.files.lookup_nofollow(root)
        if entry is None or entry.type != "dir":
            raise UsageError(f'there is no directory "{path}" in {_public(self.url)}')
        target = self.scratch / f"{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()}.tar"
        if not target.exists():
            with target.open("wb") as out, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for one in _below(self.files, root):
                    _add(tar, self.files, one, one.path.removeprefix(root).lstrip("/"))
        return str(target)


def _public(url: str) -> str:
    from pyoci.fetch.url import public

    return public(url)


def _read(files: FileView, name: str, shown: str) -> SourceFile:
    try:
        entry = files.lookup_nofollow(files.resolve(name.removeprefix("./")))
        if entry is None:
            raise UsageError(
                f"cannot read {shown}: no such file or directory", hint="a bake file is named with -f FILE"
            )
        if entry.type != "file":
            raise UsageError(f"cannot read {shown}: is no file")
        if entry.size > FILE_LIMIT:
            raise UsageError(f"{shown} has more than {FILE_LIMIT} bytes", hint="is it really a bake file?")
        return decode_source(shown, read_content(files.open_content(entry), limit=FILE_LIMIT))
    except LayerError as error:
        raise UsageError(f"cannot read {shown}: {error.message}") from error


def _with_subdirectory(url: str, path: str) -> str:
    """The URL of a repository with the directory below the one that it names."""
    reference = git_context(url)
    below = posixpath.normpath(posixpath.join("/", reference.subdirectory if reference else "", path)).lstrip("/")
    base, hash_sign, fragment = url.partition("#")
    if not hash_sign:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        if any(key == "subdir" for key, _ in query):
            changed = urlencode([(key, below if key == "subdir" else value) for key, value in query])
            return urlunsplit(parts._replace(query=changed))
    return f"{base}#{fragment.partition(':')[0]}:{below}"


def _below(files: FileView, directory: LayerPath) -> Iterator[Entry]:
    for entry in files.children(directory):
        yield entry
        if entry.type == "dir":
            yield from _below(files, entry.path)


_TYPES = {
    "file": tarfile.REGTYPE,
    "hardlink": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "fifo": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
}


def _add(tar: tarfile.TarFile, files: FileView, entry: Entry, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = _TYPES[entry.type], entry.mode, entry.mtime
    member.uid, member.gid = entry.uid, entry.gid
    member.linkname = entry.link if entry.type == "symlink" else ""
    member.devmajor, member.devminor = entry.device
    member.size = entry.size
    if entry.type != "file":
        tar.addfile(member)
        return
    content = files.open_content(entry)
    stream = cast("BinaryIO", open(content, "rb")) if isinstance(content, int) else content  # noqa: SIM115
    with stream:
        tar.addfile(member, stream)


@contextmanager
def opened_remote(
    url: str, *, options: Options, secrets: Sequence[SecretSource] = (), ssh: Sequence[SshSource] = ()
) -> Iterator[Remote]:
    """What is behind a URL, as long as the block runs.

    Raises:
        UsageError: it names neither a repository nor a URL.
        BuildError and others: it cannot be fetched.
    """
    environment = options.environment
    with opened(options) as services:
        scratch = Path(tempfile.mkdtemp(prefix="bake-", dir=services.store.root / "tmp"))
        try:
            fetching = Fetching(services, Secrets(secrets, environment.variables, environment.path), ssh)
            yield _found(url, services, fetching, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _found(url: str, services: Services, fetching: Fetching, scratch: Path) -> Remote:
    opener = ContextOpener(services, fetching)
    reference = git_context(url)
    if reference is not None:
        return Remote(url, "git", opener.git(reference).files, scratch)
    if not is_url(url):
        raise UsageError(f'"{url}" is no URL', hint="name a git repository, an archive or a bake file")
    found, is_archive = opener.url(url)
    return Remote(url, "archive" if is_archive else "file", found.files, scratch)
