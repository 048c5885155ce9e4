"""Judging documents by JSON schema: the second opinion beside the strict decoder, for tests and `inspect --validate`.

The schemas in `schemas/` hold the rules of image-spec v1.1.1's own (schema/*.json) and, for Docker's documents, those
of distribution's manifest-v2-2.md and moby's docker-image-spec. Where image-spec's schemas are laxer than its text,
these follow the text: a size is not negative, sha256 and sha512 have their length, a descriptor is the same everywhere,
a manifest is no index, and `mediaType` is the document's own. `jsonschema` is imported when `validate` is first
called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pyoci.errors import UsageError
from pyoci.image import media_types
from pyoci.regex import regex
from pyoci.values import dataclass

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

__all__ = ["SchemaProblem", "validate"]

_DEFINITIONS = "definitions.json"
_SCHEMAS = {
    media_types.MANIFEST: ("manifest", "manifest.json"),
    media_types.INDEX: ("index", "index.json"),
    media_types.CONFIG: ("config", "config.json"),
    media_types.DOCKER_MANIFEST: ("manifest", "docker-manifest.json"),
    media_types.DOCKER_INDEX: ("index", "docker-index.json"),
    media_types.DOCKER_CONFIG: ("config", "docker-config.json"),
    "application/vnd.oci.descriptor.v1+json": ("descriptor", "descriptor.json"),
    "application/vnd.oci.layout.header.v1+json": ("oci-layout", "layout.json"),
}
_URI = regex(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[!#$&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]|%[0-9A-Fa-f][0-9A-Fa-f])*")
_DATE_TIME = regex(r"[0-9-]{10}T(?!24)[0-9:]{8}(?:\.[0-9]+)?(?:Z|[+-][0-9:]{5})")


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """One rule that a document breaks."""

    path: str
    """Where: `manifest.layers[0].size`, as the decoder writes it."""
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def validate(document: bytes, media_type: str) -> list[SchemaProblem]:
    """Everything that the schema of `media_type` finds wrong, sorted by place; empty when it is valid.

    Raises:
        UsageError: there is no schema for that media type.
    """
    if media_type not in _SCHEMAS:
        raise UsageError(f'"{media_type}" has no schema', hint="manifests, indexes, configs and descriptors have one")
    what, name = _SCHEMAS[media_type]
    try:
        value = json.loads(document.decode("utf-8"), parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        return [SchemaProblem(what, f"not JSON: {error}")]
    problems = [
        SchemaProblem(_path(what, cause.absolute_path), _message(cause))
        for error in _validator(name).iter_errors(value)
        for cause in _causes(error)
    ]
    return sorted(problems, key=lambda problem: (problem.path, problem.message))


def _causes(error: ValidationError) -> list[ValidationError]:
    """What is wrong with a value that none of several schemas accepts; all but the first of these just say `null`."""
    if not error.context:
        return [error]
    inside = [cause for cause in error.context if not (cause.validator == "type" and not cause.relative_path)]
    return [cause for one in inside or error.context[:1] for cause in _causes(one)]


def _path(what: str, steps: Iterable[str | int]) -> str:
    return what + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _message(error: ValidationError) -> str:
    """What jsonschema says, which quotes what it is about: the whole document in the worst case."""
    if error.validator == "not" and isinstance(error.validator_value, dict):
        return str(error.validator_value["description"])
    message = error.message
    return message if len(message) <= 200 else f"{message[:90]} … {message[-90:]}"


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _schema(name: str) -> Any:
    return json.loads((files("pyoci.image") / "schemas" / name).read_text(encoding="utf-8"))


@cache
def _validator(name: str) -> Validator:
    from jsonschema import Draft4Validator, FormatChecker
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT4

    formats = FormatChecker(formats=())
    formats.checks("uri")(_is_uri)
    formats.checks("date-time")(_is_date_time)
    shared: Resource[Any] = Resource.from_contents(_schema(_DEFINITIONS), default_specification=DRAFT4)
    registry: Registry[Any] = Registry().with_resource(_DEFINITIONS, shared)
    return Draft4Validator(_schema(name), registry=registry, format_checker=formats)


def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or _URI.fullmatch(value) is not None


def _is_date_time(value: object) -> bool:
    """RFC 3339 as Go reads it. Python's calendar begins with year 1, so year 0 is judged as another leap year."""
    from datetime import datetime

    if not isinstance(value, str):
        return True
    if not _DATE_TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(re.sub("^0000", "2000", value))
    except ValueError:
        return False
    return True
