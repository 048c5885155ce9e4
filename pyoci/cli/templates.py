"""The part of Go's templates that people give to docker's `--format`: `{{.Field}}`, `{{json .}}`, `{{json .Field}}`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from pyoci.cli.render_error import visible
from pyoci.errors import UsageError
from pyoci.regex import regex

__all__ = ["filled"]

_ACTION = regex(r"\{\{(.*?)\}\}", re.DOTALL)
_KNOWN = regex(r"\s*(json\s+)?\.(\w*)\s*")


def filled(template: str, fields: Mapping[str, object]) -> str:
    r"""The template with the values of the fields; `\t` and `\n` in it are a tab and a line end.

    Raises:
        UsageError: something in braces is no field, or more of the language than is known here.
    """

    def value(action: re.Match[str]) -> str:
        known = _KNOWN.fullmatch(action[1])
        if known is None:
            raise UsageError(
                f'cannot be done in a template: "{action[0]}"', hint="write {{.Field}}, {{json .}} or {{json .Field}}"
            )
        as_json, name = known[1], known[2]
        if name and name not in fields:
            raise UsageError(f'there is no field "{name}"', hint=f"the fields are {', '.join(fields)}")
        if as_json:
            return json.dumps(fields[name] if name else dict(fields))
        if not name:
            raise UsageError(f'cannot be done in a template: "{action[0]}"', hint="write {{json .}}")
        return visible(str(fields[name]))

    return _ACTION.sub(value, template.replace("\\t", "\t").replace("\\n", "\n"))
