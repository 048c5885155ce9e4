"""What a build starts from: the Dockerfile and the main context, wherever the user keeps them.

    context        Dockerfile without -f          a relative -f is     .dockerignore
    directory      Dockerfile in it               a file here          counts
    tar, tar URL   Dockerfile in it               in it                does not
    git            Dockerfile in it               in it                does not
    other URL      the file itself                an error             does not
    -              standard input: a tar, else a Dockerfile without a context

Where SOURCE_DATE_EPOCH is given, files of a repository have the time of its commit, if the URL says nothing else.
`-f -` reads standard input, `-f URL` downloads, an absolute `-f` is always a file here. Behaviour: docker buildx.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from pyoci.api.contexts import NO_FILES, URL_FILE, ContextOpener, git_context, ignore_file, is_url
from pyoci.api.epoch import given_epoch
from pyoci.api.fetching import Fetching
from pyoci.api.services import Services
from pyoci.build.files import FileView, read_content
from pyoci.build.filesystem import SourceFiles
from pyoci.build.request import BuildRequest
from pyoci.dockerfile.parser import decode_source
from pyoci.dockerfile.patterns import PatternSet
from pyoci.errors import LayerError, UsageError
from pyoci.location import SourceFile
from pyoci.values import dataclass, replace

__all__ = ["BuildInputs", "read_inputs"]

_DOCKERFILE_LIMIT = 4 * 1024 * 1024
_KEEP_GIT = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """The Dockerfile's text and the main context."""

    dockerfile: SourceFile
    context: SourceFiles
    ignore: PatternSet | None = None
    """What `.dockerignore` says, if the context has one."""


def read_inputs(request: BuildRequest, services: Services, opener: ContextOpener, fetching: Fetching) -> BuildInputs:
    """The Dockerfile and context of a request.

    Raises:
        UsageError: one of them does not exist, cannot be read, or both are to come from standard input.
        BuildError and others: it cannot be fetched.
    """
    return _Reading(request, services, opener, fetching).read()


