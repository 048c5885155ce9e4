"""What SOURCE_DATE_EPOCH of a build comes to: a number of seconds, or the time of something that the build takes in.

    value                          time
    number                         that one
    context                        of the main context
    name of a named context        of that
    name of a stage                of the one URL or repository that the stage, FROM scratch, adds
    anything else                  an error

The time of a repository is its commit's, that of a URL its Last-Modified, else that of the newest file in the archive
that it is. Nothing else has one (a directory, standard input, an image): SOURCE_DATE_EPOCH is unset then. Behaviour and
messages: moby/buildkit frontend/dockerfile/dockerfile2llb, v0.32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyoci.api.bases import NamedBases
from pyoci.api.contexts import ContextOpener, git_context, is_url
from pyoci.api.fetching import Fetching
from pyoci.build.add_plan import remote_source
from pyoci.build.files import FileView
from pyoci.build.request import BuildRequest
from pyoci.build.scopes import EPOCH_NAME, BuildArguments, global_arguments, platform_arguments
from pyoci.build.steps import GitStep, HttpStep
from pyoci.digest import Digest
from pyoci.dockerfile.expand import expand, expand_instruction
from pyoci.dockerfile.instructions import Add, Arg, Dockerfile, Stage
from pyoci.environment import Environment, epoch_seconds
from pyoci.errors import DockerfileError, UsageError
from pyoci.layer.tree import Tree
from pyoci.location import Location
from pyoci.platforms import Platform
from pyoci.values import dataclass

__all__ = ["BuildEpoch", "EpochSources", "build_epoch", "given_epoch"]

_CONTEXT = "context"
_HINT = (
    "it must be a whole number of seconds since 1970-01-01 00:00:00 UTC, context, or the name of a build context or of "
    "a stage that adds one URL or repository"
)
_STAGE_HINT = "a stage that gives SOURCE_DATE_EPOCH is FROM scratch and has one ADD of a URL or repository, and ARGs"


@dataclass(frozen=True, slots=True)
class BuildEpoch:
    """The time of everything that a build makes."""

    seconds: int = 0
    """Since 1970."""
    argument: str = ""
    """The value of the build argument; empty where it is unset."""
    is_fetched: bool = False
    """The network was asked for the time, and may say another one the next time."""
    source: HttpStep | GitStep | None = None
    """What a stage adds that has the time."""


@dataclass(frozen=True, slots=True)
class EpochSources:
    """What a time may be taken from."""

    request: BuildRequest
    environment: Environment
    dockerfile: Dockerfile
    context: FileView
    """The files of the main context."""
    bases: NamedBases
    opener: ContextOpener
    fetching: Fetching


def given_epoch(request: BuildRequest, environment: Environment) -> str | None:
    """What was given as SOURCE_DATE_EPOCH: the build argument, else what the environment says; None if nothing was."""
    given = request.build_args.get(EPOCH_NAME)
    return given if given is not None else environment.source_date_epoch or None


def build_epoch(sources: EpochSources, platforms: Sequence[Platform]) -> BuildEpoch:
    """The time of everything new: of what was given, else of the default of a global ARG.

    Raises:
        UsageError: the value means nothing, or something else for each platform.
        DockerfileError: it names a stage that has no time; located.
        BuildError and others: what has the time cannot be fetched.
    """
    found = {_of_platform(sources, platform) for platform in platforms}
    if len(found) > 1:
        times = ", ".join(sorted(str(one.seconds) for one in found))
        raise UsageError(
            f"SOURCE_DATE_EPOCH is another one for each platform: {times}",
            hint="give a number, or build one platform at a time",
        )
    return found.pop()


def _of_platform(sources: EpochSources, platform: Platform) -> BuildEpoch:
    request, dockerfile = sources.request, sources.dockerfile
    builtins = platform_arguments(sources.environment.platform, platform, "")
    scope = global_arguments(dockerfile, builtins, BuildArguments(request.build_args))
    value = given_epoch(request, sources.environment)
    if value is None:
        value = scope.get(EPOCH_NAME, "")
    if not value:
        return BuildEpoch()
    seconds = epoch_seconds(value)
    if seconds is not None:
        return BuildEpoch(seconds, str(seconds))
    return _of_source(value, sources, {name: text for name, text in scope.items() if name != EPOCH_NAME})


def _of_source(value: str, sources: EpochSources, scope: Mapping[str, str]) -> BuildEpoch:
    """The time of what a name stands for."""
    if value == _CONTEXT:
        return _of_context(str(sources.request.context), sources, sources.context)
    named = sources.bases.value(value)
    if named is not None:
        return _of_context(named, sources, None)
    for stage in sources.dockerfile.stages:
        if stage.name == value.lower():
            step = _only_source(stage, sources, scope)
            if isinstance(step, GitStep):
                return _fetched(sources.fetching.commit_time(step), step)
            return _fetched(_of_url(step.url, sources, None, checksum=step.checksum), step)
    raise UsageError(f"invalid SOURCE_DATE_EPOCH: {value}", hint=_HINT)


def _fetched(seconds: int | None, step: HttpStep | GitStep | None = None) -> BuildEpoch:
    return BuildEpoch(seconds or 0, "" if seconds is None else str(seconds), is_fetched=True, source=step)


def _of_context(value: str, sources: EpochSources, files: FileView | None) -> BuildEpoch:
    """The time of a context; `files` are those of it, if it is open."""
    if value == "-" or sources.environment.path(value).is_dir():
        return BuildEpoch()
    git = git_context(value)
    if git is not None:
        return _fetched(sources.fetching.commit_time(git))
    return _fetched(_of_url(value, sources, files)) if is_url(value) else BuildEpoch()


def _of_url(url: str, sources: EpochSources, files: FileView | None, *, checksum: Digest | None = None) -> int | None:
    said = sources.fetching.downloads.fetch(url, checksum=checksum).last_modified
    if said:
        return said
    try:
        return _newest(sources.opener.url(url)[0].files if files is None else files)
    except UsageError:  # it is compressed, and no tar
        return None


def _newest(files: FileView) -> int | None:
    """The latest time of a file in an archive; None if there is none, or these are no files of an archive."""
    if not isinstance(files, Tree):
        return None
    return max((entry.mtime for entry in files.walk() if entry.type in ("file", "hardlink")), default=None)


def _only_source(stage: Stage, sources: EpochSources, scope: Mapping[str, str]) -> HttpStep | GitStep:
    """What a stage adds that does nothing else.

    Raises:
        DockerfileError: it does something else, or adds more than one thing; located.
    """
    escape = sources.dockerfile.escape
    if expand(stage.base, scope.get, escape, location=stage.base_location) != "scratch":
        raise _refused("SOURCE_DATE_EPOCH stage must use FROM scratch", stage.base_location)
    variables = dict(scope)
    step: HttpStep | GitStep | None = None
    for instruction in stage.instructions:
        match instruction:
            case Arg():
                variables = _with_values(instruction, sources.request.build_args, variables, escape)
            case Add():
                if step is not None:
                    raise _refused("SOURCE_DATE_EPOCH stage must contain exactly one remote ADD", instruction.location)
                step = _added(expand_instruction(instruction, variables.get, escape))
            case _:
                raise _refused(
                    "SOURCE_DATE_EPOCH stage does not meet source-only requirements: "
                    f"unsupported {instruction.keyword} instruction",
                    instruction.location,
                )
    if step is None:
        raise _refused("SOURCE_DATE_EPOCH stage must contain exactly one remote ADD", stage.location)
    return step


def _with_values(arg: Arg, given: Mapping[str, str], variables: Mapping[str, str], escape: str) -> dict[str, str]:
    """The variables with those that an ARG sets. Without a value it leaves what is known from before the first FROM."""
    known = dict(variables)
    for definition in arg.definitions:
        name, default = definition.name.text, definition.default
        if name in given:
            known[name] = given[name]
        elif default is not None:
            known[name] = expand(default.text, known.get, escape, location=default.location)
    return known


def _added(instruction: Add) -> HttpStep | GitStep:
    """What the ADD, expanded, fetches."""
    if instruction.heredocs or len(instruction.sources) != 1:
        raise _refused("SOURCE_DATE_EPOCH stage must contain exactly one remote ADD source", instruction.location)
    (source,) = instruction.sources
    remote = remote_source(instruction, source, 0)
    if remote is None:
        raise _refused("SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD", source.location)
    return remote.step


def _refused(message: str, location: Location) -> DockerfileError:
    return DockerfileError(message, hint=_STAGE_HINT, location=location)
