"""What COPY reads by name: directories of this machine, archives, URLs and git repositories, each opened when needed.

`.dockerignore` counts for directories alone, as in BuildKit: what comes from elsewhere was put together to be copied.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pyoci.api.fetching import Fetching
from pyoci.api.services import Services
from pyoci.build.cache_key import structural_digest
from pyoci.build.context import DirectoryContext, IgnoreRules
from pyoci.build.context_index import ContextIndex
from pyoci.build.filesystem import SourceFiles
from pyoci.dockerfile.patterns import PatternSet, parse_dockerignore
from pyoci.errors import ContentError, LayerError, UsageError
from pyoci.layer.tree import Tree

if TYPE_CHECKING:
    from pyoci.fetch.git_reference import GitReference

__all__ = ["NO_FILES", "URL_FILE", "ContextOpener", "LazyContexts", "git_context", "ignore_file", "is_url"]

NO_FILES = SourceFiles(Tree(), structural_digest("no context"))
"""The context of a build that has none."""
URL_FILE = "context"
"""What the file of a URL is called in its context, if it is no archive."""


def is_url(text: str) -> bool:
    """Whether the text is an HTTP URL, as docker tells it."""
    return text.startswith(("http://", "https://"))


def git_context(text: str) -> GitReference | None:
    """The repository that a context names; None if it names none.

    Raises:
        UsageError: it names one, but asks for something that does not exist or contradicts itself.
    """
    if "://" not in text and "@" not in text and not text.startswith("github.com/"):
        return None
    from pyoci.fetch.git_reference import parse_git_reference

    return parse_git_reference(text)


def ignore_file(path: Path) -> PatternSet | None:
    """The rules of a `.dockerignore`; None if there is none.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    return parse_dockerignore(raw)


class LazyContexts(Mapping[str, SourceFiles]):
    """Contexts by name, opened when they are first asked for. May be used from several threads."""

    def __init__(self, openers: Mapping[str, Callable[[], SourceFiles]]) -> None:
        self._openers = dict(openers)
        self._opened: dict[str, SourceFiles] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> SourceFiles:
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._openers[name]()
            return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)


class ContextOpener:
    """Opens contexts for one build."""

    def __init__(self, services: Services, fetching: Fetching) -> None:
        self._services = services
        self._fetching = fetching
        self.directories: list[DirectoryContext] = []
        """Those that were opened."""

    def directory(self, path: Path, ignore: IgnoreRules | None) -> SourceFiles:
        """A directory of this machine, without what is ignored. Only content tells two states of it apart."""
        real = path.resolve()
        context = DirectoryContext(real, ignore, ContextIndex(self._services.store, str(real)))
        self.directories.append(context)
        return SourceFiles(context, None)

    def archive(self, stream: BinaryIO, *, shown: str) -> SourceFiles:
        """The files of a tar, plain or compressed. Closes the stream.

        Raises:
            UsageError: it is no tar, damaged or unsafe.
            ContentError: the store is full.
        """
        from pyoci.fetch.archive import open_archive

        try:
            files = open_archive(stream, self._services.store.root / "tmp")
        except LayerError as error:
            raise UsageError(f"cannot read the archive {shown}: {error.message}", hint=error.hint) from error
        except OSError as error:
            raise ContentError(f"cannot keep the archive {shown}: {error.strerror or error}") from error
        return SourceFiles(files.tree(), structural_digest(["archive", files.digest]))

    def url(self, url: str) -> tuple[SourceFiles, bool]:
        """What is behind a URL, and whether it is an archive: its files then, else one file called `context`.

        Raises:
            BuildError and others: it cannot be fetched. UsageError: it is a damaged archive.
        """
        from pyoci.fetch.archive import HEAD_BYTES, looks_like_archive
        from pyoci.fetch.url import public

        files, download = self._fetching.downloads.file(url, URL_FILE)
        stream = self._services.store.open(download.descriptor)
        if looks_like_archive(stream.read(HEAD_BYTES)):
            stream.seek(0)
            return self.archive(stream, shown=public(url)), True
        stream.close()
        return SourceFiles(files, structural_digest(["http", download.digest, URL_FILE])), False

    def git(self, reference: GitReference, *, keep_git_directory: bool = False) -> SourceFiles:
        """The files of a repository.

        Raises:
            BuildError: it cannot be fetched.
        """
        return self._fetching.repository(reference, keep_git_directory=keep_git_directory)

    def named(self, value: str) -> SourceFiles:
        """What `--build-context NAME=value` gives, other than images.

        Raises:
            UsageError: there is no such directory or archive. BuildError and others: it cannot be fetched.
        """
        path = self._services.environment.path(value)
        if path.is_dir():
            return self.directory(path, ignore_file(path / ".dockerignore"))
        git = git_context(value)
        if git is not None:
            return self.git(git)
        if is_url(value):
            return self.url(value)[0]
        return self.archive_file(path, shown=value)

    def archive_file(self, path: Path, *, shown: str) -> SourceFiles:
        """An archive on this machine.

        Raises:
            UsageError: there is none.
        """
        from pyoci.fetch.archive import HEAD_BYTES, looks_like_archive

        try:
            stream = path.open("rb")
            head = stream.read(HEAD_BYTES)
        except OSError as error:
            raise UsageError(f"cannot read {shown}: {(error.strerror or str(error)).lower()}") from error
        if not looks_like_archive(head):
            stream.close()
            raise UsageError(
                f'unable to prepare context: "{shown}" is neither a directory nor a tar archive',
                hint="name the directory that holds what you COPY; the Dockerfile is named with -f",
            )
        stream.seek(0)
        return self.archive(stream, shown=shown)

    def close(self) -> None:
        """Keeps the digests that were computed for the next build."""
        for context in self.directories:
            context.save_index()