class _Reading:
    """One request being read."""

    def __init__(self, request: BuildRequest, services: Services, opener: ContextOpener, fetching: Fetching) -> None:
        self._request = request
        self._environment = services.environment
        self._opener = opener
        self._fetching = fetching
        self._file = str(request.file)

    def read(self) -> BuildInputs:
        context = str(self._request.context)
        if context == "-":
            return self._from_stdin()
        path = self._environment.path(context)
        if path.is_dir():
            return self._from_directory(path)
        git = git_context(context)
        if git is not None:
            keep = self._request.build_args.get(_KEEP_GIT) in _TRUE
            if not git.mtime and given_epoch(self._request, self._environment):
                git = replace(git, mtime="commit")
            return self._from_files(self._opener.git(git, keep_git_directory=keep))
        if is_url(context):
            files, is_archive = self._opener.url(context)
            return self._from_files(files) if is_archive else self._from_url_file(files)
        if not path.exists():
            raise UsageError(
                f'unable to prepare context: path "{context}" not found',
                hint="name the directory that holds what you COPY",
            )
        return self._from_files(self._opener.archive_file(path, shown=context))

    def _from_stdin(self) -> BuildInputs:
        from pyoci.fetch.archive import HEAD_BYTES, looks_like_archive
        from pyoci.fetch.peek import peeked

        if self._file == "-":
            raise UsageError("invalid argument: can't use stdin for both build context and dockerfile")
        head, stream = peeked(self._stdin(), HEAD_BYTES)
        if not head:
            raise UsageError("nothing was given on standard input", hint="pipe a Dockerfile or a tar into it")
        if looks_like_archive(head):
            return self._from_files(self._opener.archive(stream, shown="-"), local=False)
        if self._file:
            raise UsageError(
                "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles",
                hint="leave -f out, or pipe a tar into it",
            )
        return BuildInputs(_source("-", stream.read(_DOCKERFILE_LIMIT + 1)), NO_FILES)

    def _stdin(self) -> BinaryIO:
        given = self._request.stdin
        if given is None:
            raise UsageError("nothing was given on standard input")
        return io.BytesIO(given) if isinstance(given, bytes) else given

    def _elsewhere(self) -> SourceFile | None:
        """A Dockerfile that is in no context: on standard input or behind a URL."""
        if self._file == "-":
            return _source("-", self._stdin().read(_DOCKERFILE_LIMIT + 1))
        if is_url(self._file):
            from pyoci.fetch.url import public

            downloads = self._fetching.downloads
            files, _ = downloads.file(self._file, URL_FILE, limit_bytes=_DOCKERFILE_LIMIT)
            return _source(public(self._file), read_content(files.open_content(files.file), limit=_DOCKERFILE_LIMIT))
        return None

    def _from_directory(self, directory: Path) -> BuildInputs:
        elsewhere = self._elsewhere()
        if elsewhere is not None:
            ignore = ignore_file(directory / ".dockerignore")
            return BuildInputs(elsewhere, self._opener.directory(directory, ignore), ignore)
        path = self._environment.path(self._file) if self._file else _default_in(directory)
        hint = f"name it with -f, or write one: there is no Dockerfile in {directory}" if not self._file else None
        dockerfile = self._local(path, hint)
        ignore = ignore_file(path.with_name(path.name + ".dockerignore"))
        if ignore is None:
            ignore = ignore_file(directory / ".dockerignore")
        return BuildInputs(dockerfile, self._opener.directory(directory, ignore), ignore)

    def _from_files(self, context: SourceFiles, *, local: bool = True) -> BuildInputs:
        """From a context that is no directory here; `local`: whether an absolute `-f` is a file of this machine."""
        dockerfile = self._elsewhere()
        if dockerfile is None and local and self._file.startswith("/"):
            dockerfile = self._local(Path(self._file), None)
        if dockerfile is None:
            dockerfile = _inside(context.files, self._file or "Dockerfile")
        return BuildInputs(dockerfile, context)

    def _from_url_file(self, context: SourceFiles) -> BuildInputs:
        """From a URL that is no archive: the Dockerfile itself, unless another one is given."""
        dockerfile = self._elsewhere()
        if dockerfile is None and self._file.startswith("/"):
            dockerfile = self._local(Path(self._file), None)
        if dockerfile is None and self._file:
            raise UsageError(
                f"-f {self._file} cannot be in the context, which is a single file",
                hint="leave -f out: the file behind the URL is the Dockerfile",
            )
        return BuildInputs(dockerfile or _inside(context.files, URL_FILE), context)

    def _local(self, path: Path, hint: str | None) -> SourceFile:
        try:
            with path.open("rb") as stream:
                raw = stream.read(_DOCKERFILE_LIMIT + 1)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            name = self._file or "Dockerfile"
            raise UsageError(f"failed to read dockerfile: open {name}: {reason}", hint=hint) from error
        return _source(self._file or path.name, raw)


def _default_in(directory: Path) -> Path:
    """`Dockerfile`, or `dockerfile` where only that is there."""
    path = directory / "Dockerfile"
    lower = directory / "dockerfile"
    return lower if not path.exists() and lower.exists() else path


def _inside(files: FileView, name: str) -> SourceFile:
    """A Dockerfile in a context, symlinks followed inside it."""
    candidates = [name]
    if name.rpartition("/")[2] == "Dockerfile":
        candidates.append(name.removesuffix("Dockerfile") + "dockerfile")
    for candidate in candidates:
        try:
            entry = files.lookup_nofollow(files.resolve(candidate))
            if entry is None:
                continue
            if entry.type != "file":
                raise UsageError(f"failed to read dockerfile: open {candidate}: is no file")
            return _source(candidate, read_content(files.open_content(entry), limit=_DOCKERFILE_LIMIT))
        except LayerError as error:
            raise UsageError(f"failed to read dockerfile: open {candidate}: {error.message}") from error
    raise UsageError(
        f"failed to read dockerfile: open {name}: no such file or directory",
        hint="the context does not have it: name another one with -f",
    )


def _source(name: str, raw: bytes) -> SourceFile:
    if len(raw) > _DOCKERFILE_LIMIT:
        raise UsageError(f"{name} has more than {_DOCKERFILE_LIMIT} bytes", hint="is it really a Dockerfile?")
    return decode_source(name, raw)
