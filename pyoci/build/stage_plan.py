"""One stage, instruction by instruction: vertices for what changes files, effects for what changes the config."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyoci.build.config_effects import DEFAULT_PATH, apply_effect, joined_path, next_workdir, set_variable
from pyoci.build.copy_plan import plan_copy
from pyoci.build.graph import VertexID, vertex
from pyoci.build.plan import PlannedRun
from pyoci.build.run_plan import plan_run
from pyoci.build.scopes import StageVariables
from pyoci.build.steps import Step, WorkdirStep
from pyoci.dockerfile.comments import looks_like_trailing_comment, trailing_comment_error
from pyoci.dockerfile.expand import expand, expand_instruction
from pyoci.dockerfile.instructions import (
    Add,
    Arg,
    Copy,
    Instruction,
    Maintainer,
    Onbuild,
    Run,
    Stage,
    Workdir,
)
from pyoci.dockerfile.lexer import ExpansionError
from pyoci.dockerfile.parser import parse_trigger
from pyoci.dockerfile.windows_paths import without_drive
from pyoci.errors import DockerfileError, located
from pyoci.image.config import ContainerConfig, History
from pyoci.image.image import Image
from pyoci.location import Location
from pyoci.platforms import Platform
from pyoci.values import dataclass, field, replace

if TYPE_CHECKING:
    from pyoci.build.stages import Stages

__all__ = ["PlannedStage", "StagePlanner", "timestamp"]

_COMMENT = "buildkit.dockerfile.v0"
"""What docker's tools know a history entry of a Dockerfile by."""


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage as it is after some or all of its instructions."""

    vertex: VertexID
    config: ContainerConfig
    platform: Platform
    variables: StageVariables
    base: Image | None = None
    history: tuple[History, ...] = ()
    author: str = ""
    triggers: tuple[str, ...] = ()
    """ONBUILD instructions of what it starts from, to be run first."""
    locations: dict[str, Location] = field(default_factory=dict)
    replaced: bool = False
    """A named context stands in for the whole stage: its instructions do not count."""
    on_host: bool = False
    """It stands on this machine's own toolchain, of which no image may be made."""

    @classmethod
    def scratch(cls, start: VertexID, platform: Platform) -> PlannedStage:
        """The beginning over an empty file system."""
        if platform.os == "windows":
            return cls(start, ContainerConfig(working_dir="\\"), platform, StageVariables({}))
        config = ContainerConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/")
        return cls(start, config, platform, StageVariables({"PATH": DEFAULT_PATH}))

    @classmethod
    def host(cls, start: VertexID, environment: tuple[str, ...], platform: Platform) -> PlannedStage:
        """The beginning over this machine's toolchain."""
        config = ContainerConfig(env=environment, working_dir="/")
        variables = StageVariables(dict(entry.partition("=")[::2] for entry in environment))
        return cls(start, config, platform, variables, on_host=True)

    @classmethod
    def image(cls, start: VertexID, image: Image, platform: Platform) -> PlannedStage:
        """The beginning over an image: its config without the triggers, which run here."""
        value = image.config.value
        config = value.config
        if not any(entry.startswith("PATH=") for entry in config.env) and platform.os != "windows":
            config = replace(config, env=set_variable(config.env, "PATH", DEFAULT_PATH))
        if config.working_dir:
            config = replace(config, working_dir=next_workdir("/", config.working_dir, platform.os))
        variables = StageVariables(dict(entry.partition("=")[::2] for entry in config.env))
        triggers = config.on_build
        config = replace(config, on_build=())
        return cls(start, config, platform, variables, base=image, author=value.author, triggers=triggers)

    def inherited(self) -> PlannedStage:
        """The beginning over this stage: its ONBUILD instructions run now and are gone."""
        config = replace(self.config, on_build=())
        return replace(
            self,
            config=config,
            variables=self.variables.copy(),
            triggers=self.config.on_build,
            locations=dict(self.locations),
            replaced=False,
        )


