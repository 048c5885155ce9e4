"""Checks of FROM lines and of the arguments before the first of them."""

from __future__ import annotations

from collections.abc import Mapping

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.findings import CheckInputs, Findings
from pyoci.dockerfile.go_quote import go_quoted
from pyoci.dockerfile.lexer import Expansion, ExpansionError, expand_word
from pyoci.dockerfile.suggest import nearest
from pyoci.errors import PyociError
from pyoci.location import Location
from pyoci.platforms import parse_platform
from pyoci.reference import parse_reference

__all__ = ["check_froms", "global_scope"]


def check_froms(dockerfile: ins.Dockerfile, inputs: CheckInputs, findings: Findings) -> dict[str, str]:
    """Checks every FROM; returns the values that FROM sees, and ARG without a default takes."""
    defaults = global_scope(dockerfile, inputs.builtins, {})
    if defaults is not None:
        for stage in dockerfile.stages:
            _check_default_base(dockerfile, stage, defaults, findings)
    scope = global_scope(dockerfile, inputs.builtins, inputs.build_args)
    if scope is None:
        return dict(inputs.builtins)
    declared = {definition.name.text for arg in dockerfile.meta_args for definition in arg.definitions}
    names = [*scope, *(name for name in declared if name not in scope)]
    for stage in dockerfile.stages:
        _expanded(dockerfile, stage, stage.base, stage.base_location, scope, names, findings)
        if stage.platform is not None and stage.platform_location is not None:
            place = stage.platform_location
            expansion = _expanded(dockerfile, stage, stage.platform, place, scope, names, findings)
            if expansion is not None:
                _check_platform(stage, stage.platform, expansion, place, scope, findings)
    return scope


def global_scope(
    dockerfile: ins.Dockerfile, builtins: Mapping[str, str], build_args: Mapping[str, str]
) -> dict[str, str] | None:
    """The arguments before the first FROM that have a value, over the built-in ones; None if one cannot be expanded."""
    scope = dict(builtins)
    for arg in dockerfile.meta_args:
        for definition in arg.definitions:
            value = build_args.get(definition.name.text)
            if value is None and definition.default is not None:
                try:
                    value = expand_word(definition.default.text, scope.get, escape=dockerfile.escape).text
                except ExpansionError:
                    return None
            if value is not None:
                scope[definition.name.text] = value
    return scope


def _check_default_base(
    dockerfile: ins.Dockerfile, stage: ins.Stage, defaults: Mapping[str, str], findings: Findings
) -> None:
    try:
        name = expand_word(stage.base, defaults.get, escape=dockerfile.escape).text
    except ExpansionError:
        return
    try:
        parse_reference(name)
    except PyociError:
        message = f"Default value for ARG {stage.base} results in empty or invalid base image name"
        findings.add("InvalidDefaultArgInFrom", message, stage.base_location, lines=_lines(stage), check=stage.check)


def _expanded(
    dockerfile: ins.Dockerfile,
    stage: ins.Stage,
    text: str,
    place: Location,
    scope: Mapping[str, str],
    names: list[str],
    findings: Findings,
) -> Expansion | None:
    try:
        expansion = expand_word(text, scope.get, escape=dockerfile.escape)
    except ExpansionError:
        return None
    for name in sorted(expansion.missing.difference(names)):
        near = nearest(name, names, swaps=False)
        message = f"FROM argument '{name}' is not declared" + (f" (did you mean {near}?)" if near else "")
        findings.add("UndefinedArgInFrom", message, place, lines=_lines(stage), check=stage.check)
    return expansion


def _check_platform(
    stage: ins.Stage,
    written: str,
    expansion: Expansion,
    place: Location,
    scope: Mapping[str, str],
    findings: Findings,
) -> None:
    if expansion.used == {"TARGETPLATFORM"} and not expansion.missing:
        if expansion.text == scope["TARGETPLATFORM"]:
            message = f"Setting platform to predefined {written} in FROM is redundant as this is the default behavior"
            findings.add("RedundantTargetPlatform", message, place, lines=_lines(stage), check=stage.check)
        return
    if expansion.used or expansion.missing:
        return
    try:
        platform = parse_platform(expansion.text)
    except PyociError:
        return
    name = stage.name or ""
    if platform.os not in name and platform.architecture not in name:
        message = f"FROM --platform flag should not use constant value {go_quoted(expansion.text)}"
        findings.add("FromPlatformFlagConstDisallowed", message, place, lines=_lines(stage), check=stage.check)


def _lines(stage: ins.Stage) -> tuple[int, int]:
    return stage.location.line, stage.location.last_line
