"""A Dockerfile as plain JSON values: what every instruction says, and on which lines; nothing that is a default."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, is_dataclass
from typing import TypeAlias

from pyoci.dockerfile.checks import CheckOptions
from pyoci.dockerfile.instructions import Dockerfile, Instruction, Stage, Written
from pyoci.dockerfile.words import Word
from pyoci.location import Location

JSON: TypeAlias = "bool | int | str | list[JSON] | dict[str, JSON] | None"

_TYPED = frozenset(field.name for field in fields(Written))


def dump(dockerfile: Dockerfile) -> str:
    """Indented JSON, ending with a line end."""
    value: dict[str, JSON] = {"escape": dockerfile.escape}
    if dockerfile.syntax:
        value["syntax"] = dockerfile.syntax
    if dockerfile.check != CheckOptions():
        value["check"] = _plain(dockerfile.check)
    if dockerfile.meta_args:
        value["meta_args"] = [_instruction(arg) for arg in dockerfile.meta_args]
    value["stages"] = [_stage(stage) for stage in dockerfile.stages]
    if dockerfile.empty_continuations:
        value["empty_continuations"] = [place.last_line for place in dockerfile.empty_continuations]
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


def _stage(stage: Stage) -> JSON:
    value = _instruction(stage)
    value["instructions"] = [_instruction(instruction) for instruction in stage.instructions]
    return value


def _instruction(written: Instruction | Stage) -> dict[str, JSON]:
    value: dict[str, JSON] = {
        "is": type(written).__name__,
        "lines": [written.location.line, written.location.last_line],
        "line": written.line,
    }
    if written.keyword != type(written).__name__.upper().replace("STAGE", "FROM"):
        value["keyword"] = written.keyword
    if written.comments:
        value["comments"] = list(written.comments)
    if written.check != CheckOptions():
        value["check"] = _plain(written.check)
    return value | _fields(written, leave_out=_TYPED | {"instructions"})


def _fields(value: object, *, leave_out: frozenset[str] = frozenset()) -> dict[str, JSON]:
    assert is_dataclass(value)
    found: dict[str, JSON] = {}
    for field in fields(value):
        content = getattr(value, field.name)
        is_default = field.default is not MISSING and content == field.default
        if field.name not in leave_out and not is_default and not isinstance(content, Location):
            found[field.name] = _plain(content)
    return found


def _plain(value: object) -> JSON:
    match value:
        case None | bool() | int() | str():
            return value
        case Word():
            return value.text
        case Written():
            return {"is": type(value).__name__, **_fields(value, leave_out=_TYPED)}
        case tuple():
            return [_plain(item) for item in value]
        case frozenset():
            return [*sorted(map(str, value))]
        case _:
            return dict(_fields(value))