class StagePlanner:
    """Plans the instructions of one stage. Used once."""

    def __init__(self, stages: Stages, stage: Stage, begin: PlannedStage) -> None:
        self.stages = stages
        self.stage = stage
        self.options = stages.options
        self.escape = stages.dockerfile.escape
        self.vertex = begin.vertex
        self.config = begin.config
        self.variables = begin.variables
        self.platform = begin.platform
        self._begin = begin
        self._history = list(begin.history)
        self._author = begin.author
        self._locations = begin.locations
        self._cmd_is_set = False
        self._on_build: tuple[str, ...] = ()
        self._step = 0
        self._steps = 0
        self._from_trigger = False

    def run(self) -> PlannedStage:
        """The stage after its last instruction.

        Raises:
            DockerfileError and others: located at the instruction.
        """
        begin = self._begin
        if begin.replaced:
            return begin
        self._locations.setdefault("from", self.stage.base_location)
        triggers = [parse_trigger(text, self.stage.location, escape=self.escape) for text in begin.triggers]
        instructions = self.stage.instructions
        self._step, self._steps = self.numbering(self.stages, self.stage, len(triggers))
        for trigger in triggers:
            self._from_trigger = True
            self._instruction(trigger, self.stage.location)
        self._from_trigger = False
        for instruction in instructions:
            self._instruction(instruction, instruction.location)
        return PlannedStage(
            vertex=self.vertex,
            config=replace(self.config, on_build=self._on_build),
            platform=self.platform,
            variables=self.variables,
            base=begin.base,
            history=tuple(self._history),
            author=self._author,
            locations=self._locations,
            on_host=begin.on_host,
        )

    # titles

    @staticmethod
    def numbering(stages: Stages, stage: Stage, triggers: int) -> tuple[int, int]:
        """How many steps came before the first instruction (FROM an image is one), and how many there are in all."""
        name = expand(stage.base, stages.scope.get, stages.dockerfile.escape, location=stage.base_location)
        earlier = stages.find(name) if not name.isdigit() else None
        first = 0 if name == "scratch" or (earlier is not None and earlier < stage.index) else 1
        return first, first + triggers + sum(isinstance(i, Add | Copy | Run | Workdir) for i in stage.instructions)

    @staticmethod
    def from_title(stages: Stages, stage: Stage | None, platform: Platform, name: str) -> str:
        """`[builder 1/4] FROM docker.io/library/golang:1.22@sha256:…`."""
        if stage is None:
            return f"FROM {name}"
        _, steps = StagePlanner.numbering(stages, stage, 0)
        return f"{StagePlanner._prefix(stages, stage, platform, 1, steps)}FROM {name}"

    @staticmethod
    def _prefix(stages: Stages, stage: Stage, platform: Platform, step: int, steps: int) -> str:
        parts = []
        if stages.options.show_platform:
            parts.append(str(platform))
        if len(stages.dockerfile.stages) > 1:
            parts.append(stage.written_name or f"stage-{stage.index}")
        width = int(1 + math.log10(steps or 1))
        parts.append(f"{step:>{width}}/{steps}")
        return f"[{' '.join(parts)}] "

    def title(self, text: str) -> str:
        """The title of the next step."""
        self._step += 1
        prefix = self._prefix(self.stages, self.stage, self.platform, self._step, self._steps)
        return prefix + ("ONBUILD " if self._from_trigger else "") + text

    # what instructions use

    def lookup(self, name: str) -> str | None:
        """The value of a variable at this point."""
        return self.variables.environment.get(name)

    def add_step(self, step: Step, others: tuple[VertexID, ...], instruction: Instruction, title: str) -> None:
        """Puts a step on top of the stage's file system."""
        words = (*(w.location for w in instruction.sources),) if isinstance(instruction, Add | Copy) else ()
        no_cache = self.options.no_cache or (self.stage.name or "") in self.options.no_cache_stages
        added = vertex(
            step,
            (self.vertex, *others),
            title=self.title(title),
            location=self.stage.location if self._from_trigger else instruction.location,
            word_locations=words,
            trailing_comment=looks_like_trailing_comment(instruction) if words else None,
            no_cache=no_cache,
        )
        self.vertex = self.stages.add(added)

    def add_history(self, text: str, *, has_layer: bool) -> None:
        """Adds a history entry of now, as far as the image is concerned."""
        created = timestamp(self.options.epoch)
        self._history.append(History(created, text, comment=_COMMENT, empty_layer=not has_layer))

    def _instruction(self, instruction: Instruction, location: Location) -> None:
        with located(location):
            match instruction:
                case Arg():
                    text = self.variables.declare(instruction, self.stages.scope, self.stages.arguments, self.escape)
                    self.add_history(text, has_layer=False)
                case Onbuild():
                    self._on_build = (*self._on_build, instruction.expression)
                case Maintainer():
                    self._author = instruction.name
                    self.add_history(f"MAINTAINER {instruction.name}", has_layer=False)
                case Run():
                    plan_run(self, instruction)
                    self.stages.runs.append(PlannedRun(self.platform, location))
                case Copy() | Add():
                    plan_copy(self, self._expanded_copy(instruction))
                case Workdir():
                    self._workdir(expand_instruction(instruction, self.lookup, self.escape))
                case _:
                    self._effect(expand_instruction(instruction, self.lookup, self.escape))

    def _expanded_copy(self, instruction: Copy | Add) -> Copy | Add:
        """The words with variables filled in; a quote that is open in a comment behind them is the comment's fault."""
        try:
            return expand_instruction(instruction, self.lookup, self.escape)
        except ExpansionError as error:
            comment, place = looks_like_trailing_comment(instruction), error.location
            if comment is None or place is None or (place.line, place.column) < (comment.line, comment.column):
                raise
            raise trailing_comment_error(type(instruction).__name__.upper(), comment) from None

    def _workdir(self, instruction: Workdir) -> None:
        path = next_workdir(self.config.working_dir or "/", instruction.path.text, self.platform.os)
        self.config = replace(self.config, working_dir=path)
        if self.platform.os == "windows":
            path = without_drive(path)
        self._locations["workdir"] = instruction.location
        if path != "/":
            step = WorkdirStep(joined_path("/", path), self.config.user, self.options.epoch)
            self.add_step(step, (), instruction, f"WORKDIR {instruction.path.text}")
        self.add_history(f"WORKDIR {path}", has_layer=path != "/")

    def _effect(self, instruction: Instruction) -> None:
        from pyoci.dockerfile.instructions import (
            Cmd,
            Entrypoint,
            Env,
            Expose,
            Healthcheck,
            Label,
            Shell,
            Stopsignal,
            User,
            Volume,
        )

        if not isinstance(
            instruction, Cmd | Entrypoint | Env | Expose | Healthcheck | Label | Shell | Stopsignal | User | Volume
        ):
            raise DockerfileError(f"{instruction.keyword} cannot stand here", location=instruction.location)
        self.config, text = apply_effect(self.config, instruction, cmd_is_set=self._cmd_is_set, os=self.platform.os)
        if isinstance(instruction, Env):
            self.variables.environment.update((pair.name.text, pair.value.text) for pair in instruction.pairs)
        if isinstance(instruction, Cmd):
            self._cmd_is_set = True
        if isinstance(instruction, Cmd | Entrypoint | User | Expose | Healthcheck):
            self._locations[type(instruction).__name__.lower()] = instruction.location
        self.add_history(text, has_layer=False)


def timestamp(epoch: int) -> str:
    """Seconds since 1970 as RFC 3339 in UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
