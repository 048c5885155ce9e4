"""What a build reads from this machine: the Dockerfile, the context and its `.dockerignore`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyoci.api.services import Services
from pyoci.build.context import DirectoryContext, IgnoreRules
from pyoci.build.context_index import ContextIndex
from pyoci.build.files import FileView
from pyoci.build.request import BuildRequest
from pyoci.dockerfile.parser import decode_source
from pyoci.dockerfile.patterns import parse_dockerignore
from pyoci.errors import UsageError
from pyoci.layer.tree import Tree
from pyoci.location import SourceFile

__all__ = ["BuildInputs", "read_inputs"]

_DOCKERFILE_LIMIT = 4 * 1024 * 1024
_URLS = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")


@dataclass(slots=True)
class BuildInputs:
    """The Dockerfile's text and the directories that COPY reads."""

    dockerfile: SourceFile
    directory: Path | None
    """None for a build without a context (`pyoci build - < Dockerfile`)."""
    ignore: IgnoreRules | None
    services: Services
    _opened: list[DirectoryContext] = field(default_factory=list)

    def contexts(self, named: Mapping[str, Path]) -> dict[str, FileView]:
        """Everything that COPY can read by name: `.` is the build context."""
        views: dict[str, FileView] = {".": Tree()}
        if self.directory is not None:
            views["."] = self._open(self.directory, self.ignore)
        for name, path in named.items():
            views[name] = self._open(path, _ignore_file(path / ".dockerignore"))
        return views

    def _open(self, path: Path, ignore: IgnoreRules | None) -> DirectoryContext:
        real = path.resolve()
        context = DirectoryContext(real, ignore, ContextIndex(self.services.store, str(real)))
        self._opened.append(context)
        return context

    def close(self) -> None:
        """Keeps the digests that were computed for the next build."""
        for context in self._opened:
            context.save_index()


def read_inputs(request: BuildRequest, services: Services) -> BuildInputs:
    """The Dockerfile and context of a request.

    Raises:
        UsageError: one of them does not exist, cannot be read, or both are to come from standard input.
    """
    environment = services.environment
    context, file = str(request.context), str(request.file)
    if context.startswith(_URLS):
        raise UsageError(
            f'"{context}": a context from the network is not supported yet', hint="clone or download it first"
        )
    if context == "-":
        if file == "-":
            raise UsageError("invalid argument: can't use stdin for both build context and dockerfile")
        return BuildInputs(_from_stdin(request), None, None, services)
    directory = environment.path(context)
    if not directory.is_dir():
        problem = "not found" if not directory.exists() else "is not a directory"
        raise UsageError(
            f'unable to prepare context: path "{context}" {problem}', hint="name the directory that holds what you COPY"
        )
    if file == "-":
        return BuildInputs(_from_stdin(request), directory, _ignore_file(directory / ".dockerignore"), services)
    path = environment.path(file) if file else directory / "Dockerfile"
    try:
        with path.open("rb") as stream:
            raw = stream.read(_DOCKERFILE_LIMIT + 1)
    except OSError as error:
        hint = f"name it with -f, or write one: there is no Dockerfile in {directory}" if not file else None
        raise UsageError(
            f"failed to read dockerfile: open {file or 'Dockerfile'}: {_reason(error)}", hint=hint
        ) from error
    ignore = _ignore_file(path.with_name(path.name + ".dockerignore"))
    if ignore is None:
        ignore = _ignore_file(directory / ".dockerignore")
    return BuildInputs(_source(file or "Dockerfile", raw), directory, ignore, services)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _source(name: str, raw: bytes) -> SourceFile:
    if len(raw) > _DOCKERFILE_LIMIT:
        raise UsageError(f"{name} has more than {_DOCKERFILE_LIMIT} bytes", hint="is it really a Dockerfile?")
    return decode_source(name, raw)


def _from_stdin(request: BuildRequest) -> SourceFile:
    if request.stdin is None:
        raise UsageError("nothing was given on standard input")
    return _source("-", request.stdin)


def _ignore_file(path: Path) -> IgnoreRules | None:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {_reason(error)}") from error
    return parse_dockerignore(raw)
