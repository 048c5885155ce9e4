"""The build checks: what is legal but should be looked at. Rules are data in `rules.py`; this module finds.

Pure: what only a plan or a registry knows (build arguments, base images, `.dockerignore`) is passed in, and where it is
unknown the rules that need it keep silent. Messages are BuildKit's, word for word: tools and people search for them.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.checks import CheckOptions
from pyoci.dockerfile.findings import BaseImage, BaseLookup, CheckInputs, Finding, Findings
from pyoci.dockerfile.lint_from import check_froms
from pyoci.dockerfile.lint_stages import check_stages

__all__ = ["BaseImage", "BaseLookup", "CheckInputs", "Finding", "check_dockerfile"]

_RESERVED = frozenset({"context", "scratch"})


def check_dockerfile(
    dockerfile: ins.Dockerfile, inputs: CheckInputs, *, options: CheckOptions | None = None
) -> list[Finding]:
    """What the checks find, by line. `options` stand in for the file's `# check=` (BUILDKIT_DOCKERFILE_CHECK).

    Whether findings are fatal is in the options (`error`). A variable that cannot be expanded ends the checks of its
    instruction; planning reports it.
    """
    findings = Findings(options or dockerfile.check)
    _check_layout(dockerfile, findings)
    for stage in dockerfile.stages:
        _check_stage_text(stage, findings)
    for instruction in _all_instructions(dockerfile):
        _check_instruction_text(instruction, findings)
    _check_casing(dockerfile, findings)
    scope = check_froms(dockerfile, inputs, findings)
    check_stages(dockerfile, inputs, scope, findings)
    return findings.in_order()


def _all_instructions(dockerfile: ins.Dockerfile) -> Iterator[ins.Instruction]:
    yield from dockerfile.meta_args
    for stage in dockerfile.stages:
        yield from stage.instructions


def _check_layout(dockerfile: ins.Dockerfile, findings: Findings) -> None:
    for place in dockerfile.empty_continuations:
        last = place.last_line
        findings.add("NoEmptyContinuation", "Empty continuation line", place, lines=(last, last))
    seen: set[str] = set()
    for stage in dockerfile.stages:
        if stage.name in _RESERVED:
            message = f'Stage name should not use the same name as reserved stage "{stage.name}"'
            findings.add("ReservedStageName", message, stage.location, check=stage.check)
        if stage.name in seen:
            message = f'Duplicate stage name "{stage.name}", stage names should be unique'
            findings.add("DuplicateStageName", message, stage.location, check=stage.check)
        if stage.name:
            seen.add(stage.name)


def _check_stage_text(stage: ins.Stage, findings: Findings) -> None:
    if stage.name is None or stage.written_name is None or stage.as_keyword is None:
        return
    if stage.written_name != stage.name:
        message = f"Stage name '{stage.written_name}' should be lowercase"
        findings.add("StageNameCasing", message, stage.location, check=stage.check)
    wanted = {stage.keyword.lower(): stage.as_keyword.lower(), stage.keyword.upper(): stage.as_keyword.upper()}
    if wanted.get(stage.keyword, stage.as_keyword) != stage.as_keyword:
        message = f"'{stage.as_keyword}' and '{stage.keyword}' keywords' casing do not match"
        findings.add("FromAsCasing", message, stage.location, check=stage.check)
    _check_description("FROM", (stage.name,), stage, findings)


def _check_instruction_text(instruction: ins.Instruction, findings: Findings) -> None:
    match instruction:
        case ins.Maintainer():
            message = "Maintainer instruction is deprecated in favor of using label"
            findings.add("MaintainerDeprecated", message, instruction.location, check=instruction.check)
        case ins.Arg():
            names = tuple(definition.name.text for definition in instruction.definitions)
            _check_description("ARG", names, instruction, findings)
        case _:
            pass


def _check_description(keyword: str, names: tuple[str, ...], written: ins.Written, findings: Findings) -> None:
    """The comment right above a definition begins with the name that it describes."""
    if not written.comments or written.comments[-1].split(" ", 1)[0] in names:
        return
    shown = names[0] if len(names) == 1 else "<arg_key>"
    message = f"Comment for {keyword} should follow the format: `# {shown} <description>`"
    findings.add("InvalidDefinitionDescription", message, written.location, check=written.check)


def _check_casing(dockerfile: ins.Dockerfile, findings: Findings) -> None:
    """Every keyword is written as most are; upper case wins a draw."""
    written: list[ins.Written] = []
    for stage in dockerfile.stages:
        written += (stage, *stage.instructions)
    lower = sum(each.keyword.islower() for each in written)
    upper = sum(each.keyword.isupper() for each in written)
    casing = "lowercase" if lower > upper else "uppercase"
    for each in written:
        right = each.keyword.lower() if casing == "lowercase" else each.keyword.upper()
        if each.keyword != right:
            message = f"Command '{each.keyword}' should match the case of the command majority ({casing})"
            findings.add("ConsistentInstructionCasing", message, each.location, check=each.check)
