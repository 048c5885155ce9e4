"""What `pyoci bake --call` says of the Dockerfiles of targets instead of building them, as buildx says it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyoci.errors import UsageError
from pyoci.values import dataclass, replace

if TYPE_CHECKING:
    from pyoci.api.bake import BakeRequest
    from pyoci.api.options import Options
    from pyoci.bake.resolve import Resolved
    from pyoci.build.request import BuildRequest

__all__ = ["Call", "calls_of", "parse_call", "say"]

_CALLS = ("build", "check", "outline", "targets")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


@dataclass(frozen=True, slots=True)
class Call:
    """The value of `--call`."""

    name: str = "build"
    as_json: bool = False
    ignores_status: bool = False
    """Whether what checks find does not count as a failure."""


def parse_call(text: str) -> Call:
    """`check`, `outline,format=json` and so on.

    Raises:
        UsageError: there is no such call or option.
    """
    found = Call()
    for field in text.split(",") if text else ():
        key, equals, value = field.partition("=")
        if not equals and key in (*_CALLS, "lint"):
            found = replace(found, name="check" if key == "lint" else key)
        elif key == "format" and value in ("json", "text"):
            found = replace(found, as_json=value == "json")
        elif key == "ignorestatus" and value in (*_TRUE, *_FALSE):
            found = replace(found, ignores_status=value in _TRUE)
        elif equals:
            raise UsageError(f'invalid option "{field}" of --call', hint="write --call=check,format=json")
        else:
            raise UsageError(f'unknown call "{field}"', hint=f"the calls are {', '.join(_CALLS)}")
    return found


def calls_of(resolved: Resolved) -> dict[str, Call]:
    """What targets want to be said instead of being built, by target.

    Raises:
        UsageError: one asks for something that does not exist.
    """
    found = {}
    for name, target in resolved.targets.items():
        if target.call and not target.linked:
            try:
                call = parse_call(target.call)
            except UsageError as error:
                raise UsageError(
                    f"target {name}: {error.message}", hint=error.hint, location=target.location
                ) from error
            if call.name != "build":
                found[name] = call
    return found


def say(
    calls: Mapping[str, Call], flag: Call, requests: Mapping[str, BakeRequest], resolved: Resolved, options: Options
) -> int:
    """Says it; 1 if checks find something that counts."""
    status = 0
    said: dict[str, str] = {}
    as_json = flag.as_json
    for name in sorted(calls):
        call = calls[name]
        said[name], found = _one(call.name, _with_placeholders(requests[name]), options, as_json=as_json)
        if found and not (call.ignores_status or flag.ignores_status):
            status = 1
    if as_json:
        from pyoci.bake.render import definition, render_json

        shown: dict[str, Any] = definition(resolved.groups, resolved.targets)
        targets = {name: {"build": target} for name, target in shown["target"].items()}
        for name, text in said.items():
            targets[name][calls[name].name] = json.loads(text)
        sys.stdout.write(render_json({**shown, "target": targets}) + "\n")
        return status
    parts = []
    for name, text in said.items():
        about = resolved.targets[name].description
        parts.append(f"{name}\n{about + chr(10) if about else ''}\n{text}")
    sys.stdout.write("\n".join(parts))
    return status


def _with_placeholders(one: BakeRequest) -> BuildRequest:
    """The build with files where results of other targets would be: what is not built is not asked for anywhere."""
    return replace(one.build, build_contexts={**one.build.build_contexts, **dict.fromkeys(one.links, ".")})


def _one(call: str, request: BuildRequest, options: Options, *, as_json: bool) -> tuple[str, bool]:
    from pyoci.api.build_checks import check_build, outline_build, targets_of
    from pyoci.cli import checks

    match call:
        case "check":
            found = check_build(request, options=options)
            return (checks.findings_as_json(found) if as_json else checks.findings_as_text(found)), bool(found)
        case "outline":
            outline = outline_build(request, options=options)
            return (checks.outline_as_json(outline) if as_json else checks.outline_as_text(outline)), False
        case _:
            stages = targets_of(request, options=options)
            return (checks.targets_as_json(stages) if as_json else checks.targets_as_text(stages)), False
