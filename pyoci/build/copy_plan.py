"""COPY and ADD to a step: where the sources come from, where they go, what history says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyoci.build.add_plan import refuse_remote, remote_source, shown_source
from pyoci.build.config_effects import joined_path
from pyoci.build.graph import VertexID, vertex
from pyoci.build.steps import ContextStep, CopySource, CopyStep, InlineFile
from pyoci.dockerfile.chmod import parse_mode
from pyoci.dockerfile.expand import expand
from pyoci.dockerfile.instructions import Add, Copy
from pyoci.dockerfile.windows_paths import without_drive
from pyoci.dockerfile.words import Word
from pyoci.errors import DockerfileError, located
from pyoci.values import replace

if TYPE_CHECKING:
    from pyoci.build.stage_plan import StagePlanner

__all__ = ["absolute_destination", "plan_copy"]

_MAIN_CONTEXT = "."


def plan_copy(planner: StagePlanner, instruction: Copy | Add) -> None:
    """Adds the step and history of a COPY or ADD whose variables are expanded.

    Raises:
        DockerfileError: located.
    """
    chmod = _text(instruction.chmod)
    if instruction.chmod is not None and chmod:
        with located(instruction.chmod.location):
            parse_mode(chmod)
    inputs: list[VertexID] = []
    sources = []
    for word in instruction.sources:
        added, source = _source(planner, instruction, word)
        if added not in inputs:
            inputs.append(added)
        sources.append(replace(source, input=1 + inputs.index(added)))
    step = CopyStep(
        sources=tuple(sources),
        destination=_destination(planner, instruction.destination),
        inline=tuple(InlineFile(heredoc.name, heredoc.text) for heredoc in instruction.heredocs),
        chown=_text(instruction.chown),
        chmod=chmod,
        link=instruction.link and not chmod,
        parents=isinstance(instruction, Copy) and instruction.parents,
        excludes=tuple(word.text for word in instruction.exclude),
        epoch=planner.options.epoch,
    )
    planner.add_step(step, tuple(inputs), instruction, _title(instruction))
    planner.add_history(_history(instruction, chmod) + " # buildkit", has_layer=True)


def _text(word: Word | None) -> str:
    return word.text if word is not None else ""


def _destination(planner: StagePlanner, word: Word) -> str:
    workdir = planner.config.working_dir or "/"
    return absolute_destination(_path(planner, workdir, word), _path(planner, word.text, word))


def _path(planner: StagePlanner, text: str, word: Word) -> str:
    """A path that the word gives as the stage's platform means it."""
    if planner.platform.os != "windows":
        return text
    with located(word.location):
        return without_drive(text)


def absolute_destination(workdir: str, text: str) -> str:
    """The destination from the root, with its trailing slash if it says that it is a directory."""
    is_directory = text in ("", ".") or text.endswith(("/", "/."))
    path = joined_path(workdir, text)
    return path + "/" if is_directory and path != "/" else path


def _source(planner: StagePlanner, instruction: Copy | Add, word: Word) -> tuple[VertexID, CopySource]:
    """The vertex that a source argument reads from, and what of it; its position is not set yet."""
    if isinstance(instruction, Copy):
        refuse_remote(word)
        return _copy_source(planner, instruction), CopySource(0, _path(planner, word.text, word))
    remote = remote_source(instruction, word, planner.options.epoch)
    if remote is not None:
        added = vertex(remote.step, title=f"ADD {shown_source(word.text)}", location=word.location)
        return planner.stages.add(added), CopySource(0, remote.path, pattern=False, unpack=remote.unpack)
    context = planner.stages.add(vertex(ContextStep(_MAIN_CONTEXT)))
    return context, CopySource(0, _path(planner, word.text, word), unpack=instruction.unpack is not False)


def _copy_source(planner: StagePlanner, instruction: Copy) -> VertexID:
    if instruction.from_ is None:
        return planner.stages.add(vertex(ContextStep(_MAIN_CONTEXT)))
    word = instruction.from_
    name = expand(word.text, planner.stages.scope.get, planner.escape, location=word.location)
    if not name:
        raise DockerfileError(
            f"--from={word.text} is empty once its variables are expanded",
            hint="only arguments declared before the first FROM count here; give a default, or pass --build-arg",
            location=word.location,
        )
    return planner.stages.source(name, planner.stage, word.location, planner.platform).vertex


def _words(instruction: Copy | Add) -> str:
    parts = [shown_source(word.text) for word in instruction.sources]
    parts.extend(f"<<{heredoc.name}" for heredoc in instruction.heredocs)
    return " ".join([*parts, instruction.destination.text])


def _title(instruction: Copy | Add) -> str:
    keyword = "ADD" if isinstance(instruction, Add) else "COPY"
    flags = [f"--from={instruction.from_.text}"] if isinstance(instruction, Copy) and instruction.from_ else []
    flags += [f"--chown={instruction.chown.text}"] if instruction.chown else []
    flags += [f"--chmod={instruction.chmod.text}"] if instruction.chmod else []
    return " ".join([keyword, *flags, _words(instruction)])


def _history(instruction: Copy | Add, chmod: str) -> str:
    parts = ["ADD" if isinstance(instruction, Add) else "COPY"]
    if isinstance(instruction, Copy) and instruction.parents:
        parts.append("--parents")
    if instruction.chown is not None and instruction.chown.text:
        parts.append(f"--chown={instruction.chown.text}")
    if chmod:
        parts.append(f"--chmod={chmod}")
    return " ".join([*parts, _words(instruction)])
