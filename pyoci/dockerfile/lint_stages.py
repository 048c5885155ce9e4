"""Checks of the instructions of stages, in order, with the variables that each of them sees."""

from __future__ import annotations

import re
from typing import Literal

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.expand import expand_instruction
from pyoci.dockerfile.findings import BaseImage, CheckInputs, Findings
from pyoci.dockerfile.go_quote import go_quoted
from pyoci.dockerfile.lexer import ExpansionError, expand_word
from pyoci.dockerfile.parser import parse_trigger
from pyoci.dockerfile.paths import clean
from pyoci.dockerfile.ports import parse_port
from pyoci.dockerfile.suggest import nearest
from pyoci.dockerfile.windows_paths import is_absolute
from pyoci.dockerfile.words import Word
from pyoci.errors import DockerfileError, PyociError
from pyoci.location import Location
from pyoci.platforms import parse_platform
from pyoci.regex import regex
from pyoci.values import dataclass, field, replace

__all__ = ["check_stages"]

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NO_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
_SECRET = regex(r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE)
_NO_SECRET = regex(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@")


@dataclass(slots=True)
class _State:
    """A stage as far as it has been walked."""

    env: dict[str, str] = field(default_factory=dict)
    knows_env: bool = True
    """False over an image that is not known: any name may be set there."""
    declared: set[str] = field(default_factory=set)
    shell: tuple[str, ...] = ()
    has_workdir: bool = False
    triggers: list[ins.TriggerInstruction] = field(default_factory=list)
    """ONBUILD instructions for the next stage."""

    def set(self, name: str, value: str) -> None:
        """The name goes to the end: of two that are equally near to a misspelt one, the older is suggested."""
        self.env.pop(name, None)
        self.env[name] = value

    def child(self) -> _State:
        return replace(self, env=dict(self.env), declared=set(self.declared), triggers=[])


def check_stages(dockerfile: ins.Dockerfile, inputs: CheckInputs, scope: dict[str, str], findings: Findings) -> None:
    """Walks the stages that count and reports what their instructions do with the variables and settings they see."""
    walk = _Walk(dockerfile, inputs, scope, findings)
    for stage in dockerfile.stages:
        walk.stage(stage)


class _Walk:
    def __init__(
        self, dockerfile: ins.Dockerfile, inputs: CheckInputs, scope: dict[str, str], findings: Findings
    ) -> None:
        self._escape = dockerfile.escape
        self._inputs = inputs
        self._scope = scope
        self._findings = findings
        self._by_name: dict[str, _State] = {}

    def stage(self, stage: ins.Stage) -> None:
        counts = self._inputs.stages is None or stage.index in self._inputs.stages
        findings = self._findings
        state = self._begin(stage, counts=counts)
        if state is None:
            return
        checker = _Checker(state, self._inputs, self._scope, self._escape, findings)
        for instruction in stage.instructions:
            if counts:
                checker.check(instruction)
            if isinstance(instruction, ins.Onbuild):
                state.triggers.append(instruction.trigger)
        if stage.name:
            self._by_name[stage.name] = state

    def _begin(self, stage: ins.Stage, *, counts: bool) -> _State | None:
        """What the stage starts with; None if its base cannot be named."""
        try:
            base = expand_word(stage.base, self._scope.get, escape=self._escape).text
        except ExpansionError:
            return None
        parent = self._by_name.get(base)
        if parent is not None:
            state, triggers = parent.child(), parent.triggers
        else:
            image = BaseImage() if base == "scratch" else self._image(stage, base) if counts else None
            state, triggers = _state_over(image), _triggers(image, stage)
        silent = _Checker(state, self._inputs, self._scope, self._escape, None)
        for trigger in triggers:
            silent.check(trigger)
        return state

    def _image(self, stage: ins.Stage, base: str) -> BaseImage | None:
        platform = self._inputs.target_platform
        if stage.platform is not None:
            try:
                text = expand_word(stage.platform, self._scope.get, escape=self._escape).text
                platform = parse_platform(text, default=platform)
            except PyociError:
                return None
        image = self._inputs.base_image(base, platform)
        actual = image.platform if image else None
        if actual and (actual.os, actual.architecture) != (platform.os, platform.architecture):
            message = f'Base image {base} was pulled with platform "{actual}", expected "{platform}" for current build'
            lines = (stage.location.line, stage.location.last_line)
            self._findings.add("InvalidBaseImagePlatform", message, stage.base_location, lines=lines, check=stage.check)
        return image


def _state_over(image: BaseImage | None) -> _State:
    if image is None:
        return _State(knows_env=False)
    return _State(env={"PATH": _DEFAULT_PATH, **image.env}, shell=image.shell)


def _triggers(image: BaseImage | None, stage: ins.Stage) -> list[ins.TriggerInstruction]:
    triggers: list[ins.TriggerInstruction] = []
    for expression in image.on_build if image else ():
        try:
            triggers.append(parse_trigger(expression, stage.location))
        except DockerfileError:
            continue
    return triggers


class _Checker:
    """Checks instructions one after the other and keeps the state; without `findings` it only keeps the state."""

    def __init__(
        self,
        state: _State,
        inputs: CheckInputs,
        scope: dict[str, str],
        escape: str,
        findings: Findings | None,
    ) -> None:
        self._state = state
        self._inputs = inputs
        self._scope = scope
        self._escape = escape
        self._findings = findings
        self._last: dict[type[ins.Instruction], ins.Instruction] = {}

    def check(self, instruction: ins.Instruction) -> None:
        if isinstance(instruction, ins.Arg):
            self._arg(instruction)
            return
        try:
            expanded = expand_instruction(
                instruction,
                self._state.env.get,
                self._escape,
                on_missing=lambda name, place: self._undefined(name, place, instruction),
            )
        except ExpansionError:
            return
        match expanded:
            case ins.Env() | ins.Label():
                self._pairs(expanded)
            case ins.Workdir():
                self._workdir(expanded)
            case ins.Cmd() | ins.Entrypoint() | ins.Healthcheck():
                self._command(expanded)
            case ins.Shell():
                self._state.shell = expanded.arguments
            case ins.Expose():
                self._expose(expanded)
            case ins.Copy() | ins.Add():
                self._files(expanded)
            case _:
                pass

    def _report(self, name: str, message: str, place: Location, instruction: ins.Instruction) -> None:
        if self._findings is not None:
            lines = (instruction.location.line, instruction.location.last_line)
            self._findings.add(name, message, place, lines=lines, check=instruction.check)

    def _undefined(self, name: str, place: Location, instruction: ins.Instruction) -> None:
        if not self._state.knows_env or name in self._state.declared or name in _NO_VARIABLES:
            return
        if isinstance(instruction, ins.Expose):
            return
        near = nearest(name, self._state.env, swaps=False)
        message = f"Usage of undefined variable '${name}'" + (f" (did you mean ${near}?)" if near else "")
        self._report("UndefinedVar", message, place, instruction)

    def _arg(self, arg: ins.Arg) -> None:
        for definition in arg.definitions:
            name = definition.name.text
            self._secret("ARG", definition.name, arg)
            value = self._inputs.build_args.get(name)
            if value is None and definition.default is not None:
                place = definition.default.location
                try:
                    expansion = expand_word(definition.default.text, self._state.env.get, escape=self._escape)
                except ExpansionError:
                    continue
                for missing in sorted(expansion.missing):
                    self._undefined(missing, place, arg)
                value = expansion.text
            elif value is None:
                value = self._scope.get(name)
            if value is not None and name not in _NO_VARIABLES:
                self._state.set(name, value)
            self._state.declared.add(name)

    def _pairs(self, instruction: ins.Env | ins.Label) -> None:
        keyword = instruction.keyword
        for pair in instruction.pairs:
            if pair.legacy:
                message = f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" format'
                self._report("LegacyKeyValueFormat", message, instruction.location, instruction)
            if isinstance(instruction, ins.Env):
                self._secret("ENV", pair.name, instruction)
                self._state.set(pair.name.text, pair.value.text)

    def _secret(self, keyword: Literal["ARG", "ENV"], name: Word, instruction: ins.Instruction) -> None:
        if _SECRET.search(name.text) and not _NO_SECRET.search(name.text):
            message = f"Do not use ARG or ENV instructions for sensitive data ({keyword} {go_quoted(name.text)})"
            self._report("SecretsUsedInArgOrEnv", message, name.location, instruction)

    def _workdir(self, workdir: ins.Workdir) -> None:
        path = workdir.path.text
        for_windows = self._inputs.target_platform.os == "windows"
        if not self._state.has_workdir and not path.startswith("/") and not (for_windows and is_absolute(path)):
            message = f"Relative workdir {go_quoted(path)} can have unexpected results if the base image changes"
            self._report("WorkdirRelativePath", message, workdir.path.location, workdir)
        self._state.has_workdir = True

    def _command(self, instruction: ins.Cmd | ins.Entrypoint | ins.Healthcheck) -> None:
        keyword = instruction.keyword
        previous = self._last.get(type(instruction))
        if previous is not None:
            message = (
                f"Multiple {keyword} instructions should not be used in the same stage"
                " because only the last one will be used"
            )
            check = previous.check.merged(instruction.check)
            self._report("MultipleInstructionsDisallowed", message, previous.location, replace(previous, check=check))
        self._last[type(instruction)] = instruction
        if isinstance(instruction, ins.Healthcheck) or instruction.form == "exec" or self._state.shell:
            return
        message = f"JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
        self._report("JSONArgsRecommended", message, instruction.location, instruction)

    def _expose(self, expose: ins.Expose) -> None:
        for word in expose.ports:
            try:
                ports = parse_port(word.text)
            except ValueError:
                continue
            if ports.odd_casing:
                message = f"Defined protocol '{word.text}' in EXPOSE instruction should be lowercase"
                self._report("ExposeProtoCasing", message, word.location, expose)
            if ports.has_host_part:
                message = (
                    f"EXPOSE instruction should not define an IP address or host-port mapping, found '{word.text}'"
                )
                self._report("ExposeInvalidFormat", message, word.location, expose)

    def _files(self, instruction: ins.Copy | ins.Add) -> None:
        ignore = self._inputs.ignore
        if ignore is None or ignore.has_negations or (isinstance(instruction, ins.Copy) and instruction.from_):
            return
        verb = "Add" if isinstance(instruction, ins.Add) else "Copy"
        for word in instruction.sources:
            if word.text.startswith(_REMOTE):
                continue
            path = clean(word.text)
            if path in (".", "/") and not ignore.excludes_everything:
                continue
            if ignore.matches_path_or_parents(path):
                message = f"Attempting to {verb} file {go_quoted(path)} that is excluded by .dockerignore"
                self._report("CopyIgnoredFile", message, word.location, instruction)
