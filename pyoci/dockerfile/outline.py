"""What can be built (`--call=targets`), and what arguments, secrets and ssh agents a target takes (`--call=outline`).

Pure, like the checks: base images, where their variables matter, are passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.expand import expand_instruction
from pyoci.dockerfile.findings import CheckInputs
from pyoci.dockerfile.lexer import ExpansionError, expand_word
from pyoci.dockerfile.lint_from import global_scope
from pyoci.dockerfile.mounts import SecretMount, SshMount, mount_of
from pyoci.errors import DockerfileError
from pyoci.location import Location
from pyoci.values import dataclass, field

__all__ = ["Outline", "OutlineArg", "OutlineNeed", "Target", "outline", "targets"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """A stage that can be built."""

    name: str | None
    description: str
    base: str
    """As written."""
    platform: str | None
    """As written."""
    is_default: bool
    location: Location


@dataclass(frozen=True, slots=True)
class OutlineArg:
    """A build argument that the target uses."""

    name: str
    value: str
    """As it would be now; empty if it has none."""
    description: str
    location: Location


@dataclass(frozen=True, slots=True)
class OutlineNeed:
    """A secret or an ssh agent that the target asks for."""

    id: str
    required: bool
    location: Location


@dataclass(frozen=True, slots=True)
class Outline:
    """All that one target takes from outside, each kind by line."""

    name: str | None
    description: str
    args: tuple[OutlineArg, ...]
    secrets: tuple[OutlineNeed, ...]
    ssh: tuple[OutlineNeed, ...]


def targets(dockerfile: ins.Dockerfile) -> tuple[Target, ...]:
    """The stages in order; the last is the default."""
    last = len(dockerfile.stages) - 1
    return tuple(
        Target(stage.name, stage.description, stage.base, stage.platform, stage.index == last, stage.location)
        for stage in dockerfile.stages
    )


def outline(dockerfile: ins.Dockerfile, inputs: CheckInputs, target: ins.Stage) -> Outline:
    """What the target and the stages below it use. What cannot be expanded is left out; planning reports it."""
    collector = _Collector(dockerfile, inputs)
    stages = collector.needed(target)
    for stage in sorted(stages, key=lambda stage: stage.index):
        collector.walk(stage)
    uses = [collector.uses(stage) for stage in stages]

    def by_line(entry: OutlineArg | OutlineNeed) -> tuple[int, int]:
        return entry.location.line, entry.location.column

    return Outline(
        target.name,
        target.description,
        tuple(sorted(_first(stage.args for stage in uses).values(), key=by_line)),
        tuple(sorted(_first(stage.secrets for stage in uses).values(), key=by_line)),
        tuple(sorted(_first(stage.ssh for stage in uses).values(), key=by_line)),
    )


def _first(found: Iterable[dict[str, T]]) -> dict[str, T]:
    """Of each name what the first that has it says."""
    merged: dict[str, T] = {}
    for entries in found:
        merged = {**entries, **merged}
    return merged


@dataclass(slots=True)
class _Stage:
    """A stage that was walked: what it uses, and what the next one over it begins with."""

    env: dict[str, str] = field(default_factory=dict)
    triggers: list[ins.TriggerInstruction] = field(default_factory=list)
    args: dict[str, OutlineArg] = field(default_factory=dict)
    secrets: dict[str, OutlineNeed] = field(default_factory=dict)
    ssh: dict[str, OutlineNeed] = field(default_factory=dict)


class _Collector:
    def __init__(self, dockerfile: ins.Dockerfile, inputs: CheckInputs) -> None:
        self._dockerfile = dockerfile
        self._escape = dockerfile.escape
        self._inputs = inputs
        self._scope = global_scope(dockerfile, inputs.builtins, inputs.build_args) or dict(inputs.builtins)
        self._walked: dict[int, _Stage] = {}
        self._globals = {
            definition.name.text: definition for arg in dockerfile.meta_args for definition in arg.definitions
        }
        self._global_places = {
            definition.name.text: arg.location for arg in dockerfile.meta_args for definition in arg.definitions
        }

    def needed(self, target: ins.Stage) -> list[ins.Stage]:
        """The target, what it builds on, and what it copies from, each followed by the same of its own."""
        found: dict[int, ins.Stage] = {}
        pending = [target]
        while pending:
            stage = pending.pop()
            if stage.index not in found:
                found[stage.index] = stage
                pending += reversed(list(self._sources(stage)))
        return list(found.values())

    def uses(self, stage: ins.Stage) -> _Stage:
        """What a stage uses that was walked."""
        return self._walked[stage.index]

    def _sources(self, stage: ins.Stage) -> Iterator[ins.Stage]:
        names = [self._expanded(stage.base)]
        for instruction in stage.instructions:
            match instruction:
                case ins.Copy(from_=word) if word is not None:
                    names.append(self._expanded(word.text))
                case ins.Run():
                    names += (mount.from_ for mount in instruction.mounts)
                case _:
                    pass
        earlier = self._dockerfile.stages[: stage.index]
        for name in names:
            if name is not None and name.isascii() and name.isdigit() and len(name) < 9 and int(name) < len(earlier):
                yield earlier[int(name)]
            elif name is not None:
                yield from (other for other in earlier if other.name == name.lower())

    def _expanded(self, text: str) -> str | None:
        try:
            expansion = expand_word(text, self._scope.get, escape=self._escape)
        except ExpansionError:
            return None
        return expansion.text

    def walk(self, stage: ins.Stage) -> None:
        state = self._begin(stage)
        for text in (stage.base, stage.platform or ""):
            self._use(text, state)
        for instruction in stage.instructions:
            self._instruction(instruction, state)
        self._walked[stage.index] = state

    def _begin(self, stage: ins.Stage) -> _Stage:
        base = self._expanded(stage.base) or ""
        parent = next((other for other in reversed(self._dockerfile.stages[: stage.index]) if other.name == base), None)
        if parent is not None and parent.index in self._walked:
            below = self._walked[parent.index]
            state = _Stage(dict(below.env), args=dict(below.args))
            for trigger in below.triggers:
                self._instruction(trigger, state)
            return state
        image = self._inputs.base_image(base, self._inputs.target_platform) if base != "scratch" else None
        return _Stage(dict(image.env) if image else {})

    def _use(self, text: str, state: _Stage) -> None:
        """Notes the global arguments that a word uses, and those that their defaults use."""
        try:
            expansion = expand_word(text, self._scope.get, escape=self._escape)
        except ExpansionError:
            return
        for name in expansion.used:
            self._use_global(name, state)

    def _use_global(self, name: str, state: _Stage) -> None:
        """Notes a global argument. A platform's that is only declared has the value that is given, not the built-in."""
        definition = self._globals.get(name)
        if definition is None or name in state.args:
            return
        given = self._inputs.build_args
        value = given.get(name, "") if definition.default is None else self._scope.get(name, "")
        state.args[name] = OutlineArg(name, value, definition.description, self._global_places[name])
        if definition.default is not None and name not in given:
            self._use(definition.default.text, state)

    def _instruction(self, instruction: ins.Instruction, state: _Stage) -> None:
        try:
            match instruction:
                case ins.Arg():
                    self._arg(instruction, state)
                case ins.Env():
                    expanded = expand_instruction(instruction, state.env.get, self._escape)
                    state.env.update((pair.name.text, pair.value.text) for pair in expanded.pairs)
                case ins.Run():
                    self._mounts(expand_instruction(instruction, state.env.get, self._escape), state)
                case ins.Onbuild():
                    state.triggers.append(instruction.trigger)
                case _:
                    pass
        except DockerfileError:
            return

    def _arg(self, arg: ins.Arg, state: _Stage) -> None:
        """An ARG without a default that is declared before the first FROM as well is that one."""
        for definition in arg.definitions:
            name, default = definition.name.text, definition.default
            value = self._inputs.build_args.get(name)
            if value is None and default is not None:
                value = expand_word(default.text, state.env.get, escape=self._escape, location=default.location).text
            elif value is None:
                value = self._scope.get(name)
            if default is None and name in self._globals:
                self._use_global(name, state)
            elif default is not None or name not in self._inputs.builtins:
                state.args[name] = OutlineArg(name, value or "", definition.description, arg.location)
            if value is not None:
                state.env[name] = value

    def _mounts(self, run: ins.Run, state: _Stage) -> None:
        for options in run.mounts:
            mount = mount_of(options)
            if isinstance(mount, SecretMount):
                state.secrets.setdefault(mount.id, OutlineNeed(mount.id, mount.required, run.location))
            elif isinstance(mount, SshMount):
                state.ssh.setdefault(mount.id, OutlineNeed(mount.id, mount.required, run.location))
